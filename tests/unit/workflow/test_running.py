"""`hypertool workflow run`: stages with agents and gates, measured, stopped, retried, interrupted and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.hypertool_host import Host, wait_until
from tests.support.otlp_receiver import OtlpReceiver

HEAD = """
[personas.architect]
tokens = 900
[workflows.mine]
chatmode = "shipping"
token_budget = 5000
on_fail = "{on_fail}"
retries = 2
backoff_seconds = 0.01
agent = "{agent}"
"""
STAGES = (("plan", "architect"), ("build", "backend"), ("check", "testing"))
BOUND = "$HYPERTOOL_PERSONA $HYPERTOOL_CHATMODE $HYPERTOOL_WORKFLOW $HYPERTOOL_RUN_ID $TRACEPARENT"
SAY = f"sh -c 'echo {{stage}} {BOUND} >> said'"


class Mine:
    """A host with the workflow `mine`; its gates append to `gates` and do what `gate` says."""

    def __init__(self, root: Path) -> None:
        self.host = Host(root)
        self.declare()

    def declare(self, on_fail: str = "stop", agent: str = SAY, **gates: str) -> None:
        text = HEAD.format(on_fail=on_fail, agent=agent.replace('"', '\\"'))
        for name, persona in STAGES:
            gate = gates.get(name, "true")
            text += f"[[workflows.mine.stages]]\nname = '{name}'\npersona = '{persona}'\ntokens = 100\n"
            text += f"gate = '''echo {name} >> gates; {gate}'''\n"
        self.host.config.write_text(text)

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.host.hypertool("workflow", "run", *arguments, **more)

    def report(self, *arguments: str, code: int = 0, **more: str) -> Any:
        done = self.run(*arguments, "--json", **more)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def gates(self) -> list[str]:
        path = self.host.work / "gates"
        return path.read_text().split() if path.exists() else []

    def counted(self) -> dict[tuple[str, str], int]:
        return {(key[1], key[2]): value for key, value in self.host.counters("qg").items()}


@pytest.fixture
def mine(tmp_path: Path) -> Mine:
    return Mine(tmp_path)


def test_run_measures_every_stage(mine: Mine) -> None:
    """Agents get persona, chatmode, workflow, run id and trace; stages, gates, switches and one trace are recorded."""
    with OtlpReceiver() as receiver:
        report = mine.report("mine", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        sent = {span.name: span for span in receiver.wait(4)}
    assert (report["decision"], mine.gates()) == ("passed", ["plan", "build", "check"])
    said = [line.split() for line in (mine.host.work / "said").read_text().splitlines()]
    assert [line[:4] for line in said] == [
        ["plan", "architect", "shipping", "mine"],
        ["build", "backend-engineer", "shipping", "mine"],
        ["check", "testing-specialist", "shipping", "mine"],
    ]
    assert {line[4] for line in said} == {report["run_id"]}
    root = sent["workflow.mine"]
    for stage, *_, traceparent in said:
        span = sent[f"stage.{stage}"]
        assert traceparent.split("-")[1:3] == [span.trace_id, span.span_id]
        assert (span.trace_id, span.parent_id) == (root.trace_id, root.span_id)
    assert mine.counted() == {(stage, "pass"): 1 for stage, _ in STAGES}
    assert mine.host.counters("sw") == {
        ("none", "architect", "shipping"): 1,
        ("architect", "backend-engineer", "shipping"): 1,
        ("backend-engineer", "testing-specialist", "shipping"): 1,
    }
    assert json.loads(mine.host.hypertool("workflow", "next", "--json").stdout)["state"] == "done"


def test_stop_and_resume(mine: Mine) -> None:
    """A failed gate stops the run with its reason; --resume continues at that stage, and passed ones are kept."""
    mine.declare(build="test -e mended")
    done = mine.run("mine")
    assert done.returncode == 1
    assert "gate failed (gate exit code 1)" in done.stderr
    assert "continue it with `hypertool workflow run --resume`" in done.stdout
    assert mine.gates() == ["plan", "build"]
    (mine.host.work / "mended").touch()
    report = mine.report("--resume")
    assert [(one["stage"], one["attempt"]) for one in report["attempts"]] == [("build", 2), ("check", 1)]
    assert mine.counted() == {("plan", "pass"): 1, ("build", "fail"): 1, ("build", "pass"): 1, ("check", "pass"): 1}
    done = mine.run("--resume")
    assert (done.returncode, "has ended" in done.stderr) == (2, True)


def test_retry_is_bounded(mine: Mine) -> None:
    """A failed stage is tried again, each try is a gate; after the last one the run stops."""
    mine.declare("retry", build="false")
    report = mine.report("mine", code=1)
    assert [one["attempt"] for one in report["attempts"] if one["stage"] == "build"] == [1, 2, 3]
    assert mine.counted() == {("plan", "pass"): 1, ("build", "fail"): 3}
    mine.declare("retry", plan="test $(grep -c plan gates) -ge 3")
    (mine.host.work / "gates").unlink()
    assert [one["passed"] for one in mine.report("mine")["attempts"]] == [False, False, True, True, True]


def test_continue_goes_to_the_end(mine: Mine) -> None:
    """With on_fail = continue, later stages run, and the exit code still says that a gate failed."""
    mine.declare("continue", plan="false")
    report = mine.report("mine", code=1)
    assert (report["decision"], [one["passed"] for one in report["attempts"]]) == ("failed", [False, True, True])


def test_from_a_stage(mine: Mine) -> None:
    """--from skips the stages before; an unknown stage names the known ones."""
    assert [one["stage"] for one in mine.report("mine", "--from", "check")["attempts"]] == ["check"]
    done = mine.run("mine", "--from", "chekc")
    assert (done.returncode, "plan, build, check" in done.stderr) == (2, True)


def test_dry_run_runs_nothing(mine: Mine) -> None:
    """--dry-run prints the commands; nothing is run, recorded or remembered."""
    done = mine.run("mine", "--dry-run", "--agent", "claude -p {prompt} --x '{stage} {other}'")
    assert done.returncode == 0
    assert "--x 'build {other}'" in done.stdout
    assert (mine.gates(), mine.counted()) == ([], {})
    assert "none" in mine.host.hypertool("workflow", "next").stdout


def test_failing_agent_fails_the_gate(mine: Mine) -> None:
    """If the agent fails, its gate is not run; a missing agent fails with 127."""
    report = mine.report("mine", "--agent", "/no/such/agent {prompt}", code=1)
    assert report["attempts"][0]["reason"] == "agent exit code 127"
    assert (mine.gates(), mine.counted()) == ([], {("plan", "fail"): 1})


def test_agent_values_reach_no_shell(mine: Mine) -> None:
    """A prompt with quotes, newlines and `$()` is one argument, as it is."""
    path = mine.host.work / "mine.prompt.md"
    hostile = 'it\'s "$(touch pwned)" `touch pwned`\n{stage} $HOME\n'
    stages = "stages:\n- {name: only, persona: backend}\n"
    path.write_text(f"---\nhypertool_enabled: true\nworkflow_name: p\n{stages}---\n{hostile}")
    agent = f'{sys.executable} -c \'import sys; open("got", "w").write(sys.argv[1])\' {{prompt}}'
    assert mine.report("./mine.prompt.md", "--agent", agent)["decision"] == "passed"
    assert hostile.strip() in (mine.host.work / "got").read_text()
    assert not (mine.host.work / "pwned").exists()


def test_interrupt_ends_the_run(mine: Mine) -> None:
    """SIGINT reaches the command, fails the stage once, and the exit code is that of a signal."""
    mine.declare(build="touch ready; exec sleep 60")
    running = mine.host.background(mine.host.command("workflow", "run", "mine"), stderr=subprocess.PIPE)
    wait_until((mine.host.work / "ready").exists, "the second gate")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)
    assert running.returncode == 130
    assert mine.counted() == {("plan", "pass"): 1, ("build", "fail"): 1}


def test_killed_run_is_resumed_there(mine: Mine) -> None:
    """SIGKILL in a stage is one fail; resuming waits for what it left running, then continues at that stage."""
    mine.declare(build="test -e again || { echo $$ > pid; exec sleep 60; }")
    # Not a pipe: what the killed run leaves running would hold it open.
    running = mine.host.background(mine.host.command("workflow", "run", "mine"), stderr=subprocess.DEVNULL)
    wait_until(lambda: (mine.host.work / "pid").exists() and (mine.host.work / "pid").read_text(), "the second gate")
    busy = mine.run("mine")
    assert (busy.returncode, "another run is in progress" in busy.stderr) == (1, True)
    running.kill()
    running.wait(timeout=20)
    left = int((mine.host.work / "pid").read_text())
    found = json.loads(mine.host.hypertool("workflow", "next", "--json").stdout)
    assert (found["stage"]["name"], found["state"]) == ("build", "running")
    refused = mine.run("--resume")
    assert (refused.returncode, f"(process {left})" in refused.stderr) == (1, True)
    os.kill(left, signal.SIGKILL)
    (mine.host.work / "again").touch()
    wait_until(lambda: not Path(f"/proc/{left}/cmdline").exists() or not _cmdline(left), "the orphan to be gone")
    report = mine.report("--resume")
    assert [(one["stage"], one["attempt"]) for one in report["attempts"]] == [("build", 2), ("check", 1)]
    wait_until(lambda: mine.host.store.fold() or mine.counted().get(("build", "fail")), "the killed run to be folded")
    assert mine.counted() == {("plan", "pass"): 1, ("build", "fail"): 1, ("build", "pass"): 1, ("check", "pass"): 1}


def _cmdline(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


SPEND = """
from hypertool import get_persona_metrics
get_persona_metrics().record_token_usage("architect", "shipping", "m", 700)
"""


def test_budgets_are_shown_and_block(mine: Mine) -> None:
    """Tokens of a stage's program count; an overspent budget that blocks starts no further stage."""
    program = mine.host.work / "spend.py"
    program.write_text(SPEND)
    mine.declare(agent=f"{sys.executable} spend.py", plan="true")
    text = mine.host.config.read_text()
    mine.host.config.write_text(text.replace("token_budget = 5000", 'token_budget = 600\non_exceed = "block"'))
    done = mine.run("mine")
    assert done.returncode == 1
    assert "plan: gate passed" in done.stderr
    assert "700 tokens; run 700 of 600 tokens" in done.stderr
    assert "has used 700 of its token_budget of 600; build is not started" in done.stderr
    mine.host.config.write_text(
        text.replace("tokens = 900", 'tokens = 600\non_exceed = "block"').replace("'backend'", "'architect'")
    )
    done = mine.run("mine")
    assert (done.returncode, "the budget of architect is used up (-100 tokens left); build is" in done.stderr) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no workflow given"),
        (("nope",), "unknown workflow 'nope'"),
        (("--resume",), "no run to resume"),
        (("mine", "--resume", "--from", "plan"), "give one of them"),
        (("bug_fix",), "neither an agent nor a gate"),
    ],
)
def test_wrong_use_runs_nothing(mine: Mine, arguments: tuple[str, ...], said: str) -> None:
    """Wrong use is exit code 2 and one line."""
    done = mine.run(*arguments)
    assert (done.returncode, len(done.stderr.splitlines()), mine.counted()) == (2, 1, {})
    assert said in done.stderr


def test_run_without_recording(mine: Mine) -> None:
    """HYPERTOOL_DISABLED=1 still runs agents and gates."""
    assert mine.report("mine", HYPERTOOL_DISABLED="1")["decision"] == "passed"
    assert (mine.gates(), mine.counted()) == (["plan", "build", "check"], {})
