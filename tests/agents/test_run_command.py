"""`hypertool run` binds a command's agent; `hypertool gate --quiet` keeps its output out of the agent's context."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.agents import running
from hypertool.agents.ledger.attribution import Attribution
from hypertool.domain.instruments import TOKENS
from tests.agents import homes
from tests.agents.hooking import HYPERTOOL
from tests.agents.ledgers import counted, open_ledger
from tests.support.otlp_receiver import OtlpReceiver


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(HYPERTOOL), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def agent(home: Path) -> Path:
    """A program called `copilot` that writes the recorded session into its home, as if it were made now."""
    script = home / "copilot"
    source = homes.RECORDED / "copilot-cli-1.0.102.events.jsonl"
    target = homes.session_file(home, "copilot-cli")
    script.write_text(
        f"#!{sys.executable}\nimport os, pathlib, sys, time\n"
        f"target = pathlib.Path({str(target)!r}); target.parent.mkdir(parents=True)\n"
        f"now = time.strftime('%Y-%m-%dT%H:%M:', time.gmtime(time.time() + 60))\n"
        f"import re\n"
        f"text = pathlib.Path({str(source)!r}).read_text().replace('/home/ann/project', os.getcwd())\n"
        f"target.write_text(re.sub(r'2026-11-26T01:53:', now, text))\n"
        "print(os.environ.get('HYPERTOOL_PERSONA'), os.environ.get('TRACEPARENT')); sys.exit(7)\n"
    )
    script.chmod(0o755)
    return script


def test_run_binds_an_agent_without_hooks(agent: Path) -> None:
    """The session that the command made is the persona's, chatmode's and workflow's; the exit code is the command's."""
    done = run("run", "--persona", "testing", "--chatmode", "bug-fix", "--workflow", "bug_fix", "--", str(agent))
    assert (done.returncode, done.stderr) == (7, "")
    assert re.fullmatch(r"testing-specialist 00-[0-9a-f]{32}-[0-9a-f]{16}-01\n", done.stdout)
    assert counted(TOKENS.key, "testing-specialist", "bug-fix") == 5 * 1230 + 45
    ledger = open_ledger()
    assert ledger.workflow("copilot-cli", "4de4c62c-9093-4889-a4c4-a1537bd4d2db") == "bug_fix"


def test_run_counts_aider_from_the_first_time(home: Path) -> None:
    """Aider writes its log only into a folder that is there; the persona's calls of the very first run are counted."""
    line = {
        "event": "message_send",
        "properties": {"main_model": "openai/REDACTED", "prompt_tokens": 1032, "completion_tokens": 201},
    }
    script = home / "aider"
    script.write_text(
        f"#!{sys.executable}\nimport json, os, time\n"
        f"line = {{**{line!r}, 'time': int(time.time()), 'user_id': 'u'}}\n"
        "open(os.environ['AIDER_ANALYTICS_LOG'], 'a').write(json.dumps(line) + '\\n')\n"
    )
    script.chmod(0o755)
    done = run("run", "--persona", "testing", "--", str(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert counted(TOKENS.key, "testing-specialist") == 1233


def test_run_keeps_a_trace_context(home: Path) -> None:
    """A TRACEPARENT that is there already is the command's."""
    mine = f"00-{'1' * 32}-{'2' * 16}-01"
    done = run("run", "--", "sh", "-c", "echo $TRACEPARENT", TRACEPARENT=mine)
    assert done.stdout.strip() == mine


def test_run_sets_telemetry_only_where_it_arrives(home: Path) -> None:
    """Without a collector on this host, or with telemetry of the user's own, nothing is set."""
    done = run("run", "--", "env", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert "CLAUDE_CODE_ENABLE_TELEMETRY" not in done.stdout


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A free address in place of the collector's and of the service's; nothing accepts there, nothing needs to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(running, "COLLECTOR", server.getsockname())
        monkeypatch.setenv("HYPERTOOL_LISTEN", "127.0.0.1:1")
        yield server


def test_run_sends_telemetry_to_own_listener(listener: socket.socket) -> None:
    """A collector that the user runs gets the telemetry."""
    made = running.environment_for({}, Attribution("testing-specialist"))
    assert made["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to listen as another user; run pytest as root")
def test_run_sends_nothing_to_a_strangers_listener(listener: socket.socket) -> None:
    """Another user of the host can take the collector's port while it is free: no telemetry goes there."""
    address = listener.getsockname()
    listener.close()
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(12345)
        with socket.create_server(address):
            os.write(told, b"x")
            signal.pause()
    try:
        assert os.read(ready, 1) == b"x"
        made = running.environment_for({}, Attribution("testing-specialist"))
        assert not {name for name in made if name.startswith(("OTEL_", "CLAUDE_"))}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1/"}, "http://127.0.0.1:1/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/own"}, "http://127.0.0.1:1/own"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://ann:secret@127.0.0.1:1"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS": "key=secret"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"HYPERTOOL_TRACES_ENDPOINT": "http://127.0.0.1:2/mine"}, "http://127.0.0.1:2/mine"),
    ],
)
def test_run_hands_the_endpoint_on(given: dict[str, str], handed_on: str | None, home: Path) -> None:
    """Agents take OTEL_* out of their shells: gates there find the endpoint, if it has no secret, in our variable."""
    made = running.environment_for({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "x", **given}, Attribution())
    assert made.get("HYPERTOOL_TRACES_ENDPOINT") == handed_on


@pytest.mark.parametrize("standard", [False, True])
def test_gate_finds_the_endpoint(standard: bool, home: Path) -> None:
    """A gate sends its span to our variable's address, unless a standard variable names another one."""
    with OtlpReceiver() as ours, OtlpReceiver() as theirs:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": theirs.url} if standard else {}
        environment["HYPERTOOL_TRACES_ENDPOINT"] = f"{ours.url}/v1/traces"
        names = ("--workflow", "bug_fix", "--stage", "investigation", "--persona", "observability-expert")
        done = run("gate", *names, "--", "true", **environment)
        assert (done.returncode, done.stderr) == (0, "")
        (theirs if standard else ours).wait(1)
        assert (ours if standard else theirs).spans == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--persona", "nobody", "--", "true"], 2, "unknown persona"),
        (["--persona", "testing"], 2, "no command"),
        (["--", "/nonexistent/agent"], 127, "command not found"),
        (["--", "sh", "-c", "kill -TERM $$"], 143, ""),
    ],
)
def test_run_ends_as_a_shell_would(arguments: list[str], code: int, said: str, home: Path) -> None:
    """An unknown persona runs nothing; a missing command is 127, a signal 128 and its number."""
    done = run("run", *arguments)
    assert done.returncode == code
    assert said in done.stderr


