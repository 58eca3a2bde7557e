# The exception whose text is shown to the user unchanged.
from __future__ import annotations


class HostError(Exception):
    """A problem whose text can be shown to the user unchanged."""
