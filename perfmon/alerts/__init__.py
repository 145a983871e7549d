"""What to page about, and when it is over."""
