"""What plays say is one line of words: folded YAML keeps a line break where the next line is indented further."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.lint.test_lint import ROOT

SAID = re.compile(r"(msg|text|summary)$")


def texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a file, with the key that it stands under."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from texts(below, str(key))
    elif isinstance(value, list):
        for below in value:
            yield from texts(below, name)
    elif isinstance(value, str):
        yield name, value


def broken(text: str) -> bool:
    """Whether a line break is left outside of expressions."""
    return "\n" in re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", text, flags=re.DOTALL)


def test_messages_of_plays_are_one_line() -> None:
    """A reader sees no raw line break in what a task prints."""
    files = sorted(Path(ROOT, "ansible").rglob("*.yml"))
    found = [
        f"{file.relative_to(ROOT)}: {name}: {text[:80]}"
        for file in files
        for name, text in texts(yaml.safe_load(file.read_text(encoding="utf-8")))
        if SAID.search(name) and broken(text)
    ]
    assert len(files) > 50
    assert found == []


def test_modules_answer_in_printable_text() -> None:
    """Each module ends through the frame, which writes out what a terminal would obey."""
    modules = sorted(Path(ROOT, "ansible/library").glob("*.py"))
    assert len(modules) > 15
    assert [file.name for file in modules if "AnsibleModule" in file.read_text(encoding="utf-8")] == []
