"""`hypertool usage`: the ledger's sums as a person and a program read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypertool.cli import main
from tests.agents import homes
from tests.agents.ledgers import open_ledger, take_in


@pytest.fixture
def counted_session(home: Path) -> None:
    """Claude Code's recorded session, and nothing else, is in the ledger."""
    homes.install(home, "claude-code")
    take_in(open_ledger(), "claude-code", home)


def usage(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["usage", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("persona", ["backend-engineer"]),
        ("agent", ["claude-code"]),
        ("model", ["claude-opus-5-5", "claude-sonnet-5-5"]),
        ("day", ["2026-11-26"]),
        ("workspace", ["project"]),
        ("session", [f"claude-code {homes.CLAUDE_SESSION}"]),
    ],
)
@pytest.mark.usefixtures("counted_session")
def test_usage_groups(by: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every grouping has the same sum: the recorded session's six calls."""
    code, out, _ = usage(capsys, "--by", by, "--json", "--since", "9999d")
    document = json.loads(out)
    assert code == 0
    assert [row[by] for row in document["rows"]] == names
    assert document["total"] == {
        "calls": 6,
        "input": 6021,
        "cache_read": 201,
        "cache_write": 63,
        "output": 1221,
        "reasoning": 0,
        "tokens": 7506,
        "cost_usd": pytest.approx(0.0406868),
    }


@pytest.mark.usefixtures("counted_session")
def test_usage_since_leaves_out_what_is_older(capsys: pytest.CaptureFixture[str]) -> None:
    """Calls before the time that --since names are not shown."""
    _, out, _ = usage(capsys, "--since", "0s", "--json")
    assert json.loads(out)["rows"] == []


@pytest.mark.usefixtures("counted_session")
def test_usage_table_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    """A table with a row for each group and one for the total."""
    code, out, _ = usage(capsys, "--by", "model", "--since", "9999d")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["model", "claude-opus-5-5", "claude-sonnet-5-5", "total"]


def test_usage_of_nothing_says_the_next_step(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a ledger nothing is made, and the answer names the command that says why."""
    code, out, _ = usage(capsys)
    assert (code, "hypertool agents" in out) == (0, True)


@pytest.mark.parametrize("since", ["", "7", "d", "-1d", "7y", "1e3d", "9999999d"])
def test_usage_refuses_a_wrong_length(since: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong --since is an error that shows what is expected."""
    code, _, err = usage(capsys, f"--since={since}")
    assert (code, "7d or 12h" in err) == (2, True)
