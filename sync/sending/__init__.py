"""The one send path: claim, send, journal, finalize, with endpoints kept apart."""
