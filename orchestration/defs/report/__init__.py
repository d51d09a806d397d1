"""The delivery report."""
