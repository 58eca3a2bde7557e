"""The timeline of an incident: one line for each step as it happens, and a Markdown document at the end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """One step; `at` in seconds since the epoch."""

    at: float
    seconds: float
    step: str
    persona: str
    outcome: str


class Timeline:
    """Collects the steps, and prints each with its duration. `outcome` is what a reader should know of it."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._lines: list[Line] = []

    @contextlib.contextmanager
    def step(self, name: str, persona: str = "") -> Iterator[list[str]]:
        """Time a step; what is appended to the list is its outcome, an exception is one too."""
        at, began, outcome = time.time(), time.monotonic(), []
        try:
            yield outcome
        except BaseException as error:
            outcome.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            line = Line(at, time.monotonic() - began, name, persona, "; ".join(outcome) or "done")
            self._lines.append(line)
            print(f"{line.seconds:7.1f} s  {name:<20} {line.outcome}", flush=True)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def write(self, path: Path, decision: str) -> None:
        """Write the document; one that is there is replaced as a whole."""
        rows = [
            f"| {_clock(line.at)} | {line.seconds:.1f} s | {_cell(line.step)} | {_cell(line.persona)} | "
            f"{_cell(line.outcome)} |"
            for line in self._lines
        ]
        head = [f"# {_cell(self._title)}", "", f"Decision: **{_cell(decision)}**, after {self.seconds:.0f} s.", ""]
        table = ["| time (UTC) | took | step | persona | outcome |", "|---|---:|---|---|---|", *rows, ""]
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text("\n".join([*head, *table]), encoding="utf-8", errors="replace")
        os.replace(beside, path)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def _cell(text: str) -> str:
    """Text that cannot end its cell or line, or become markup."""
    plain = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\|`*_<>[]" else sign for sign in plain)
