"""Tools of the operator, for the command line and for jobs alike; what sensors ask and say."""
