"""Personas and their budgets: read from TOML, checked, and looked up by name or alias."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..runtime.logs import once
from ..runtime.settings import CONFIG

HOST_FILE = Path("/etc/hypertool/hypertool.toml")
UNKNOWN = "unknown"  # the persona of an LLM call that nobody named; it has no budget
RESERVED = frozenset({"none", UNKNOWN, "other"})
WINDOWS = ("run", "hour", "day")
ON_EXCEED = ("warn", "block")
UNKNOWN_PERSONA = ("error", "count")
MAX_BUDGET = 10**12

_DEFAULTS = Path(__file__).with_name("personas.toml")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,98}[a-z0-9])?")
_KEYS = {"tokens", "window", "on_exceed", "aliases", "workflows"}


def is_name(text: str) -> bool:
    """Whether this is a valid name of a persona."""
    return _NAME.fullmatch(text) is not None


class Persona(NamedTuple):
    """A persona and its budget: `tokens` per `window` ("run", "hour" or "day", UTC); `workflows` lists
    workflows whose runs have another budget.
    """

    name: str
    tokens: int
    window: str = "run"
    on_exceed: str = "warn"
    aliases: tuple[str, ...] = ()
    source: str = "package"
    where: str = ""  # file and line of its names, for error messages
    workflows: tuple[tuple[str, int], ...] = ()

    def tokens_in(self, workflow: str | None) -> int:
        """The budget of one run of that workflow."""
        for name, tokens in self.workflows:
            if name == workflow:
                return tokens
        return self.tokens


class Catalogue:
    """All known personas. Between two processes' limits the newer `loaded_at` (seconds since the epoch) wins.

    `unknown_persona` is what an LLM call with an unknown persona does: "error" raises ValueError, "count" counts it as
    persona `unknown`.
    """

    def __init__(self, personas: dict[str, Persona], loaded_at: float, unknown_persona: str = "error") -> None:
        self.personas = personas
        self.loaded_at = loaded_at
        self.unknown_persona = unknown_persona
        self._by_any_name = dict(personas)
        for persona in personas.values():
            for alias in persona.aliases:
                self._by_any_name[alias] = persona

    def declare(self, persona: Persona) -> None:
        """Add a persona from code; one that a file declares under its name stays as it is.

        Raises ValueError for a name, an alias or a budget that a file could not have either.
        """
        table: dict[str, Any] = {
            "tokens": persona.tokens,
            "window": persona.window,
            "on_exceed": persona.on_exceed,
            "aliases": list(persona.aliases),
        }
        place = _Place(Path("declare_persona"), "", persona.name)
        try:
            checked = _persona(None, persona.name, table, place, "code")
            known = self.personas.get(persona.name)
            if known is not None and known.source not in ("package", "code"):
                return
            if known is not None and known[:5] != checked[:5]:
                raise place.error(
                    None,
                    f"it is known already, with {known.tokens} tokens per {known.window}; change its budget in a "
                    f"[personas.{known.name}] table of {HOST_FILE} or the user's own file",
                )
            _check_names({**self.personas, persona.name: checked})
        except ConfigError as error:
            raise ValueError(str(error)) from None
        self.personas[persona.name] = checked
        for name in (checked.name, *checked.aliases):
            self._by_any_name[name] = checked

    def for_call(self, name: str) -> Persona | None:
        """The persona of an LLM call; None counts it as `unknown`. Raises ValueError for an unknown persona, unless
        the configuration says `unknown_persona = "count"`.
        """
        found = self._by_any_name.get(name) if isinstance(name, str) else None
        if found is not None:
            return found
        if name == UNKNOWN:
            return None
        if self.unknown_persona == "count" and isinstance(name, str):
            once.warn(
                "unknown-persona",
                f"LLM calls with unknown personas count as {UNKNOWN!r}; the first was {name!r:.100} (logged once)",
            )
            return None
        return self.resolve(name)

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
        import difflib  # Imported only for an error: it takes 3 ms.

        close = difflib.get_close_matches(name, self._by_any_name, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise ValueError(
            f"unknown persona {name!r:.120}{hint} Known personas: {known}. Others are declared in "
            f"[personas.<name>] of {HOST_FILE} or the user's own file"
        )


def default_file() -> Path:
    """The package's file of default personas."""
    return _DEFAULTS


