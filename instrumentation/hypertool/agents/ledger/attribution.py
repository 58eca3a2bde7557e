"""The persona, chatmode and workflow that a call is attributed to."""

from __future__ import annotations

from ...runtime.light_typing import NamedTuple
from ...runtime.settings import CHATMODE, PERSONA, WORKFLOW

UNKNOWN = "unknown"


class Attribution(NamedTuple):
    """The persona, chatmode and workflow that a call is attributed to."""

    persona: str = UNKNOWN
    chatmode: str = "default"
    workflow: str = ""


def wanted() -> Attribution | None:
    """The binding that `hypertool run` left in the environment, which the agent and its hooks inherit."""
    persona, workflow, chatmode = PERSONA.read(), WORKFLOW.read(), CHATMODE.read()
    if not (persona or workflow or chatmode):
        return None
    return Attribution(persona or UNKNOWN, chatmode or "default", workflow)
