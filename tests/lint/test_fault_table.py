"""The tables of tests/foreign_hosts/README.md are whole, and name files, tests and rows that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lint.test_lint import ROOT

TEXT = (ROOT / "tests/foreign_hosts/README.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| ")]
FAULTS = {row[0]: row[-1] for row in ROWS if re.fullmatch(r"F\d+", row[0])}
REPORTS = {row[0]: row[-1] for row in ROWS if "#" in row[0]}


def text_of(path: Path) -> str:
    """The text of a file, or of the Python files of a folder."""
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def unknown(cell: str) -> list[str]:
    """What a cell names that is not there: paths, and after each one names that occur in it."""
    missing, text = [], ""
    for name in re.findall(r"`([^`]+)`", cell):
        if "/" in name:
            path = ROOT / name
            text = text_of(path) if path.exists() else ""
            missing += [] if path.exists() else [name]
        elif not re.search(rf"(def {name}\(|\"{name}\"|alertname: {name}|^\s*- alert: {name}$)", text, re.MULTILINE):
            missing.append(name)
    return missing


def test_table_has_every_fault_with_a_test() -> None:
    """F1 to F14, each with at least one path."""
    assert list(FAULTS) == [f"F{number}" for number in range(1, 15)]
    assert [number for number, cell in FAULTS.items() if "`" not in cell] == []


@pytest.mark.parametrize("table", [FAULTS, REPORTS], ids=["faults", "reports"])
def test_table_names_what_exists(table: dict[str, str]) -> None:
    """A test that is renamed or removed is missed here."""
    assert {key: missing for key, cell in table.items() if (missing := unknown(cell))} == {}


def test_row_that_names_nothing_is_found() -> None:
    """The check itself finds a missing file, test and row."""
    assert unknown("`tests/none.py`: `test_x`") == ["tests/none.py", "test_x"]
    assert unknown("`tests/foreign_hosts/`: `proxy`, `no-such-row`") == ["no-such-row"]
