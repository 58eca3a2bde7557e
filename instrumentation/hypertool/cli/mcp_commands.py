"""Runs the commands behind the MCP tools, each in a process of its own that ends when its call is cancelled."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from subprocess import DEVNULL, PIPE

import anyio
from anyio.abc import Process

from ..runtime.light_typing import Any, NamedTuple

END_SECONDS = 5.0
MAX_OUTPUT = 1 << 20
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SESSION = re.compile(r"[0-9A-Za-z_-]{1,100}")
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")

running: set[Process] = set()


class Done(NamedTuple):
    """A command that ended: its exit code and output. Of very long output the beginning is missing."""

    code: int
    out: str
    err: str


async def run(command: list[str], meta: Mapping[str, Any] | None = None) -> Done:
    """Run a command with the call's trace context and session. Raises OSError or ValueError if it does not start.

    It has a process group of its own: a cancelled call ends the whole of it, so that nothing is left running.
    """
    process = await anyio.open_process(
        command,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **trace_context(meta), **session(meta)},
        start_new_session=True,
    )
    running.add(process)
    try:
        outputs = {"out": bytearray(), "err": bytearray()}
        async with anyio.create_task_group() as group:
            group.start_soon(_collect, process.stdout, outputs["out"])
            group.start_soon(_collect, process.stderr, outputs["err"])
        code = await process.wait()
        return Done(code, *(outputs[name].decode("utf-8", "replace") for name in ("out", "err")))
    finally:
        with anyio.CancelScope(shield=True):
            await end(process)
            await process.aclose()
        running.discard(process)


async def _collect(stream: Any, output: bytearray) -> None:
    async for chunk in stream:
        output += chunk
        if len(output) > 2 * MAX_OUTPUT:
            del output[:-MAX_OUTPUT]


async def end(process: Process) -> None:
    """End the command and everything that it has started: asked first, killed after END_SECONDS."""
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    with anyio.move_on_after(END_SECONDS):
        await process.wait()
        return
    _signal(process, signal.SIGKILL)


def _signal(process: Process, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def trace_context(meta: Mapping[str, Any] | None) -> dict[str, str]:
    """The variables for the trace context in a request's `_meta`; empty if it has none or an invalid one."""
    found: dict[str, str] = {}
    parent, state = (str((meta or {}).get(key) or "") for key in ("traceparent", "tracestate"))
    if _TRACEPARENT.fullmatch(parent):
        found["TRACEPARENT"] = parent
        # A state belongs to its parent: without one, an inherited state would be another trace's.
        found["TRACESTATE"] = state if _TRACESTATE.fullmatch(state) else ""
    return found


def session(meta: Mapping[str, Any] | None) -> dict[str, str]:
    """The variable for the session in a request's `_meta`: Codex names it there, not in its servers' environment."""
    found = str((meta or {}).get("sessionId") or "")
    if "x-codex-turn-metadata" in (meta or {}) and _SESSION.fullmatch(found):
        return {"CODEX_SESSION_ID": found}
    return {}
