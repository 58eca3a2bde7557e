"""The personas for a hook: from the ledger while no configuration file has changed, else loaded again."""

from __future__ import annotations

import json
import os
import sqlite3

from ...domain.personas import Catalogue, Persona, config_files, default_file, load_catalogue


def cached_catalogue(connection: sqlite3.Connection) -> Catalogue:
    """Every persona, as from `load_catalogue(strict=False)`; parsing TOML would take a fifth of a hook's time limit."""
    signature = _signature()
    row = connection.execute("SELECT data FROM personas WHERE signature = ?", (signature,)).fetchone()
    if row is not None:
        loaded_at, rows = json.loads(row[0])
        return Catalogue({fields[0]: _persona(fields) for fields in rows}, loaded_at)
    found = load_catalogue(strict=False)
    if signature == _signature():
        data = json.dumps([found.loaded_at, [list(persona) for persona in found.personas.values()]])
        connection.execute("DELETE FROM personas")
        connection.execute("INSERT OR REPLACE INTO personas VALUES (?, ?)", (signature, data))
    return found


def _persona(fields: list[object]) -> Persona:
    persona = Persona._make(fields)  # tuples became lists in JSON
    return persona._replace(
        aliases=tuple(persona.aliases), workflows=tuple((name, tokens) for name, tokens in persona.workflows)
    )


def _signature() -> str:
    stamps: list[object] = []
    for path in (default_file(), *config_files()):
        try:
            found = os.stat(path)
            stamps.append([str(path), found.st_ino, found.st_size, found.st_mtime_ns])
        except OSError:
            stamps.append([str(path), None])
    return json.dumps(stamps)
