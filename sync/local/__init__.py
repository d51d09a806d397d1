"""Code that is only for a laptop: embedded warehouse, sample data, receiver, demo."""
