"""One persona and its budget, and the table that declares it in a file."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ConfigError
from ..runtime.light_typing import Any, NamedTuple

UNKNOWN = "unknown"  # the persona of an LLM call that names none; it has no budget
RESERVED = frozenset({"none", UNKNOWN, "other"})
WINDOWS = ("run", "hour", "day")
ON_EXCEED = ("warn", "block")
UNKNOWN_PERSONA = ("error", "count")
MAX_BUDGET = 10**12

_NAME = r"[a-z0-9](?:[a-z0-9_.-]{0,98}[a-z0-9])?"  # compiled when it is first needed: hooks never do
_PROFILE = ("description", "tools", "servers", "restricted_paths")
_KEYS = {"tokens", "window", "on_exceed", "aliases", "workflows", *_PROFILE}


def is_name(text: str) -> bool:
    """Whether this is a valid name of a persona."""
    return re.fullmatch(_NAME, text) is not None


class Persona(NamedTuple):
    """A persona and its budget: `tokens` per `window` ("run", "hour" or "day", UTC); `workflows` lists
    workflows whose runs have another budget. What its files say (`persona_profile`): a `description`, `tools` (none:
    all of them), MCP `servers`, and `restricted_paths` that it must not change.
    """

    name: str
    tokens: int
    window: str = "run"
    on_exceed: str = "warn"
    aliases: tuple[str, ...] = ()
    source: str = "package"
    where: str = ""  # file and line of its names, for error messages
    workflows: tuple[tuple[str, int], ...] = ()
    description: str = ""
    tools: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    restricted_paths: tuple[str, ...] = ()

    def tokens_in(self, workflow: str | None) -> int:
        """The budget of one run of that workflow."""
        for name, tokens in self.workflows:
            if name == workflow:
                return tokens
        return self.tokens


class Place(NamedTuple):
    """Where a persona is declared, for error messages."""

    path: Path
    text: str
    persona: str
    workflow: str | None = None

    def error(self, key: str | None, reason: str) -> ConfigError:
        """The error that names file, line, table and reason."""
        line = line_of(self.text, self.workflow or self.persona, key, self.workflow and self.persona)
        inner = f".workflows.{self.workflow}" if self.workflow else ""
        return ConfigError(f"{self.path}:{line}: [personas.{self.persona}{inner}]: {reason}")


def persona_from(known: Persona | None, name: str, table: Any, place: Place, source: str) -> Persona:
    if name in RESERVED or not is_name(name):
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
    if not isinstance(aliases, list) or not all(isinstance(a, str) and is_name(a) for a in aliases):
        raise place.error("aliases", f"aliases = {aliases!r:.80}, expected a list of lower-case names")
    workflows = {**dict(persona.workflows), **_workflows(table.get("workflows", {}), place)}
    if workflows and window != "run":
        raise place.error(
            "window" if "window" in table else None,
            f"the budget for the workflow {next(iter(workflows))!r} is one of each run, and cannot go "
            f'with window = {window!r}, expected "run"',
        )
    # Errors never blame the package's own file, so that its lines are not looked for at each start.
    line = 1 if source == "package" else line_of(place.text, name, "aliases" if "aliases" in table else None)
    return persona._replace(
        tokens=tokens,
        window=window,
        on_exceed=on_exceed,
        aliases=tuple(aliases),
        source=source,
        where=f"{place.path}:{line}",
        workflows=tuple(workflows.items()),
        **_profile(table, place, source),
    )


def _profile(table: dict[str, Any], place: Place, source: str) -> dict[str, Any]:
    """The given keys of the profile; those of the package are known to be right."""
    given = {key: table[key] for key in _PROFILE if key in table}
    if given and source != "package":
        from .persona_profile import problem

        wrong = problem(given)
        if wrong is not None:
            raise place.error(*wrong)
    return {key: tuple(dict.fromkeys(value)) if isinstance(value, list) else value for key, value in given.items()}


def _is_budget(tokens: Any) -> bool:
    return isinstance(tokens, int) and not isinstance(tokens, bool) and 1 <= tokens <= MAX_BUDGET


def _workflows(tables: Any, place: Place) -> dict[str, int]:
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


def check_names(personas: dict[str, Persona]) -> None:
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


def line_of(text: str, name: str, key: str | None = None, owner: str | None = None) -> int:
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