def gate(*arguments: str, command: str) -> subprocess.CompletedProcess[str]:
    names = ("--workflow", "bug_fix", "--stage", "testing_validation", "--persona", "testing")
    return run("gate", *names, *arguments, "--", "sh", "-c", command)


def test_quiet_gate_prints_the_last_lines(home: Path, tmp_path: Path) -> None:
    """The last lines of both streams in their order, the exit code, and a file with everything."""
    done = gate("--quiet", "--tail", "2", command="seq 1 1000; echo wrong >&2; exit 3")
    *lines, last = done.stdout.splitlines()
    assert (done.returncode, lines, done.stderr) == (3, ["1000", "wrong"], "")
    found = re.fullmatch(r"hypertool gate: exit code 3; the whole output \((\d+) bytes\) is in (\S+)", last)
    assert found
    whole = Path(found[2])
    assert len(whole.read_bytes()) == int(found[1])
    assert whole.read_text().splitlines()[:2] == ["1", "2"]
    assert whole.stat().st_mode & 0o777 == 0o600
    whole.unlink()


@pytest.mark.parametrize(("tail", "expected"), [("0", 0), ("5", 5), ("9999", 30)])
def test_quiet_gate_tail_counts_lines(tail: str, expected: int, home: Path) -> None:
    """--tail says how many lines; 0 is none."""
    done = gate("--quiet", "--tail", tail, command="seq 1 30")
    *lines, last = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, expected)
    Path(shlex.split(last)[-1]).unlink()


