"""The text of a file that people write by hand, and where in it something is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from ..errors import ConfigError


def read_text(path: object, file: BinaryIO, limit: int, kind: str) -> str:
    """What `file` holds, without a byte order mark; `path` and `kind` ("a prompt file") are for messages.

    Raises ConfigError (file, line, reason) for more than `limit` bytes and for what is not UTF-8, and OSError.
    """
    data = file.read(limit + 1)
    if len(data) > limit:
        raise ConfigError(f"{path}:1: has more than {limit} bytes; {kind} is much smaller")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None


def nearest_line(lines: Mapping[tuple[str | int, ...], int], key: tuple[str | int, ...]) -> int:
    """The line of a key, else of the nearest one that holds it; 1 if there is none."""
    while key:
        found = lines.get(key)
        if found is not None:
            return found
        key = key[:-1]
    return 1
