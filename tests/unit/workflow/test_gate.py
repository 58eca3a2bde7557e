"""`hypertool gate`: a command as a stage, measured and otherwise untouched."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from tests.support.hypertool_host import Host, wait_until
from tests.support.otlp_receiver import OtlpReceiver

GATE = ("gate", "--workflow", "package_release", "--stage", "quality_validation", "--persona", "testing")
ECHO_PARENT = ("sh", "-c", "echo $TRACEPARENT")


def gates(host: Host) -> dict[tuple[str, ...], int]:
    return {key[1:]: value for key, value in host.counters("qg").items()}


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("exit 255", 255),
    ],
)
def test_exit_code_becomes_the_gate(host: Host, script: str, code: int) -> None:
    """The command's exit code passes through and becomes the gate."""
    done = host.hypertool(*GATE, "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert gates(host) == {("quality_validation", "pass" if code == 0 else "fail"): 1}
    ((labels, (count, seconds)),) = host.durations("st").items()
    assert (labels, count) == (("package_release", "quality_validation", "testing-specialist"), 1)
    assert 0 < seconds < 10


def test_streams_and_arguments_pass_through(host: Host) -> None:
    """Input, output and arguments pass through unchanged."""
    data = bytes(range(256)) * 4
    command = host.command(*GATE, "--", "sh", "-c", 'cat; printf "%s|" "$@" >&2', "--", "--persona", "a b", "--", "-h")
    done = subprocess.run(command, input=data, env=host.environment(), capture_output=True, check=True, timeout=20)
    assert done.stdout == data
    assert done.stderr == b"--persona|a b|--|-h|"


def test_missing_command_is_127(host: Host) -> None:
    """A missing command is 127, one that cannot run is 126, and both fail the gate."""
    (host.work / "text").write_text("data")
    for command, code in (("no-such-command", 127), ("./text", 126), ("./text/below", 127), (str(host.work), 126)):
        done = host.hypertool(*GATE, "--", command)
        assert done.returncode == code, command
        assert len(done.stderr.splitlines()) == 1
    assert gates(host) == {("quality_validation", "fail"): 4}


def test_script_without_interpreter_line_runs(host: Host) -> None:
    """A script without an interpreter line runs as it does in a shell."""
    script = host.work / "script"
    script.write_text("echo $1; exit 4\n")
    script.chmod(0o755)
    done = host.hypertool(*GATE, "--", "./script", "hello")
    assert (done.returncode, done.stdout) == (4, "hello\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("gate", "--workflow", "w", "--stage", "s", "--persona", "nobody", "--", "touch", "ran"),
        ("gate", "--workflow", "w", "--stage", "s", "--persona", "backend", "--"),
        ("gate", "--workflow", "w", "--stage", "s", "--persona", "backend"),
        ("gate", "--workflow", "w", "--persona", "backend", "--", "touch", "ran"),
        ("gate", "--workflow", "a\nb", "--stage", "s", "--persona", "backend", "--", "touch", "ran"),
        ("gate", "--workflow", "w", "--stage", "s" * 101, "--persona", "backend", "--", "touch", "ran"),
        ("gate", "--workflow", "w", "--stage", "s", "--persona", "backend", "--bogus", "--", "touch", "ran"),
    ],
)
def test_wrong_use_is_2_and_runs_nothing(host: Host, arguments: tuple[str, ...]) -> None:
    """Wrong use is exit 2 and one line, and the command does not run."""
    done = host.hypertool(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not (host.work / "ran").exists()
    assert not host.state.exists()


def test_a_gate_counts_no_switch_and_closes_no_session(host: Host) -> None:
    host.hypertool("switch", "backend")
    before = host.counters("sw")
    host.hypertool(*GATE, "--", "true")
    assert host.counters("sw") == before
    assert host.durations("pd") == {}
    assert host.hypertool("current").stdout == "backend-engineer\n"


TRAP = "trap 'echo got {name}; exit 0' {name}; touch ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_signals_are_forwarded(host: Host, name: str) -> None:
    """Signals are forwarded, and an interrupt fails the gate whatever the command returns."""
    running = host.background(host.command(*GATE, "--", "sh", "-c", TRAP.format(name=name)), stdout=subprocess.PIPE)
    wait_until((host.work / "ready").exists, "the command to start")
    running.send_signal(signal.Signals[f"SIG{name}"])
    out, _ = running.communicate(timeout=15)
    assert (running.returncode, out) == (0, f"got {name}\n")
    assert gates(host) == {("quality_validation", "fail"): 1}


def test_ctrl_c_of_a_terminal_reaches_the_command_once(host: Host) -> None:
    # A terminal signals the whole foreground group; forwarding it as well would be a second one.
    script = """
import pathlib, signal, time
seen = []
def interrupted(*_):
    seen.append(1)
    pathlib.Path("seen").touch()
signal.signal(signal.SIGINT, interrupted)
pathlib.Path("ready").touch()
until = time.monotonic() + 2
while time.monotonic() < until:
    time.sleep(0.01)
print(f"n={len(seen)}.")
"""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(host.work)
        os.execve(sys.executable, host.command(*GATE, "--", sys.executable, "-c", script), host.environment())
    wait_until((host.work / "ready").exists, "the command to start")
    # Held still, so that a second signal would come when the first is long done, and could not merge with it.
    os.kill(child, signal.SIGSTOP)
    os.write(terminal, b"\x03")
    wait_until((host.work / "seen").exists, "the command to see the first")
    os.kill(child, signal.SIGCONT)
    out = b""
    while b"." not in out:
        out += os.read(terminal, 1000)
    assert b"n=1." in out
    os.waitpid(child, 0)
    os.close(terminal)
    assert gates(host) == {("quality_validation", "fail"): 1}


def test_killed_gate_is_one_fail(host: Host) -> None:
    """A gate in progress is visible; a killed one counts as one fail."""
    running = host.background(host.command(*GATE, "--", "sh", "-c", "touch ready; sleep 60"), start_new_session=True)
    wait_until((host.work / "ready").exists, "the command to start")
    assert [stage[:2] for stage in host.store.merge().totals.open_stages] == [("package_release", "quality_validation")]
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    wait_until(lambda: host.store.fold() or gates(host), "the killed process to be folded")
    assert gates(host) == {("quality_validation", "fail"): 1}
    host.store.fold()
    assert gates(host) == {("quality_validation", "fail"): 1}


def test_unwritable_store_runs_the_command(host: Host) -> None:
    """The command runs even if its stage cannot be recorded."""
    host.state.write_text("a file where the directory should be")
    done = host.hypertool(*GATE, "--", "sh", "-c", "echo works; exit 5")
    assert (done.returncode, done.stdout) == (5, "works\n")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert str(host.state) in done.stderr


def test_disabled_only_runs_the_command(host: Host) -> None:
    done = host.hypertool(*GATE, "--", "sh", "-c", "exit 6", HYPERTOOL_DISABLED="1")
    assert (done.returncode, done.stderr) == (6, "")
    assert not host.state.exists()


def test_a_command_gets_default_signals_back(host: Host) -> None:
    command = ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]
    plain = signal_masks(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert signal_masks(host.hypertool(*GATE, "--", *command).stdout) == plain


def signal_masks(status: str) -> dict[str, int]:
    """The signal masks of a process, without 32 and 33: the C library ignores those in whatever it spawns."""
    masks = dict(line.split(":") for line in status.splitlines())
    return {name: int(mask, 16) & ~0x180000000 for name, mask in masks.items()}


ERROR = 2
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_traceparent_passes_on_without_a_span(host: Host) -> None:
    """Without a span of ours, TRACEPARENT passes on unchanged."""
    assert host.hypertool(*GATE, "--", *ECHO_PARENT, TRACEPARENT=PARENT).stdout == PARENT + "\n"
    assert host.hypertool(*GATE, "--", *ECHO_PARENT).stdout == "\n"


def test_the_gates_of_one_workflow_are_one_trace(host: Host) -> None:
    with OtlpReceiver() as receiver:
        host.variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        given = [
            host.hypertool(*GATE, "--", *ECHO_PARENT, TRACEPARENT=PARENT, TRACESTATE="a=b").stdout.strip()
            for _ in range(2)
        ]
        alone = host.hypertool(*GATE, "--", "sh", "-c", "echo $TRACEPARENT; exit 3").stdout.strip()
        spans = receiver.wait(3)
    _, trace_id, parent_id, _ = PARENT.split("-")
    for passed_on, span in zip(given, spans[:2], strict=True):
        assert (span.name, span.trace_id, span.parent_id) == ("stage.quality_validation", trace_id, parent_id)
        assert passed_on == f"00-{trace_id}-{span.span_id}-01"
        assert (span.attributes["stage.quality_gate_passed"], span.status) == (True, 0)
    assert re.fullmatch(f"00-{spans[2].trace_id}-{spans[2].span_id}-0[13]", alone)
    assert spans[2].parent_id == ""
    assert spans[2].attributes["stage.quality_gate_passed"] is False
    assert spans[2].attributes["process.exit.code"] == 3
    assert (spans[2].status, spans[2].status_message) == (ERROR, "quality gate failed: exit code 3")


@pytest.mark.parametrize("wrong", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_broken_traceparent_starts_a_new_trace(host: Host, wrong: str) -> None:
    """A broken TRACEPARENT starts a new trace."""
    with OtlpReceiver() as receiver:
        done = host.hypertool(*GATE, "--", "true", TRACEPARENT=wrong, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        (span,) = receiver.wait(1)
    assert (done.returncode, span.parent_id) == (0, "")
