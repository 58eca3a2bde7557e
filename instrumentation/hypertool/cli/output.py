"""How the command line talks: results on stdout (text or JSON), one clear line for each problem on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ..domain.labels import unfit
from ..errors import HypertoolError
from ..runtime.logs import log


class UsageProblem(HypertoolError):
    """The command was used wrongly: exit code 2."""


def complain(program: str, text: str) -> None:
    """One line on stderr, whatever is in the text."""
    line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    if sys.stderr is None:  # it was closed at the start; print() would take stdout instead
        return
    with contextlib.suppress(OSError):  # its reader went away: nobody is left to be told
        print(f"{program}: {line}", file=sys.stderr)


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=True))


def print_table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Columns, numbers to the right."""
    rows = list(rows)
    cells = [head, *[tuple(str(cell) for cell in row) for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    right = [bool(rows) and all(isinstance(row[column], (int, float)) for row in rows) for column in range(len(head))]
    for row in cells:
        print(
            "  ".join(
                cell.rjust(width) if numeric else cell.ljust(width)
                for cell, width, numeric in zip(row, widths, right, strict=True)
            ).rstrip()
        )


def label(option: str, value: str) -> str:
    """A label value as it came from a person. Raises UsageProblem where it cannot be one."""
    reason = unfit(value)
    if reason is not None:
        shown = repr(value if len(value) <= 60 else value[:60] + "...")
        raise UsageProblem(f"{option} {shown}: {reason}; expected 1 to 100 printable characters on one line")
    return value


def listen() -> list[str]:
    """Take over the library's log for this command: its warnings gather in the list that is returned."""
    log.taken = []
    return log.taken
