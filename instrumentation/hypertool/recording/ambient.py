"""The current run, stage, persona and chatmode: contextvars, inherited by awaits, tasks and executors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar, Token

from ..runtime.light_typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .runs import Run


class CurrentStage(Protocol):
    """What this module asks of a stage in progress."""

    @property
    def workflow(self) -> str:
        """The workflow that the stage belongs to."""

    @property
    def stage(self) -> str:
        """The name of the stage."""

    @property
    def persona(self) -> str:
        """The persona that does the stage."""

    @property
    def chatmode(self) -> str:
        """The chatmode that the stage is recorded with."""


RUN: ContextVar[Run | None] = ContextVar("hypertool_run", default=None)
# Not derived from the run: its session is shared by concurrent stages.
STAGE: ContextVar[CurrentStage | None] = ContextVar("hypertool_stage", default=None)
PERSONA: ContextVar[str | None] = ContextVar("hypertool_persona", default=None)
CHATMODE: ContextVar[str | None] = ContextVar("hypertool_chatmode", default=None)


def current_run() -> Run | None:
    """The workflow run that this code works for, or None."""
    return RUN.get()


def set_run(run: Run | None) -> Token[Run | None]:
    """Make `run` the current one; undo with `reset_run`."""
    return RUN.set(run)


def reset_run(token: Token[Run | None]) -> None:
    """Undo `set_run`."""
    RUN.reset(token)


@contextlib.contextmanager
def use_run(run: Run | None) -> Iterator[None]:
    """`run` is the current one inside the block."""
    token = RUN.set(run)
    try:
        yield
    finally:
        RUN.reset(token)


def current_place() -> tuple[str | None, str | None]:
    """Persona and chatmode: from `hypertool.context`, else from the current stage, else from the run, else None."""
    persona, chatmode = PERSONA.get(), CHATMODE.get()
    stage = STAGE.get()
    if stage is not None:
        return persona if persona is not None else stage.persona, chatmode if chatmode is not None else stage.chatmode
    run = RUN.get()
    if run is not None:
        if persona is None and run.persona != "none":
            persona = run.persona
        if chatmode is None:
            chatmode = run.chatmode
    return persona, chatmode
