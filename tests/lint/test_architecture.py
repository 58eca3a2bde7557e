"""docs/architecture.md names files, names and rooms that exist, and generated files are what their generators write."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lint.test_lint import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "instrumentation" / "hypertool"


def existing(name: str) -> Path | None:
    """The file that the text means: a path from the top, or from the package."""
    return next((path for path in (ROOT / name, PACKAGE / name) if path.exists()), None)


def test_every_named_file_exists() -> None:
    """Each path in code marks that looks like a file or folder is one."""
    named = {name for name in re.findall(r"`([\w./-]+)`", TEXT) if "/" in name or name.endswith((".py", ".md"))}
    assert len(named) > 50
    assert sorted(name for name in named if existing(name) is None) == []


def test_every_name_is_where_the_table_says() -> None:
    """A row of the table *Where is ...?* leads to a file that has that name in it."""
    rows = re.findall(r"^\| [^|`]+ \| `([^`]+)` \| (?:`(\w+)` )?\|$", TEXT, re.M)
    assert len(rows) > 15
    lost = [(file, name) for file, name in rows if not re.search(rf"\b{name}\b", (ROOT / file).read_text())]
    assert lost == []


def test_every_room_is_in_the_table() -> None:
    """Each folder and module on the package's top level has its line."""
    rooms = {f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    rooms |= {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert sorted(room for room in rooms if f"`{room}`" not in TEXT) == []


def test_floors_are_those_of_the_linter() -> None:
    """The table has each room on the floor where import-linter holds it; 10 layers and 20 names are the most."""
    settings = re.search(r"^layers = \[\n(.+?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    assert settings is not None
    layers = [re.findall(r"\w+", line) for line in reversed(settings.group(1).splitlines())]
    table = re.findall(r"^\| (\d+) \| `(\w+)(?:/|\.py)` \|", TEXT, re.M)
    assert {(int(floor), room) for floor, room in table} == {
        (floor, room) for floor, rooms in enumerate(layers) if floor for room in rooms
    }
    assert len(layers) <= 10
    assert sum(map(len, layers)) <= 20


def test_settings_are_read_in_one_place() -> None:
    """Only the table of settings names a variable as the key of the environment."""
    read = re.compile(r"(environ|getenv)\S*[\[(]\s*[\"']HYPERTOOL_")
    readers = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if read.search(path.read_text())]
    assert readers == []


def generators() -> list[str]:
    named = re.search(r"^GENERATORS := (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert named is not None
    return named.group(1).split()


@pytest.mark.parametrize("generator", generators())
def test_generated_files_are_up_to_date(generator: str) -> None:
    """`make generate` would change nothing."""
    command = [sys.executable, "-m", generator, "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
