"""`python3 -m prometheus.generator` writes the generated parts; `--check` only says which file is out of date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from . import kept, overview_page, rule_files, runbook

FOLDER = Path(__file__).resolve().parents[1]


def outputs() -> Iterator[tuple[Path, str]]:
    """Each generated file with its expected text."""
    rules = {path: rule_files.filled(path.read_text(encoding="utf-8")) for path in rule_files.paths()}
    yield from rules.items()
    yield from runbook.outputs(list(rules.values()))
    yield from kept.outputs()
    yield from overview_page.outputs()


def main() -> int:
    """Write the files, or compare them with --check; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m prometheus.generator", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    check = parser.parse_args().check
    stale = 0
    for path, text in outputs():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            print(f"{path.relative_to(FOLDER.parent)} is out of date: run python3 -m prometheus.generator")
            stale = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(FOLDER.parent)}")
    return stale


if __name__ == "__main__":
    sys.exit(main())
