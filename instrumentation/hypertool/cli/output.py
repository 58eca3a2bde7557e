"""Output of the command line: results on stdout (text or JSON), one line per problem on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping

from ..errors import HypertoolError
from ..runtime.light_typing import Any


class UsageProblem(HypertoolError):
    """Wrong use of a command: exit code 2."""


def visible(text: str) -> str:
    """The text with characters that a terminal would obey instead of showing written as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def say(text: str = "", flush: bool = False) -> None:
    """Print lines for a person; names in them come from files and folders of others (see `visible`)."""
    print("\n".join(map(visible, text.split("\n"))), flush=flush)


def complain(program: str, text: str) -> None:
    """Print one line on stderr, whatever the text contains."""
    line = visible(" ".join(text.split()))
    if sys.stderr is None:  # Closed at the start; print() would use stdout instead.
        return
    with contextlib.suppress(OSError):  # The reader is gone.
        print(f"{program}: {line}", file=sys.stderr)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=True))


def print_table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Print columns; numbers are aligned to the right."""
    rows = list(rows)
    cells = [head, *[tuple(visible(str(cell)) for cell in row) for row in rows]]
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
    """A label value typed by a person. Raises UsageProblem for an invalid value."""
    from ..domain.labels import unfit

    reason = unfit(value)
    if reason is not None:
        shown = repr(value if len(value) <= 60 else value[:60] + "...")
        raise UsageProblem(f"{option} {shown}: {reason}; expected 1 to 100 printable characters on one line")
    return value


def listen() -> list[str]:
    """Collect the library's warnings in the returned list, for this command to print."""
    from ..runtime.logs import log

    log.taken = []
    return log.taken
