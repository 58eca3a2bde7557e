"""Reads a TOML file of ours; every mistake is an error with file and line."""

from __future__ import annotations

import re
import sys
from functools import cached_property
from pathlib import Path

from ..errors import ConfigError
from ..runtime.light_typing import Any
from ..runtime.text_files import nearest_line, read_text

MAX_BYTES = 1_000_000


class TomlFile:
    """One parsed file. Raises ConfigError (file, line, reason) where it cannot be read or parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = _text(path)
        self.document = _parse(path, self.text)

    @cached_property
    def _lines(self) -> dict[tuple[str | int, ...], int]:
        from .toml_lines import key_lines

        return key_lines(self.text)

    def line(self, key: tuple[str | int, ...]) -> int:
        """The line of a key, else of the nearest table that holds it; 1 if there is none."""
        return nearest_line(self._lines, key)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return read_text(path, file, MAX_BYTES, "a configuration file").replace("\r\n", "\n")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; HYPERTOOL_CONFIG must name a persona file that exists") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.split("\n")):
        return {}  # comments only, as the role installs it: the parser is not needed
    if sys.version_info >= (3, 11):  # Imported here: personas from a cache do without it.
        import tomllib
    else:  # pragma: no cover - exercised on hosts with Python 3.10
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        reason = str(error).replace(found[0], "") if found else str(error)
        raise ConfigError(f"{path}:{line}: not valid TOML: {reason}") from None
    except RecursionError:
        raise ConfigError(f"{path}:1: not valid TOML: nested too deeply; write it flatter") from None
    except ValueError:
        found = re.search(r"[0-9_]{4000,}", text)
        line = text.count("\n", 0, found.start()) + 1 if found else 1
        raise ConfigError(
            f"{path}:{line}: not valid TOML: a number with too many digits; write a smaller one"
        ) from None
