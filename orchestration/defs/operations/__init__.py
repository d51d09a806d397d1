"""What an operator does by hand, as jobs."""
