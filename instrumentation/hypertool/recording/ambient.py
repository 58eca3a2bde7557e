"""Who is at work here: run, persona and chatmode, carried by contextvars through awaits, tasks and executors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..metrics.stages import StageTracker
    from .runs import Run

_RUN: ContextVar[Run | None] = ContextVar("hypertool_run", default=None)
# The stage that this code works in; the run's session is shared by its concurrent stages and cannot say it.
_STAGE: ContextVar[StageTracker | None] = ContextVar("hypertool_stage", default=None)
_PERSONA: ContextVar[str | None] = ContextVar("hypertool_persona", default=None)
_CHATMODE: ContextVar[str | None] = ContextVar("hypertool_chatmode", default=None)


def current_run() -> Run | None:
    """The workflow run that this code works for, or None."""
    return _RUN.get()


def set_run(run: Run | None) -> Token[Run | None]:
    """Make `run` the current one; undo with `reset_run`."""
    return _RUN.set(run)


def reset_run(token: Token[Run | None]) -> None:
    """Undo `set_run`."""
    _RUN.reset(token)


@contextlib.contextmanager
def use_run(run: Run | None) -> Iterator[None]:
    """`run` is the current one inside the block."""
    token = _RUN.set(run)
    try:
        yield
    finally:
        _RUN.reset(token)


@contextlib.contextmanager
def context(persona: str | None = None, chatmode: str | None = None) -> Iterator[None]:
    """Persona and chatmode of everything inside the block that does not name its own (None leaves one as it is).

    An unknown persona is a ValueError that names the known ones.
    """
    if persona is not None and persona != "unknown":
        from ..metrics.collector import get_persona_metrics

        persona = get_persona_metrics().catalogue.resolve(persona).name
    persona_token = _PERSONA.set(persona) if persona is not None else None
    chatmode_token = _CHATMODE.set(chatmode) if chatmode is not None else None
    try:
        yield
    finally:
        if chatmode_token is not None:
            _CHATMODE.reset(chatmode_token)
        if persona_token is not None:
            _PERSONA.reset(persona_token)


def current_place() -> tuple[str | None, str | None]:
    """Persona and chatmode: each as `context` names it, else the current stage's, else the current run's active one,
    else None.
    """
    persona, chatmode = _PERSONA.get(), _CHATMODE.get()
    stage = _STAGE.get()
    if stage is not None:
        return persona if persona is not None else stage.persona, chatmode if chatmode is not None else stage.chatmode
    run = _RUN.get()
    if run is not None:
        if persona is None and run.persona != "none":
            persona = run.persona
        if chatmode is None:
            chatmode = run.chatmode
    return persona, chatmode
