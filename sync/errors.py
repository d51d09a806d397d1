"""The errors this package raises on purpose; anything else is a bug."""

from __future__ import annotations


class SyncError(Exception):
    """Something failed in a way an operator can act on; the text names the cause and the fix."""


class ConfigurationError(SyncError):
    """A setting is missing or wrong; the text names the setting and the fix."""
