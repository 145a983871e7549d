"""From a call to the window and to storage; nothing is lost on the way."""
