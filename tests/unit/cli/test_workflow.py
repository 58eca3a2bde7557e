"""`hypertool baseline`, `budget --reset` and the drill: real runs, with the figures read back."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hypertool_host import Host, wait_until
from tests.support.otlp_receiver import OtlpReceiver, refused_url


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.predecessor("D4")
def test_baseline_prints_what_the_store_shows(host: Host) -> None:
    """The baseline prints line by line what the store shows."""
    done = host.hypertool("baseline")
    assert (done.returncode, done.stderr) == (0, "")
    for fact in (
        "+850 (850) tokens",
        "+650 (650) tokens",
        "+550 (550) tokens",
        "budget 1150 of 2000 left",
        "budget 850 of 1500 left",
        "budget 1250 of 1800 left",
        "none -> backend-engineer (package-release) +1",
        "2050 tokens",
        "http://localhost:9464/metrics",
        "simulated",
    ):
        assert fact in done.stdout, fact
    assert done.stdout.count("+1 (1) gate passed") == done.stdout.count("+1 (1) LLM call") == 3
    again = host.hypertool("baseline").stdout
    assert "+850 (1700) tokens" in again, "the run and the host's total are different figures"


def test_the_baseline_as_json_carries_the_same_figures(host: Host) -> None:
    with OtlpReceiver() as receiver:
        document = json.loads(host.hypertool("baseline", "--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url).stdout)
        assert len(receiver.wait(7)) == 7
        (sent,) = document["sent"]
        assert (sent["sink"], sent["to"], sent["complete"]) == ("otlp", f"{receiver.url}/v1/traces", True)
    assert (document["tokens"], document["problems"]) == (2050, [])
    assert {name: budget["remaining"] for name, budget in document["budgets"].items()} == {
        "backend-engineer": 1150,
        "testing-specialist": 850,
        "devops-engineer": 1250,
    }
    assert [stage["passed"] for stage in document["stages"]] == [True] * 3
    assert len(document["switches"]) == 3


@pytest.mark.parametrize(
    ("arguments", "figures"),
    [
        (("feature_implementation",), ("2400 tokens", "+900 (900) tokens", "completed")),
        (("bug_fix",), ("2300 tokens", "(bug-validation) +1 (1)", "completed")),
        (("incident_response",), ("5310 tokens", "budget 180 of 2000 left", "resolved")),
        (("incident_response", "--severity", "p0_critical"), ("0 stages, 0 tokens", "no stage was run", "escalated")),
        (("incident_response", "--severity", "p1_high"), ("3 stages, 5310 tokens", "resolved")),
        (("incident_response", "--severity", "p2_medium"), ("2 stages, 3670 tokens", "fixed")),
        (("incident_response", "--severity", "p3_low"), ("0 stages", "ticket")),
    ],
)
def test_every_declared_workflow_can_be_run(host: Host, arguments: tuple[str, ...], figures: tuple[str, ...]) -> None:
    done = host.hypertool("workflow", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    for figure in figures:
        assert figure in done.stdout, figure


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bugfix",), "bug_fix"),
        (("incident_response", "--severity", "p9"), "p1_high"),
        (("bug_fix", "--severity", "p1_high"), "incident_response"),
    ],
)
def test_a_workflow_that_is_not_declared_says_what_is(host: Host, arguments: tuple[str, ...], said: str) -> None:
    done = host.hypertool("workflow", *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr


def test_baseline_shows_the_workflow_budget(host: Host) -> None:
    """If the workflow has its own budget, that is the one shown."""
    host.config.write_text("[personas.backend-engineer.workflows.package_release]\ntokens = 3000\n")
    assert "budget 2150 of 3000 left" in host.hypertool("baseline").stdout
    assert json.loads(host.hypertool("baseline", "--json").stdout)["budgets"]["backend-engineer"]["limit"] == 3000
    assert "budget 1200 of 2000 left" in host.hypertool("workflow", "feature_implementation").stdout


def test_baseline_without_a_sink_succeeds(host: Host) -> None:
    """A baseline whose spans go nowhere says so and still succeeds."""
    done = host.hypertool("baseline", OTEL_EXPORTER_OTLP_ENDPOINT=refused_url())
    assert done.returncode == 0
    assert "not delivered yet (0 of 7 spans)" in done.stdout
    assert "does not answer" in done.stderr


def test_baseline_checks_the_endpoint(host: Host, tmp_path: Path) -> None:
    """The baseline says whether the endpoint shows its run."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = {"HYPERTOOL_LISTEN": f"127.0.0.1:{port}"}
    assert f"{port}/metrics  (nobody listens there now)" in host.hypertool("baseline", **listen).stdout
    exporter = host.background(host.command("exporter"), listen, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert exporter.stdout is not None
        exporter.stdout.readline()
        assert f"{port}/metrics  (shows this run)" in host.hypertool("baseline", **listen).stdout
        other = Host(tmp_path / "other")
        assert "it serves another state directory" in other.hypertool("baseline", **listen).stdout
    finally:
        exporter.send_signal(signal.SIGTERM)
        exporter.communicate(timeout=60)


def test_a_blocked_baseline_is_one_line_and_exit_1(host: Host) -> None:
    host.config.write_text('[personas.backend-engineer]\nwindow = "day"\ntokens = 100\non_exceed = "block"\n')
    assert host.hypertool("baseline").returncode == 0
    done = host.hypertool("baseline")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "budget of backend-engineer" in done.stderr


def test_drill_overspends_and_resets(host: Host) -> None:
    """The drill really overspends, and a reset ends it."""
    done = host.hypertool("drill", "token-budget-exceeded", "--persona", "devops")
    assert (done.returncode, done.stderr) == (0, "")
    assert "hypertool drill token-budget-exceeded --persona devops-engineer --reset" in done.stdout
    budget = host.read().budgets["devops-engineer"]
    assert (budget.remaining, budget.exceeded) == (-250, 1)
    assert host.counters("qg") == {}
    assert host.counters("sw") == {}
    done = host.hypertool("drill", "token-budget-exceeded", "--persona", "devops", "--reset")
    assert done.returncode == 0
    assert host.read().budgets["devops-engineer"].remaining == 1800


@pytest.mark.parametrize("window", ["run", "hour", "day"])
def test_the_drill_works_in_every_window_and_twice(host: Host, window: str) -> None:
    host.config.write_text(f'[personas.data-scientist]\nwindow = "{window}"\non_exceed = "block"\n')
    for _ in range(2):
        document = json.loads(host.hypertool("drill", "token-budget-exceeded", "--json").stdout)
        assert document["remaining"] < 0
    document = json.loads(host.hypertool("drill", "token-budget-exceeded", "--reset", "--json").stdout)
    assert document["remaining"] == document["limit"] == 1700


RUNNING = """
import sys
from hypertool import WorkflowTracer, get_persona_metrics
metrics = get_persona_metrics()
with WorkflowTracer("long"):
    metrics.record_token_usage("backend", "default", "m", 2500)
    metrics.flush()
    print("spent", flush=True)
    for line in sys.stdin:
        print(metrics.get_remaining_budget("backend"), flush=True)
"""


def test_reset_reaches_running_processes(host: Host) -> None:
    """A reset from the command line reaches running processes within 2 seconds."""
    running = host.background([sys.executable, "-c", RUNNING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stdout.readline() == "spent\n"
    assert "-500" in host.hypertool("budget", "--persona", "backend").stdout
    done = host.hypertool("budget", "--persona", "backend", "--reset")
    assert "reset: backend-engineer" in done.stdout

    def remaining() -> bool:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write("\n")
        running.stdin.flush()
        return running.stdout.readline() == "2000\n"

    wait_until(remaining, "the running process to see the reset", seconds=2.0)
    running.stdin.close()
    running.wait(timeout=60)


@pytest.mark.predecessor("D5")
def test_a_reset_without_a_name_resets_all(host: Host) -> None:
    for persona in ("backend", "testing"):
        host.hypertool("drill", "token-budget-exceeded", "--persona", persona)
    document = json.loads(host.hypertool("budget", "--reset", "--json").stdout)
    assert len(document["reset"]) == 6
    assert all(budget["remaining"] == budget["limit"] for budget in document["budgets"].values())
