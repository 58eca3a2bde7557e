"""`hypertool workflow test`: a prompt file's commands, run with stub tools and a scripted agent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.hypertool_host import Host

HEAD = """---
hypertool_enabled: true
workflow_type: cline
workflow_name: bug_fix
token_budget: 5500
---
# Bug fix
"""
STAGES = (
    ("investigation", "observability-expert", "bug-investigation", "sh -c '! make test'"),
    ("implement_fix", "backend-engineer", "bug-fix", "make test"),
    ("testing_validation", "testing-specialist", "bug-validation", "./scripts/check --all"),
)
EXITS = ("--exit", "make=1,0")


def text(**changes: str) -> str:
    found = HEAD
    for stage, persona, mode, command in STAGES:
        found += f"\n```bash\ntta-persona switch {persona} --chatmode {mode}\n```\n\nDo it.\n"
        gate = f"hypertool gate --quiet --workflow bug_fix --stage {stage} --persona {persona} -- {command}"
        found += f"\n```sh\n{changes.get(stage, gate)}\n```\n"
    return found + "\n```python\nraise SystemExit('not a shell block')\n```\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def tried(host: Host, content: str, *arguments: str, code: int = 0, **more: str) -> Any:
    (host.work / "bug.prompt.md").write_text(content)
    done = host.hypertool("workflow", "test", "bug.prompt.md", "--json", *arguments, **more)
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def test_trial_reports_what_is_measured(host: Host) -> None:
    """Switches, stages, gates and the planned tokens; the user's own store stays empty."""
    found = tried(host, text(), *EXITS)
    assert found["problems"] == []
    assert found["gates"] == [["bug_fix", stage, "pass", 1] for stage in sorted(one[0] for one in STAGES)]
    assert [row[:3] for row in found["tokens"]] == [
        ["backend-engineer", "bug-fix", "simulated"],
        ["observability-expert", "bug-investigation", "simulated"],
        ["testing-specialist", "bug-validation", "simulated"],
    ]
    assert sum(row[3] for row in found["tokens"]) == 2300
    assert ["none", "observability-expert", "bug-investigation", 1] in found["switches"]
    assert found["calls"] == {"make": 2, "scripts-check": 1}
    assert host.counters("qg") == {}
    assert (
        "everything that is declared is measured" in host.hypertool("workflow", "test", "bug.prompt.md", *EXITS).stdout
    )


def test_failing_gate_stops_the_trial(host: Host) -> None:
    """A gate that fails is named with its line, and later blocks are not run."""
    found = tried(host, text(), "--exit", "make=1", code=1)
    line = text().splitlines().index(next(one for one in text().splitlines() if "implement_fix" in one)) + 1
    assert found["problems"][0] == f"line {line}: the commands ended with exit code 1; 2 later blocks were not run"
    assert "the gate of the stage implement_fix failed" in found["problems"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("true", "the stage implement_fix has no gate"),
        (
            "hypertool gate --workflow bug_fix --stage implement_fix --persona data -- true",
            "was done by data-scientist, and is declared for backend-engineer",
        ),
        (
            "hypertool gate --workflow bug_fix --stage fix --persona data -- true",
            "for bug_fix / fix, which is no stage",
        ),
        ("sleep() { read -r -t 30 _ < <(:; while :; do :; done); }; sleep", "ran out of time"),
    ],
)
def test_trial_finds_what_is_not_measured(host: Host, command: str, said: str) -> None:
    """A stage without a gate, another persona, names that are not declared, commands that hang or are wrong."""
    found = tried(host, text(implement_fix=command), *EXITS, "--seconds", "3", code=1)
    assert any(said in problem for problem in found["problems"]), found["problems"]


def test_trial_needs_commands_and_a_switch(host: Host) -> None:
    """A file without commands, and one whose personas are never taken on."""
    assert "no block of shell commands" in tried(host, HEAD, code=1)["problems"][0]
    without = text().replace("tta-persona switch backend-engineer --chatmode bug-fix", "true")
    assert "no switch to backend-engineer" in tried(host, without, *EXITS, code=1)["problems"][0]


def test_trial_checks_the_budget(host: Host) -> None:
    """The planned tokens exceed the file's budget."""
    found = tried(host, text().replace("5500", "2000"), *EXITS, code=1)
    assert found["problems"] == ["2300 tokens were used, more than the token_budget of 2000"]


def test_trial_passes_no_credential_on(host: Host) -> None:
    """A file that is only tried sees nothing of the environment but locale, time zone, terminal and user name."""
    given = {"ANTHROPIC_API_KEY": "secret-1", "GRAFANA_CLOUD_TOKEN": "secret-2", "LANG": "C.UTF-8"}
    gate = "hypertool gate --workflow bug_fix --stage investigation --persona obs -- true"
    assert (
        tried(
            host, text(investigation=f'test "$LANG" = C.UTF-8; if env | grep secret; then exit 9; fi; {gate}'), **given
        )["problems"]
        == []
    )


def test_trial_touches_nothing_of_the_user(host: Host) -> None:
    """Tools are stubs, home and working directory are not the user's, and secrets of ours are not passed on."""
    (host.work / "precious").write_text("data")
    destructive = 'rm -rf precious ~/* "$HOME"; git push --force; test -z "$LANGFUSE_SECRET_KEY"; test ! -e precious'
    gate = "hypertool gate --workflow bug_fix --stage investigation --persona obs -- true"
    found = tried(
        host,
        text(investigation=f"{destructive}; {gate}"),
        LANGFUSE_SECRET_KEY="sk-x",
        LANGFUSE_HOST="http://127.0.0.1:1",
    )
    assert found["problems"] == []
    assert (found["calls"]["rm"], found["calls"]["git"]) == (1, 1)
    assert (host.work / "precious").read_text() == "data"
    assert os.path.isdir(host.home)


@pytest.mark.parametrize("option", [("--exit", "make"), ("--exit", "make=999"), ("--seconds", "0")])
def test_wrong_options_of_a_trial(host: Host, option: tuple[str, str]) -> None:
    """Wrong options are exit code 2."""
    (host.work / "bug.prompt.md").write_text(text())
    assert host.hypertool("workflow", "test", "bug.prompt.md", *option).returncode == 2
