"""`hypertool.context`: persona and chatmode for a block of code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..domain.personas import UNKNOWN
from ..recording.ambient import CHATMODE, PERSONA
from .collector import get_persona_metrics


@contextlib.contextmanager
def context(persona: str | None = None, chatmode: str | None = None) -> Iterator[None]:
    """Set persona and chatmode for everything in the block that does not name its own; None leaves a value as it is.

    An unknown persona is a ValueError that names the known ones (unless `unknown_persona = "count"`).
    """
    if persona is not None and persona != UNKNOWN:
        known = get_persona_metrics().catalogue.for_call(persona)
        persona = known.name if known is not None else UNKNOWN
    persona_token = PERSONA.set(persona) if persona is not None else None
    chatmode_token = CHATMODE.set(chatmode) if chatmode is not None else None
    try:
        yield
    finally:
        if chatmode_token is not None:
            CHATMODE.reset(chatmode_token)
        if persona_token is not None:
            PERSONA.reset(persona_token)
