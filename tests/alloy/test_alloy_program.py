"""Which Alloy the tests take: the one that is named, else the one on the PATH, else none; no wrong one silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alloy_program import alloy_program


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "alloy"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.delenv("ALLOY_BIN", raising=False)
    return program


def test_the_one_on_the_path_is_found(on_path: Path) -> None:
    assert alloy_program() == on_path


def test_the_one_that_is_named_wins(on_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "other"
    named.write_text("#!/bin/sh\n")
    named.chmod(0o755)
    monkeypatch.setenv("ALLOY_BIN", str(named))
    assert alloy_program() == named


def test_there_may_be_none(on_path: Path) -> None:
    on_path.unlink()
    assert alloy_program() is None


@pytest.mark.parametrize("wrong", ["missing", "bin"])
def test_name_of_no_program_is_an_error_not_a_skip(
    on_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """ALLOY_BIN with something that is no program fails the run; the tests are not skipped."""
    monkeypatch.setenv("ALLOY_BIN", str(tmp_path / wrong))
    with pytest.raises(ValueError, match=f"{wrong}.* is not a program"):
        alloy_program()
