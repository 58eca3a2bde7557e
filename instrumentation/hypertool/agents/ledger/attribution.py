"""The persona, chatmode and workflow that a call is attributed to."""

from __future__ import annotations

from typing import NamedTuple

UNKNOWN = "unknown"


class Attribution(NamedTuple):
    """The persona, chatmode and workflow that a call is attributed to."""

    persona: str = UNKNOWN
    chatmode: str = "default"
    workflow: str = ""
