"""Writes the prompt and persona files of this repository (`--check` compares): `python3 -m hypertool.prompts`."""

from __future__ import annotations

import sys
from pathlib import Path

from ..domain.personas import check_files
from .export import export
from .source import prompts
from .targets import files_for, places

ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    """Returns 1 where a file differs from what would be written, or was edited."""
    check = "--check" in sys.argv[1:]
    catalogue, _ = check_files(())
    files = files_for(None, prompts(catalogue), list(catalogue.personas.values()))
    results = [
        result
        for result in export(files, str(ROOT), check=check, places=places(None), prune=True)
        if result.state != "same"
    ]
    for result in results:
        print(f"{result.state} {result.file.path} {result.reason}".rstrip())
    return 1 if any(result.reason for result in results) or (check and results) else 0


if __name__ == "__main__":
    sys.exit(main())
