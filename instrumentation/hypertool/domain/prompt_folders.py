"""Prompt files that declare workflows to the whole host or user: in the folder beside a configuration file."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfigError

MAX_FILES = 100
ENDING = ".md"


def folder_of(configuration: Path) -> Path:
    """The folder of a configuration file, which need not exist: `hypertool.d` for `hypertool.toml`."""
    return configuration.with_suffix(".d")


def prompt_files(configuration: Path) -> list[Path]:
    """The prompt files beside a configuration file, sorted. Raises ConfigError for too many."""
    folder = folder_of(configuration)
    found: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(ENDING) and not entry.name.startswith("."):
                    found.append(entry.name)
                    if len(found) > MAX_FILES:
                        raise ConfigError(f"{folder}:1: has more than {MAX_FILES} prompt files; move some of them away")
    except OSError:
        return []  # no such folder, or one of another user
    return [folder / name for name in sorted(found)]
