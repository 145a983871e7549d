"""Each message to each sink, at least once."""
