"""Every finding of tests/SHARED_HOST.md has a test that carries its number, and every number is a finding there."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
MARK = "pytest.mark.shared_host("


def listed() -> list[str]:
    return re.findall(r"^\| (S\d+) \|", (TESTS / "SHARED_HOST.md").read_text(encoding="utf-8"), re.M)


def marks(node: ast.AST) -> Iterator[str]:
    """The numbers of every such mark below a node."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call).startswith(MARK):
            yield from (ast.literal_eval(one) for one in call.args)


def marked() -> Iterator[tuple[str, str]]:
    """Number and test of every mark: on a test function, or on a file that has tests."""
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if MARK not in text:
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for decorator in node.decorator_list:
                    yield from ((number, f"{path.name}::{node.name}") for number in marks(decorator))
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
                yield from ((number, path.name) for number in marks(node))


def test_every_finding_has_a_test() -> None:
    covered = {number for number, _ in marked()}
    assert [number for number in listed() if number not in covered] == []


def test_every_number_is_a_finding() -> None:
    assert [mark for mark in marked() if mark[0] not in listed()] == []


def test_findings_are_listed_once() -> None:
    assert listed() == [f"S{number}" for number in range(1, 31)]


@pytest.mark.shared_host("S27")
def test_npm_packages_have_lock_files() -> None:
    """What npm installs is written down with its hashes, beside every package file of the repository."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--", "*package.json"], cwd=TESTS.parent, capture_output=True, text=True, check=True
    ).stdout
    found = [TESTS.parent / name for name in files.split("\0") if name]
    assert found
    for file in found:
        lock = json.loads(file.with_name("package-lock.json").read_text(encoding="utf-8"))
        packages = [about for name, about in lock["packages"].items() if name and not about.get("link")]
        assert [about for about in packages if "integrity" not in about] == [], file
