"""Rules applied to the past, and unit tests of rules."""
