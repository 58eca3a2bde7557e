"""The personas and workflows for a hook: from the ledger while no configuration file has changed, else loaded again."""

from __future__ import annotations

import contextlib
import json
import os

from ...domain.personas import Catalogue, Persona, all_files, default_file, load_catalogue
from ...domain.workflows import WORKFLOWS, Stage, Workflow
from ...runtime.light_modules import sqlite3
from ...runtime.light_typing import Any


def cached_catalogue(connection: sqlite3.Connection) -> Catalogue:
    """Everything declared, as `load_catalogue(strict=False)` gives it; TOML would take a fifth of a hook's time."""
    signature = _signature()
    row = connection.execute("SELECT data FROM personas WHERE signature = ?", (signature,)).fetchone()
    if row is not None:
        loaded_at, rows, *more = json.loads(row[0])
        personas = {fields[0]: _persona(fields) for fields in rows}
        own = {fields[0]: _workflow(fields) for fields in (more[0] if more else ())}
        return Catalogue(personas, loaded_at, workflows={**WORKFLOWS, **own} if own else WORKFLOWS)
    found = load_catalogue(strict=False)
    if signature == _signature():
        declared = [list(workflow) for workflow in found.workflows.values() if workflow.source != "package"]
        data = json.dumps([found.loaded_at, [list(persona) for persona in found.personas.values()], declared])
        with contextlib.suppress(sqlite3.OperationalError):  # another process writes: a later hook keeps it
            connection.execute("DELETE FROM personas")
            connection.execute("INSERT OR REPLACE INTO personas VALUES (?, ?)", (signature, data))
    return found


def _persona(fields: list[object]) -> Persona:
    persona = Persona._make(fields)  # tuples became lists in JSON
    return persona._replace(
        aliases=tuple(persona.aliases),
        workflows=tuple((name, tokens) for name, tokens in persona.workflows),
        tools=tuple(persona.tools),
        servers=tuple(persona.servers),
        restricted_paths=tuple(persona.restricted_paths),
    )


def _workflow(fields: list[Any]) -> Workflow:
    name, stages, *others = fields
    return Workflow(name, tuple(Stage._make(stage) for stage in stages), *others)


def _signature() -> str:
    stamps: list[object] = []
    for path in (default_file(), *all_files()):
        try:
            found = os.stat(path)
            stamps.append([str(path), found.st_ino, found.st_size, found.st_mtime_ns])
        except OSError:
            stamps.append([str(path), None])
    return json.dumps(stamps)
