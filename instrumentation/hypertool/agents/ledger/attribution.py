"""Whose call it is."""

from __future__ import annotations

from typing import NamedTuple

UNKNOWN = "unknown"


class Attribution(NamedTuple):
    """Whose call it is."""

    persona: str = UNKNOWN
    chatmode: str = "default"
    workflow: str = ""
