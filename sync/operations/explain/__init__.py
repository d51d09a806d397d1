"""One learner's story in one course run, and why its number is what it is."""
