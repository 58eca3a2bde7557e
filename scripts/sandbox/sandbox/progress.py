"""Progress of long steps on standard error: the current step and its duration."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

HEARTBEAT_SECONDS = 5.0
_started = time.monotonic()


class SandboxError(Exception):
    """A problem that the user has to solve; the message says what it is and how."""


def say(message: str) -> None:
    """Print one line with the seconds since the program started."""
    print(f"[{time.monotonic() - _started:5.1f}s] {message}", file=sys.stderr, flush=True)


class Step:
    """A running step whose detail appears in the heartbeat during long waits."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._detail = ""
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def detail(self, text: str) -> None:
        self._detail = text

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            detail = f": {self._detail}" if self._detail else ""
            say(f"{self.title}{detail} ({time.monotonic() - self._began:.0f} s so far)")

    def __enter__(self) -> Step:
        say(f"{self.title} ...")
        self._thread.start()
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self._ended.set()
        self._thread.join()
        outcome = "done" if kind is None else "FAILED"
        say(f"{self.title}: {outcome} in {time.monotonic() - self._began:.1f} s")


def wait_for(what: str, seconds: float, check: Callable[[], T | None], interval: float = 0.05) -> T:
    """Return the first result of `check` that is not None; raise at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if result is not None:
            return result
        if time.monotonic() > deadline:
            raise SandboxError(f"waited {seconds:.0f} s for {what} without success")
        time.sleep(interval)


@contextmanager
def undo_on_error(undo: Callable[[], None]) -> Iterator[None]:
    """Run `undo` if the block fails, so that no partial state stays behind."""
    try:
        yield
    except BaseException:
        undo()
        raise
