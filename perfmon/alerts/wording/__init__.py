"""What an alert says, and what it advises."""
