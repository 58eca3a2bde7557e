"""Names come from files and folders of others: no command sends a terminal what it would obey."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from hypertool import cli
from hypertool.cli import main

#: These write what a terminal obeys on purpose, or pass on what a person's own command has printed.
ON_PURPOSE = {"output.py", "status_line.py", "quiet.py"}


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--line"),
        ("list",),
        ("current",),
        ("budget",),
        ("switch", "backend"),
        ("agents",),
        ("agents", "doctor"),
        ("agents", "install", "claude-code", "--scope", "project", "--check"),
        ("workflow", "list"),
        ("workflow", "lint"),
        ("workflow", "lint", "a\x1b]0;x\x07.prompt.md"),
        ("workflow", "show", "a\x1b]0;x\x07.prompt.md"),
        ("workflow", "test", "a\x1b]0;x\x07.prompt.md"),
        ("workflow", "export", "claude-code", "--into", "."),
        ("report", "--out", "x\x1b]0;x\x07.html"),
        ("nothing\x1b[31m",),
    ],
    ids="-".join,
)
def test_names_are_shown_and_not_obeyed(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Folder, prompt file, workflow and persona have names with control characters in them."""
    place = tmp_path / "r\x1b]0;x\x07\x9b\u202e"
    (place / ".git").mkdir(parents=True)
    front = 'hypertool_enabled: true\nworkflow_name: "w\\e[31m"\nstages: [{name: "s\\e[31m", persona: "p\\e[31m"}]'
    (place / "a\x1b]0;x\x07.prompt.md").write_text(f"---\n{front}\n---\n")
    (tmp_path / "c.toml").write_text('[personas."a\\u001b[31m"]\ntokens = 5\n[workflows."w\\u001b[31m"]\nstages = []\n')
    if words[0] in ("list", "workflow"):  # others end at its error, too
        monkeypatch.setenv("HYPERTOOL_CONFIG", str(tmp_path / "c.toml"))
    monkeypatch.chdir(place)
    with contextlib.suppress(SystemExit):
        main(list(words))
    said = "".join(capfd.readouterr())
    assert said
    assert [one for one in said if not (one.isprintable() or one == "\n")] == []


def test_commands_print_through_say() -> None:
    """A new command cannot forget it."""
    files = [one for one in Path(cli.__file__).parent.glob("*.py") if one.name not in ON_PURPOSE]
    assert len(files) > 20
    assert [one.name for one in files if re.search(r"(?<![\w.])print\(", one.read_text(encoding="utf-8"))] == []
