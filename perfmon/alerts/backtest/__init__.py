"""What rules would have done: over the past, and in tests of rules."""
