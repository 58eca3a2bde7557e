"""Personas, their budgets and the declared workflows: read from TOML, merged, and looked up by name or alias."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import ConfigError
from ..runtime.home import own_home
from ..runtime.light_typing import TYPE_CHECKING, Any
from ..runtime.logs import once
from ..runtime.settings import CONFIG
from .persona_tables import RESERVED as RESERVED
from .persona_tables import UNKNOWN as UNKNOWN
from .persona_tables import UNKNOWN_PERSONA, Place, check_names, line_of, persona_from
from .persona_tables import WINDOWS as WINDOWS
from .persona_tables import Persona as Persona
from .persona_tables import is_name as is_name
from .prompt_folders import prompt_files
from .workflows import WORKFLOWS, Workflow

if TYPE_CHECKING:
    from .toml_files import TomlFile
    from .workflow_files import Finding

HOST_FILE = Path("/etc/hypertool/hypertool.toml")
_DEFAULTS = Path(__file__).with_name("personas.toml")
# Generated from it: the TOML parser would take 5 ms of every command's start.
DEFAULTS_PARSED = Path(__file__).with_name("personas.json")


class Catalogue:
    """All known personas and workflows. Between two processes' limits the newer `loaded_at` (seconds since the epoch)
    wins.

    `unknown_persona` is what an LLM call with an unknown persona does: "error" raises ValueError, "count" counts it as
    persona `unknown`.
    """

    def __init__(
        self,
        personas: dict[str, Persona],
        loaded_at: float,
        unknown_persona: str = "error",
        workflows: Mapping[str, Workflow] = WORKFLOWS,
    ) -> None:
        self.personas = personas
        self.loaded_at = loaded_at
        self.unknown_persona = unknown_persona
        self.workflows = workflows
        self._by_any_name = dict(personas)
        # The persona with that name or alias, or None; an attribute, because every LLM call asks.
        self.find = self._by_any_name.get
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
        place = Place(Path("declare_persona"), "", persona.name)
        try:
            checked = persona_from(None, persona.name, table, place, "code")
            known = self.personas.get(persona.name)
            if known is not None and known.source not in ("package", "code"):
                return
            if known is not None and known[:5] != checked[:5]:
                raise place.error(
                    None,
                    f"it is known already, with {known.tokens} tokens per {known.window}; change its budget in a "
                    f"[personas.{known.name}] table of {HOST_FILE} or the user's own file",
                )
            check_names({**self.personas, persona.name: checked})
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
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(own_home(), ".config")
    return Path(base) / "hypertool" / "hypertool.toml"


def config_files() -> list[Path]:
    """The existing files that are read after the package's defaults, in order.

    `HYPERTOOL_CONFIG` replaces the host's and the user's file; it must exist.
    """
    chosen = CONFIG.read()
    if chosen:
        return [Path(chosen)]
    return [path for path in (HOST_FILE, user_file()) if os.path.exists(path)]


def prompt_paths() -> list[Path]:
    """The prompt files beside the host's and the user's configuration, or beside that of `HYPERTOOL_CONFIG`.

    Raises ConfigError for too many.
    """
    chosen = CONFIG.read()
    beside = (Path(chosen),) if chosen else (HOST_FILE, user_file())
    return [path for configuration in beside for path in prompt_files(configuration)]


def all_files() -> list[Path]:
    """Every existing file that declares personas or workflows; without prompt files where there are too many."""
    try:
        return [*config_files(), *prompt_paths()]
    except ConfigError:
        return config_files()


def config_signature() -> list[tuple[str, int]]:
    """A value that changes whenever a file of the configuration does: paths with modification times (ns)."""
    found = []
    for path in all_files():
        try:
            found.append((str(path), path.stat().st_mtime_ns))
        except OSError:
            found.append((str(path), 0))
    return found


def load_catalogue(strict: bool = True) -> Catalogue:
    """Defaults, then the host's file, then the user's, merged persona by persona and key by key; workflows likewise,
    then those of the prompt files beside them.

    Raises ConfigError (file, line, reason) where `strict`; otherwise logs it once and returns the defaults, or leaves
    out a prompt file.
    """
    now = time.time()
    defaults = _Merged()
    defaults.add_defaults()
    try:
        merged = _Merged(defaults)
        for path in config_files():
            merged.add(path, str(path))
        merged.finish()
        merged.raise_first()
    except ConfigError as error:
        if strict:
            raise
        once.warn(str(error), f"{error}; using the default personas and workflows")
        merged = defaults
    try:
        merged.add_prompts(prompt_paths())
        merged.raise_first()
    except ConfigError as error:
        if strict:
            raise
        once.warn(str(error), f"{error}; going on without this prompt file")
    return merged.catalogue(now)


def check_files(paths: Iterable[Path], prompts: Iterable[Path] = ()) -> tuple[Catalogue, list[Finding]]:
    """What these files declare over the package's defaults, and every problem found, for `hypertool workflow lint`.

    Of the personas' problems it is the first, as ConfigError tells it.
    """
    merged = _Merged()
    merged.add_defaults()
    for path in paths:
        try:
            merged.add(path, str(path))
        except ConfigError as error:
            merged.findings.append(finding_of(error, str(path)))
    try:
        merged.finish()
    except ConfigError as error:
        merged.findings.append(finding_of(error, ""))
    merged.add_prompts(prompts)
    return merged.catalogue(time.time()), merged.findings


class _Merged:
    """What the files read so far declare."""

    def __init__(self, before: _Merged | None = None) -> None:
        self.personas: dict[str, Persona] = dict(before.personas) if before is not None else {}
        self.workflows: dict[str, Workflow] = dict(WORKFLOWS)
        self.unknown_persona = "error"
        self.findings: list[Finding] = []
        self._files: dict[str, TomlFile] = {}

    def raise_first(self) -> None:
        """Raise the first finding, if there is one, as a ConfigError."""
        if self.findings:
            raise ConfigError(str(self.findings[0]))

    def add_defaults(self) -> None:
        """Merge the package's own personas."""
        for name, table in json.loads(DEFAULTS_PARSED.read_bytes())["personas"].items():
            self.personas[name] = persona_from(None, name, table, Place(_DEFAULTS, "", name), "package")

    def add(self, path: Path, source: str) -> None:
        """Merge a file. Raises ConfigError, except for problems of workflows, which become `findings`."""
        from .toml_files import TomlFile

        file = TomlFile(path)
        self._files[source] = file
        unexpected = sorted(file.document.keys() - {"personas", "unknown_persona", "workflows"})
        if unexpected:
            raise ConfigError(
                f"{path}:{line_of(file.text, unexpected[0])}: unknown top-level key {unexpected[0]!r}; "
                f"expected [personas.<name>] and [workflows.<name>] tables and unknown_persona"
            )
        self.unknown_persona = _unknown_persona(file) or self.unknown_persona
        tables = file.document.get("personas", {})
        if not isinstance(tables, dict):
            raise ConfigError(
                f"{path}:{line_of(file.text, 'personas')}: `personas` must be tables like "
                f"[personas.backend-engineer], not {tables!r:.60}"
            )
        for name, table in tables.items():
            known = self.personas.get(name)
            self.personas[name] = persona_from(known, name, table, Place(path, file.text, name), source)
        if "workflows" in file.document:
            from .workflow_files import merge_workflows

            found = merge_workflows(self.workflows, file.document["workflows"], source, file.line)
            self.workflows, problems = found
            self.findings += problems

    def finish(self) -> None:
        """Check what only all files together show. Raises ConfigError for the names of personas."""
        check_names(self.personas)
        if not any(workflow.source != "package" for workflow in self.workflows.values()):
            return
        from .workflow_files import at, persona_problems, with_full_names

        names = {alias: p.name for p in self.personas.values() for alias in (p.name, *p.aliases)}
        for workflow in list(self.workflows.values()):
            problems = persona_problems(workflow.stages, ("workflows", workflow.name), names)
            if problems:
                file = self._files[workflow.source]
                found = [p._replace(reason=f"[workflows.{workflow.name}]: {p.reason}") for p in problems]
                self.findings += [at(problem, workflow.source, file.line) for problem in found]
                del self.workflows[workflow.name]
            else:
                self.workflows[workflow.name] = with_full_names(workflow, names)

    def add_prompts(self, paths: Iterable[Path]) -> None:
        """Merge the workflows of prompt files, each over those before it; problems become `findings`."""
        for path in paths:
            from .front_matter import check_prompt, read_prompt

            try:
                prompt = read_prompt(path)
            except ConfigError as error:
                self.findings.append(finding_of(error, str(path)))
                continue
            workflow, findings = check_prompt(prompt, self)
            self.findings += findings
            if workflow is not None and prompt.values["hypertool_enabled"]:
                self.workflows[workflow.name] = workflow

    def catalogue(self, loaded_at: float) -> Catalogue:
        """Everything that has no problem."""
        return Catalogue(self.personas, loaded_at, self.unknown_persona, self.workflows)


def _unknown_persona(file: TomlFile) -> str | None:
    found = file.document.get("unknown_persona")
    if found is not None and found not in UNKNOWN_PERSONA:
        raise ConfigError(
            f"{file.path}:{line_of(file.text, 'unknown_persona')}: unknown_persona = {found!r:.60}, expected one of "
            f"{', '.join(UNKNOWN_PERSONA)}"
        )
    return found


def finding_of(error: ConfigError, path: str) -> Finding:
    """An error with file and line as a finding."""
    from .workflow_files import Finding

    found = re.match(r"(?P<file>.+?):(?P<line>\d+): (?P<reason>.*)", str(error), re.DOTALL)
    if found is None:
        return Finding(path, 1, str(error), "name a file that exists and may be read")
    reason, _, remedy = found["reason"].partition("; ")
    if not remedy:
        reason, _, remedy = found["reason"].partition(", expected ")
        remedy = f"expected {remedy}" if remedy else "correct it"
    return Finding(found["file"], int(found["line"]), reason, remedy)
