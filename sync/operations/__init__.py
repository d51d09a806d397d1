"""What an operator does, for the command line and for Dagster alike."""
