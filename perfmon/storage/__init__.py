"""What a storage must do, and whose turn it is."""