def test_quiet_gate_is_bounded(home: Path) -> None:
    """One endless line does not fill the context either; bytes that are no text are no trouble."""
    done = gate("--quiet", command="head -c 5000000 /dev/zero | tr '\\0' '\\377'")
    assert len(done.stdout) < 3000
    Path(shlex.split(done.stdout.splitlines()[-1])[-1]).unlink()


def test_outputs_of_quiet_gates_do_not_pile_up(home: Path) -> None:
    """The oldest outputs go, by number and by size, from a folder that nobody else may enter."""
    first = Path(shlex.split(gate("--quiet", command="echo first").stdout.splitlines()[-1])[-1])
    folder = first.parent
    assert folder.is_relative_to(home.parent)
    assert folder.stat().st_mode & 0o777 == 0o700
    for number in range(60):
        (folder / f"{number:020}-1.log").touch()
    (folder / "note.txt").touch()
    second = gate("--quiet", command="echo second")
    assert first.exists()
    assert len(list(folder.iterdir())) <= 50 + 2
    with first.open("r+b") as file:
        file.truncate(1 << 40)  # sparse
    third = gate("--quiet", command="echo third")
    left = {path.read_text() for path in folder.glob("*.log")}
    assert left == {"second\n", "third\n"}, (second.stdout, third.stdout)
    assert (folder / "note.txt").exists()


def test_quiet_gate_without_a_folder_of_its_own(home: Path, tmp_path: Path) -> None:
    """A link, or no folder at all, does not stop the gate: its output goes where temporary files go."""
    there = Path(shlex.split(gate("--quiet", command="true").stdout.splitlines()[-1])[-1]).parent
    shutil.rmtree(there)
    (tmp_path / "elsewhere").mkdir()
    there.symlink_to(tmp_path / "elsewhere")
    done = gate("--quiet", command="echo ran")
    path = Path(shlex.split(done.stdout.splitlines()[-1])[-1])
    assert (done.returncode, path.read_text()) == (0, "ran\n")
    assert not path.is_relative_to(there)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    path.unlink()


def test_loud_gate_is_untouched(home: Path) -> None:
    """Without --quiet, output passes through and no line is added."""
    done = gate(command="echo one; echo two >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\n", "two\n")


def test_wrong_tail_is_refused(home: Path) -> None:
    """A --tail that is no number is an error with what is expected, and the command is not run."""
    done = gate("--quiet", "--tail", "-1", command="echo ran")
    assert (done.returncode, "expected 0 or more" in done.stderr or "expected one argument" in done.stderr) == (2, True)
    assert json.dumps("ran") not in done.stdout


def test_workflow_run_knows_an_agents_tokens(agent: Path, home: Path) -> None:
    """A stage's tokens are those of its agent's session, which is bound to the stage's persona and workflow."""
    config = home / "mine.toml"
    config.write_text(
        "[workflows.mine]\n[[workflows.mine.stages]]\nname = 'build'\npersona = 'testing'\nchatmode = 'bug-fix'\n"
    )
    names = ("workflow", "run", "mine", "--json", "--agent", f"{agent} -p {{prompt}}")
    done = run(*names, HYPERTOOL_CONFIG=str(config))
    report = json.loads(done.stdout)
    (attempt,) = report["attempts"]
    assert (done.returncode, attempt["reason"], attempt["tokens"]) == (1, "agent exit code 7", 5 * 1230 + 45)
    assert counted(TOKENS.key, "testing-specialist", "bug-fix") == 5 * 1230 + 45
    assert open_ledger().workflow("copilot-cli", "4de4c62c-9093-4889-a4c4-a1537bd4d2db") == "mine"
