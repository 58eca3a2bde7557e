# The exception whose text is shown to a person as it is.
from __future__ import annotations


class HostError(Exception):
    """A problem whose text can be shown to a person as it is."""
