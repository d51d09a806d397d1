"""The decision on each event: where it goes, with what body, or why nowhere."""
