"""One learner's story in one course run, and the reasons for its learning time."""