def user_file() -> Path:
    """The user's file of personas: $XDG_CONFIG_HOME/hypertool/hypertool.toml."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "hypertool" / "hypertool.toml"


def config_files() -> list[Path]:
    """The existing files that are read after the package's defaults, in order.

    `HYPERTOOL_CONFIG` replaces the host's and the user's file; it must exist.
    """
    chosen = CONFIG.read()
    if chosen:
        return [Path(chosen)]
    return [path for path in (HOST_FILE, user_file()) if os.path.exists(path)]


def load_catalogue(strict: bool = True) -> Catalogue:
    """Defaults, then the host's file, then the user's, merged persona by persona and key by key.

    Raises ConfigError (file, line, reason) where `strict`; otherwise logs it once and returns the defaults.
    """
    now = time.time()
    personas: dict[str, Persona] = {}
    unknown_persona = "error"
    _merge(personas, _DEFAULTS, "package")
    try:
        merged = dict(personas)
        for path in config_files():
            unknown_persona = _merge(merged, path, str(path)) or unknown_persona
        _check_names(merged)
    except ConfigError as error:
        if strict:
            raise
        once.warn(str(error), f"{error}; using the default personas")
        merged = personas
    return Catalogue(merged, now, unknown_persona)


def _merge(personas: dict[str, Persona], path: Path, source: str) -> str | None:
    """Add a file's personas; returns its `unknown_persona`, or None."""
    try:
        text = path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; HYPERTOOL_CONFIG must name a persona file that exists") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    if sys.version_info >= (3, 11):  # Imported here: personas from a cache do without it.
        import tomllib
    else:  # pragma: no cover - exercised on hosts with Python 3.10
        import tomli as tomllib
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        reason = str(error).replace(found[0], "") if found else str(error)
        raise ConfigError(f"{path}:{line}: not valid TOML: {reason}") from None
    for unexpected in sorted(document.keys() - {"personas", "unknown_persona"}):
        raise ConfigError(
            f"{path}:{_line(text, unexpected)}: unknown top-level key {unexpected!r}; "
            f"expected [personas.<name>] tables and unknown_persona"
        )
    unknown_persona = document.get("unknown_persona")
    if unknown_persona is not None and unknown_persona not in UNKNOWN_PERSONA:
        raise ConfigError(
            f"{path}:{_line(text, 'unknown_persona')}: unknown_persona = {unknown_persona!r:.60}, expected one of "
            f"{', '.join(UNKNOWN_PERSONA)}"
        )
    tables = document.get("personas", {})
    if not isinstance(tables, dict):
        raise ConfigError(
            f"{path}:{_line(text, 'personas')}: `personas` must be tables like "
            f"[personas.backend-engineer], not {tables!r:.60}"
        )
    for name, table in tables.items():
        personas[name] = _persona(personas.get(name), name, table, _Place(path, text, name), source)
    return unknown_persona


class _Place(NamedTuple):
    """Where a persona is declared, for error messages."""

    path: Path
    text: str
    persona: str
    workflow: str | None = None

    def error(self, key: str | None, reason: str) -> ConfigError:
        """The error that names file, line, table and reason."""
        line = _line(self.text, self.workflow or self.persona, key, self.workflow and self.persona)
        inner = f".workflows.{self.workflow}" if self.workflow else ""
        return ConfigError(f"{self.path}:{line}: [personas.{self.persona}{inner}]: {reason}")


