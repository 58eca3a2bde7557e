"""Personas and their budgets: read from TOML, checked, and looked up by name or alias."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from .errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - exercised on hosts with Python 3.10
    import tomli as tomllib

HOST_FILE = Path("/etc/hypertool/hypertool.toml")
RESERVED = frozenset({"none", "unknown", "other"})
WINDOWS = ("run", "hour", "day")
ON_EXCEED = ("warn", "block")
MAX_BUDGET = 10**12

_DEFAULTS = Path(__file__).with_name("personas.toml")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,98}[a-z0-9])?")
_KEYS = {"tokens", "window", "on_exceed", "aliases"}


class Persona(NamedTuple):
    """A persona and its budget: `tokens` per `window` ("run", "hour" or "day", UTC)."""

    name: str
    tokens: int
    window: str = "run"
    on_exceed: str = "warn"
    aliases: tuple[str, ...] = ()
    source: str = "package"


class Catalogue:
    """Every known persona. `loaded_at` (seconds since the epoch) decides between two processes' limits."""

    def __init__(self, personas: dict[str, Persona], loaded_at: float) -> None:
        self.personas = personas
        self.loaded_at = loaded_at
        self._by_any_name = dict(personas)
        for persona in personas.values():
            for alias in persona.aliases:
                self._by_any_name[alias] = persona

    def find(self, name: str) -> Persona | None:
        """The persona with that name or alias, or None."""
        return self._by_any_name.get(name)

    def resolve(self, name: str) -> Persona:
        """The persona with that name or alias. Raises ValueError that names the known ones."""
        if not isinstance(name, str):
            raise TypeError(f"a persona is named by a string, not {type(name).__name__} ({name!r:.60})")
        found = self._by_any_name.get(name)
        if found is not None:
            return found
        known = ", ".join(sorted(self.personas))
        if name in RESERVED:
            raise ValueError(f"persona {name!r} is reserved and has no budget; known personas: {known}")
        import difflib  # for an error only: it costs 3 ms

        close = difflib.get_close_matches(name, self._by_any_name, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown persona {name!r:.120}{hint} Known personas: {known}. Others are declared in "
                         f"[personas.<name>] of {HOST_FILE} or the user's own file")


def user_file() -> Path:
    """Where a user's own personas are: $XDG_CONFIG_HOME/hypertool/hypertool.toml."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "hypertool" / "hypertool.toml"


def config_files() -> list[Path]:
    """The files that are read after the package's defaults, those that exist, in their order.

    `HYPERTOOL_CONFIG` replaces the host's and the user's file; it must exist.
    """
    chosen = os.environ.get("HYPERTOOL_CONFIG")
    if chosen:
        return [Path(chosen)]
    return [path for path in (HOST_FILE, user_file()) if path.exists()]


def load_catalogue(strict: bool = True) -> Catalogue:
    """Defaults, then the host's file, then the user's, merged persona by persona and key by key.

    Raises ConfigError (file, line, reason) where `strict`; otherwise logs it once and returns the defaults.
    """
    now = time.time()
    personas: dict[str, Persona] = {}
    _merge(personas, _DEFAULTS, "package")
    try:
        merged = dict(personas)
        for path in config_files():
            _merge(merged, path, str(path))
        _check_names(merged)
    except ConfigError as error:
        if strict:
            raise
        logging.getLogger("hypertool").error("%s; going on with the default personas", error)
        merged = personas
    return Catalogue(merged, now)


def _merge(personas: dict[str, Persona], path: Path, source: str) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; HYPERTOOL_CONFIG must name a persona file that exists") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    tables = document.get("personas", {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{path}: `personas` must be tables like [personas.backend-engineer], not {tables!r:.60}")
    for unexpected in document.keys() - {"personas"}:
        raise ConfigError(f"{path}:{_line(text, unexpected)}: unknown top-level key {unexpected!r}; "
                          f"expected [personas.<name>] tables only")
    for name, table in tables.items():
        where = f"{path}:{_line(text, name)}: [personas.{name}]"
        personas[name] = _persona(personas.get(name), name, table, where, source)


def _persona(known: Persona | None, name: str, table: Any, where: str, source: str) -> Persona:
    if name in RESERVED or not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: the name must be lower-case letters, digits, '-', '_' or '.', up to 100 "
                          f"characters, and none of {', '.join(sorted(RESERVED))}")
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table with `tokens = ...`, not {table!r:.60}")
    for key in table.keys() - _KEYS:
        raise ConfigError(f"{where}: unknown key {key!r}; expected {', '.join(sorted(_KEYS))}")
    if known is None and "tokens" not in table:
        raise ConfigError(f"{where}: a new persona needs `tokens`, its budget per window")
    persona = known or Persona(name, 0)
    tokens = table.get("tokens", persona.tokens)
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 1 <= tokens <= MAX_BUDGET:
        raise ConfigError(f"{where}: tokens = {tokens!r:.60}, expected a whole number from 1 to {MAX_BUDGET}")
    window = table.get("window", persona.window)
    if window not in WINDOWS:
        raise ConfigError(f"{where}: window = {window!r:.60}, expected one of {', '.join(WINDOWS)}")
    on_exceed = table.get("on_exceed", persona.on_exceed)
    if on_exceed not in ON_EXCEED:
        raise ConfigError(f"{where}: on_exceed = {on_exceed!r:.60}, expected one of {', '.join(ON_EXCEED)}")
    aliases = table.get("aliases", list(persona.aliases))
    if not isinstance(aliases, list) or not all(isinstance(a, str) and _NAME.fullmatch(a) for a in aliases):
        raise ConfigError(f"{where}: aliases = {aliases!r:.80}, expected a list of lower-case names")
    return persona._replace(tokens=tokens, window=window, on_exceed=on_exceed,
                   aliases=tuple(aliases), source=source)


def _check_names(personas: dict[str, Persona]) -> None:
    owner: dict[str, Persona] = dict(personas)
    for persona in personas.values():
        for alias in persona.aliases:
            other = owner.get(alias)
            if alias in RESERVED or (other is not None and other is not persona):
                taken = "reserved" if other is None else f"taken by [personas.{other.name}]"
                raise ConfigError(f"{persona.source}: [personas.{persona.name}]: the alias {alias!r} is {taken}; "
                                  f"every name may mean one persona only")
            owner[alias] = persona


def _line(text: str, name: str) -> int:
    """The line that declares `name`, for error messages; 1 where it is written in some unusual way."""
    pattern = re.compile(rf"^\s*(\[\s*(personas\s*\.\s*)?[\"']?{re.escape(name)}[\"']?\s*\]|{re.escape(name)}\s*=)")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return number
    return 1
