"""What is watched: a configuration made into rules and their targets."""
