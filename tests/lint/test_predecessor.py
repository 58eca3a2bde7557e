"""Every defect of tests/PREDECESSOR.md has a test that carries its number, and every number is a defect there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def listed() -> list[str]:
    return re.findall(r"^\| (D\d+) \|", (TESTS / "PREDECESSOR.md").read_text(encoding="utf-8"), re.M)


def marked() -> Iterator[tuple[str, str]]:
    """Number and test of every mark on a test function."""
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.predecessor(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
                for decorator in node.decorator_list:
                    if ast.unparse(decorator).startswith("pytest.mark.predecessor(") and isinstance(
                        decorator, ast.Call
                    ):
                        yield from ((ast.literal_eval(one), f"{path.name}::{node.name}") for one in decorator.args)


def test_every_listed_defect_is_held_off_by_a_test() -> None:
    assert set(listed()) - {number for number, _ in marked()} == set()


def test_every_number_on_a_test_is_a_listed_defect() -> None:
    assert [mark for mark in marked() if mark[0] not in listed()] == []


def test_defects_are_all_listed_once() -> None:
    """Every known defect of the predecessor's metrics, tracing and LLM code is listed once."""
    numbers = listed()
    assert len(set(numbers)) == len(numbers)
    assert {f"D{number}" for number in range(1, 21)} <= set(numbers)
