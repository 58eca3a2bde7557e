"""`hypertool hook AGENT EVENT`: the command that agents call. An error here never stops the agent.

Some agents treat exit code 2 as "stop", so only a blocking budget may return it.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from ...runtime.light_modules import signal
from ...runtime.light_paths import import_light
from ...runtime.light_typing import TYPE_CHECKING
from ...runtime.settings import DEBUG, disabled

if TYPE_CHECKING:
    import argparse
    from typing import NoReturn

DEADLINE_SECONDS = 3.0
MAX_INPUT = 64 << 20


def run_alone(arguments: Sequence[str]) -> NoReturn:
    """Like `run`, as the only thing that this process does, which an agent waits for at each of its steps.

    There is no clean-up at the end: the ledger's log stays for the next hook, and so does garbage.
    """
    gc.disable()
    import_light()
    os._exit(run(arguments))


def run(arguments: Sequence[str]) -> int:
    """Count new calls and answer in the agent's format; the exit code is 0, or the one that stops this agent."""
    try:
        signal.signal(signal.SIGALRM, _give_up)
        signal.setitimer(signal.ITIMER_REAL, DEADLINE_SECONDS)
        if disabled() or len(arguments) < 2:
            return 0
        answer = _answer(arguments[0], arguments[1], _input())
        signal.setitimer(signal.ITIMER_REAL, 0)
        if answer is None:
            return 0
        out, err, code = answer
        _write(1, out)
        _write(2, err)
        return code
    except BaseException as error:
        _complain(error)
        return 0


def run_command(arguments: argparse.Namespace) -> int:
    """Like `run`, for a parsed command line."""
    return run((arguments.agent, arguments.event))


def _give_up(*_: object) -> None:
    os._exit(0)


def _input() -> bytes:
    chunks = []
    size = 0
    while size <= MAX_INPUT:
        chunk = os.read(0, 1 << 20)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _answer(agent: str, name: str, raw: bytes) -> tuple[str, str, int] | None:
    import json

    from ..calls import mapping
    from .events import parse
    from .handling import handle

    try:
        given = mapping(json.loads(raw)) if raw.strip() else {}
    except (ValueError, RecursionError):
        given = {}
    return handle(parse(agent, name, given))


def _write(descriptor: int, text: str) -> None:
    data = text.encode("utf-8", "replace")
    while data:
        data = data[os.write(descriptor, data) :]


def _complain(error: BaseException) -> None:
    if DEBUG.on():
        import traceback

        traceback.print_exception(error, file=sys.stderr)