def _persona(known: Persona | None, name: str, table: Any, place: _Place, source: str) -> Persona:
    if name in RESERVED or not _NAME.fullmatch(name):
        raise place.error(
            None,
            "the name must be lower-case letters, digits, '-', '_' or '.', up to 100 "
            f"characters, and none of {', '.join(sorted(RESERVED))}",
        )
    if not isinstance(table, dict):
        raise place.error(None, f"must be a table with `tokens = ...`, not {table!r:.60}")
    for key in sorted(table.keys() - _KEYS):
        raise place.error(key, f"unknown key {key!r}; expected {', '.join(sorted(_KEYS))}")
    if known is None and "tokens" not in table:
        raise place.error(None, "a new persona needs `tokens`, its budget per window")
    persona = known or Persona(name, 0)
    tokens = table.get("tokens", persona.tokens)
    if not _is_budget(tokens):
        raise place.error("tokens", f"tokens = {tokens!r:.60}, expected a whole number from 1 to {MAX_BUDGET}")
    window = table.get("window", persona.window)
    if window not in WINDOWS:
        raise place.error("window", f"window = {window!r:.60}, expected one of {', '.join(WINDOWS)}")
    on_exceed = table.get("on_exceed", persona.on_exceed)
    if on_exceed not in ON_EXCEED:
        raise place.error("on_exceed", f"on_exceed = {on_exceed!r:.60}, expected one of {', '.join(ON_EXCEED)}")
    aliases = table.get("aliases", list(persona.aliases))
    if not isinstance(aliases, list) or not all(isinstance(a, str) and _NAME.fullmatch(a) for a in aliases):
        raise place.error("aliases", f"aliases = {aliases!r:.80}, expected a list of lower-case names")
    workflows = {**dict(persona.workflows), **_workflows(table.get("workflows", {}), place)}
    if workflows and window != "run":
        raise place.error(
            "window" if "window" in table else None,
            f"the budget for the workflow {next(iter(workflows))!r} is one of each run, and cannot go "
            f'with window = {window!r}, expected "run"',
        )
    where = f"{place.path}:{_line(place.text, name, 'aliases' if 'aliases' in table else None)}"
    return persona._replace(
        tokens=tokens,
        window=window,
        on_exceed=on_exceed,
        aliases=tuple(aliases),
        source=source,
        where=where,
        workflows=tuple(workflows.items()),
    )


def _is_budget(tokens: Any) -> bool:
    return isinstance(tokens, int) and not isinstance(tokens, bool) and 1 <= tokens <= MAX_BUDGET


def _workflows(tables: Any, place: _Place) -> dict[str, int]:
    """`[personas.<name>.workflows.<workflow>]` with `tokens`."""
    if not isinstance(tables, dict):
        raise place.error(
            "workflows",
            f"workflows = {tables!r:.60}, expected tables like [personas.{place.persona}.workflows.bug_fix]",
        )
    for workflow, table in tables.items():
        inner = place._replace(workflow=workflow)
        if not isinstance(table, dict):
            raise inner.error(None, f"must be a table with `tokens = ...`, not {table!r:.60}")
        for key in sorted(table.keys() - {"tokens"}):
            raise inner.error(key, f"unknown key {key!r}; expected tokens")
        if not _is_budget(table.get("tokens")):
            raise inner.error(
                "tokens", f"tokens = {table.get('tokens')!r:.60}, expected a whole number from 1 to {MAX_BUDGET}"
            )
    return {workflow: table["tokens"] for workflow, table in tables.items()}


def _check_names(personas: dict[str, Persona]) -> None:
    owner: dict[str, Persona] = dict(personas)
    for persona in personas.values():
        for alias in persona.aliases:
            other = owner.get(alias)
            if alias in RESERVED or (other is not None and other is not persona):
                taken = "reserved" if other is None else f"taken by [personas.{other.name}]"
                where = max(persona, other or persona, key=_precedence).where
                raise ConfigError(
                    f"{where}: [personas.{persona.name}]: the alias {alias!r} is {taken}; "
                    f"every name may mean one persona only"
                )
            owner[alias] = persona


def _precedence(persona: Persona) -> bool:
    """The file to blame for a clash: never the package's defaults."""
    return persona.source != "package"


def _line(text: str, name: str, key: str | None = None, owner: str | None = None) -> int:
    """The line that declares `name`, or `key` in its table; 1 if it is written in an unusual way.

    `name` is a persona, or a workflow of the persona `owner`.
    """

    def quoted(word: str) -> str:
        return rf"[\"']?{re.escape(word)}[\"']?"

    within = r"personas\s*\.\s*" + (rf"{quoted(owner)}\s*\.\s*workflows\s*\.\s*" if owner else "")
    tables = [rf"\s*\[\s*({within})?{quoted(name)}\s*{end}" for end in (r"\]", r"\.")] + [rf"\s*{quoted(name)}\s*[.=]"]
    lines = text.splitlines()
    line = next(
        (number for table in tables for number, written in enumerate(lines, start=1) if re.match(table, written)), 1
    )
    if key is None:
        return line
    entry = re.compile(rf"\s*{quoted(key)}\s*[.=]")
    for number, written in enumerate(lines[line:], start=line + 1):
        if written.lstrip().startswith("["):
            break
        if entry.match(written):
            return number
    return line
