"""Reads the lines added to a file of JSON lines since the last time; leaves an incomplete last line for the next."""

from __future__ import annotations

import json
import os

from ...runtime.light_typing import Any
from ..calls import Inconsistent, Read, Unrecognised
from .positions import Position
from .registry import LinesReader

CHUNK = 1 << 20
MAX_LINE = 16 << 20
AWAITS = "awaits"
"""In a reader's context: lines with this text are parsed, too, until the reader takes the entry out."""
MAX_CONTEXT = 256
"""Entries of a reader's context; what is beyond is forgotten first in, first out."""


def read_lines(reader: LinesReader, descriptor: int, start: Position, limit: int) -> tuple[list[Read], Position, bool]:
    """The records in the lines after `start`, the position after them, and whether more is left beyond `limit` bytes.

    Calls are in the file's order; later lines may repeat a call. Raises OSError.
    """
    found: list[Read] = []
    context = dict(start.context)
    offset, end = start.offset, start.offset + limit
    rest = b""
    while offset + len(rest) < end:
        chunk = os.pread(descriptor, CHUNK, offset + len(rest))
        if not chunk:
            break
        *complete, rest = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
        for line in complete:
            _take(reader, line, offset, context, found)
            offset += len(line) + 1
        if len(rest) > MAX_LINE:
            offset += len(rest)
            rest = b""
            context["skipping"] = "1"
    more = offset + len(rest) >= end
    for oldest in list(context)[: max(0, len(context) - MAX_CONTEXT)]:
        del context[oldest]
    return found, start._replace(offset=offset, context=tuple(context.items())), more


def _take(reader: LinesReader, line: bytes, offset: int, context: dict[str, str], found: list[Read]) -> None:
    if "skipping" in context:  # the rest of a line that was too long to read
        del context["skipping"]
        found.append(Unrecognised("too_large", context.get("version", "")))
        return
    for marker in reader.MARKERS:
        if marker in line:
            break
    else:
        if AWAITS not in context or context[AWAITS].encode() not in line:
            return
    context["offset"] = str(offset)
    try:
        record: Any = json.loads(line)
        if record.__class__ is dict:
            read = reader.read(record, context)
            if read is not None:
                found.append(read)
    except Inconsistent:
        found.append(Unrecognised("inconsistent", context.get("version", "")))
    except (ValueError, RecursionError):
        found.append(Unrecognised("malformed", context.get("version", "")))
    finally:
        context.pop("offset", None)
