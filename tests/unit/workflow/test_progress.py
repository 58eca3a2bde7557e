"""`hypertool workflow next`: the stage that comes next in the workspace, as gates close the stages before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.hypertool_host import Host

CONFIG = """
[workflows.mine]
[[workflows.mine.stages]]
name = "plan"
persona = "backend"
tokens = 10
gate = '''echo "it's"; true'''
[[workflows.mine.stages]]
name = "build"
persona = "devops-engineer"
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = Host(tmp_path)
    found.config.write_text(CONFIG)
    return found


def following(host: Host, *arguments: str, cwd: Path | None = None) -> Any:
    done = host.hypertool("workflow", "next", *arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def gate(host: Host, stage: str, command: str, **more: str) -> None:
    names = ("--workflow", "mine", "--stage", stage, "--persona", "backend")
    done = host.hypertool("gate", *names, "--", command, **more)
    assert done.stderr == ""


def test_next_follows_the_gates(host: Host) -> None:
    """Nothing started, first stage, failed, passed, done, and begun anew; each workspace has its own."""
    assert following(host)["workflow"] is None
    assert "none" in host.hypertool("workflow", "next").stdout
    assert following(host, "mine")["stage"]["name"] == "plan"
    gate(host, "plan", "false")
    found = following(host)
    assert (found["stage"]["name"], found["state"], found["passed"], found["total"]) == ("plan", "failed", 0, 2)
    gate(host, "plan", "true")
    found = following(host)
    assert (found["stage"]["name"], found["stage"]["persona"], found["passed"]) == ("build", "devops-engineer", 1)
    other = host.work.parent / "elsewhere"
    other.mkdir()
    assert following(host, cwd=other)["workflow"] is None
    gate(host, "build", "true")
    found = following(host)
    assert (found["stage"], found["state"], found["passed"]) == (None, "done", 2)
    gate(host, "plan", "true")
    assert following(host)["stage"]["name"] == "build"


def test_next_prints_commands_to_paste(host: Host) -> None:
    """What `next` prints for the gate is quoted, and closes the stage when it is pasted."""
    shown = host.hypertool("workflow", "next", "mine").stdout
    (line,) = [line.split(None, 1)[1] for line in shown.splitlines() if line.startswith("finish")]
    assert "tta-persona switch backend-engineer --chatmode default" in shown
    program = f'hypertool() {{ {" ".join(_quoted(host))} "$@"; }}; {line}'
    done = host.start(["bash", "-c", program], 30)
    assert (done.returncode, done.stdout) == (0, "it's\n")
    assert following(host)["stage"]["name"] == "build"


def _quoted(host: Host) -> list[str]:
    import shlex

    return [shlex.quote(word) for word in host.command()]


def test_gates_of_a_run_are_not_noted(host: Host) -> None:
    """`hypertool workflow run` keeps its own progress: gates inside it, and of undeclared names, change nothing."""
    gate(host, "plan", "true", HYPERTOOL_RUN_ID="a" * 32)
    gate(host, "unheard", "true")
    assert following(host)["workflow"] is None


@pytest.mark.parametrize("content", [b"{", b"\xff\0", b"[]", b'{"format": 9}', b"[" * 100_000])
def test_damaged_progress_is_named(host: Host, content: bytes) -> None:
    """A file that cannot be understood is an error that names it; gates keep their exit code."""
    gate(host, "plan", "true")
    (file,) = host.state.rglob("workflows-*/*.json")
    file.write_bytes(content)
    done = host.hypertool("workflow", "next")
    assert (done.returncode, str(file) in done.stderr, len(done.stderr.splitlines())) == (1, True, 1)
    names = ("--workflow", "mine", "--stage", "plan", "--persona", "backend")
    done = host.hypertool("gate", *names, "--", "sh", "-c", "exit 7")
    assert (done.returncode, str(file) in done.stderr) == (7, True)


def test_a_workflow_that_is_gone_is_named(host: Host) -> None:
    """The current workflow is no longer declared."""
    gate(host, "plan", "true")
    host.config.write_text("")
    done = host.hypertool("workflow", "next")
    assert (done.returncode, "unknown workflow 'mine'" in done.stderr) == (2, True)
