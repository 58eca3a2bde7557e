"""`docker compose --profile minimal up --wait` on a machine without any image registry."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from testinfra.host import Host

# The same checks as on an installed host: collected here too, with the container as the host.
from tests.hosts.test_2_services import (  # noqa: F401
    test_every_query_of_the_dashboards_runs,
    test_every_rule_is_loaded_and_healthy,
    test_prometheus_knows_its_alertmanager,
    test_the_runbook_is_served_where_alerts_point_to,
)
from tests.hosts.test_3_drill import (  # noqa: F401
    drills,
    test_drill_arrives_with_what_a_person_needs,
    test_drill_ends_when_the_budget_is_reset,
    test_drill_overspends_and_the_alert_fires,
)
from tests.support.box import until
from tests.support.compose import Stack
from tests.support.fleet import ask, value

pytestmark = pytest.mark.host

SERVICES = {"alert-log", "alertmanager", "demo", "exporter", "prometheus"}


def test_every_service_runs_and_is_healthy(stack: Stack) -> None:
    states = {name: stack.inspect(name)["State"] for name in SERVICES}
    assert {name: state["Status"] for name, state in states.items()} == dict.fromkeys(SERVICES, "running")
    health = {name: state["Health"]["Status"] for name, state in states.items() if "Health" in state}
    assert health == dict.fromkeys(SERVICES - {"demo"}, "healthy")


def test_the_baseline_is_in_prometheus(stack: Stack, host: Host) -> None:
    expected = {"backend-engineer": (850, 1150), "testing-specialist": (650, 850), "devops-engineer": (550, 1250)}

    def figures() -> dict[str, tuple[float | None, float | None]]:
        return {
            persona: (
                value(host, f'hypertool_persona_tokens_used_total{{persona="{persona}",chatmode="package-release"}}'),
                value(host, f'hypertool_persona_token_budget_remaining{{persona="{persona}"}}'),
            )
            for persona in expected
        }

    assert until("the baseline's figures", 60, lambda: figures() if figures() == expected else None)
    assert value(host, 'sum(hypertool_workflow_quality_gate_total{workflow="package_release",result="pass"})') == 3


def test_every_target_is_up(stack: Stack, host: Host) -> None:
    active = json.loads(ask(host, "http://127.0.0.1:9090/api/v1/targets?state=active"))["data"]["activeTargets"]
    assert {one["labels"]["job"]: one["health"] for one in active} == {
        "hypertool": "up",
        "prometheus": "up",
        "alertmanager": "up",
    }


def test_nothing_listens_beyond_loopback(stack: Stack) -> None:
    pids = {str(stack.inspect(name)["State"]["Pid"]) for name in SERVICES}
    lines = subprocess.run(["ss", "-Hltnup"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = [line.split()[4] for line in lines if any(f"pid={pid}," in line for pid in pids)]
    assert {address.rpartition(":")[2] for address in ours} == {"9464", "9465", "9090", "9093"}
    assert [address for address in ours if not re.match(r"127\.|\[::ffff:127\.", address)] == []


def test_containers_have_no_power(stack: Stack) -> None:
    for name in SERVICES:
        shown = stack.inspect(name)
        assert shown["HostConfig"]["ReadonlyRootfs"], name
        assert shown["HostConfig"]["CapDrop"] == ["ALL"], name
        assert shown["HostConfig"]["CapAdd"] is None, name
        assert shown["HostConfig"]["Memory"] > 0, name
        status = stack.docker("exec", stack.container(name), "cat", "/proc/1/status")
        assert re.search(r"^CapEff:\t0+$", status, re.M), f"{name} has capabilities"
        assert re.search(r"^Uid:\t[1-9]", status, re.M), f"{name} runs as root"
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M), name


def test_a_dead_service_is_unhealthy(stack: Stack) -> None:
    """A check that passes while the service hangs would be worse than none."""
    checks = {"exporter": 9464, "alert-log": 9465, "alertmanager": 9093, "prometheus": 9090}
    for name, port in checks.items():
        command = stack.inspect(name)["Config"]["Healthcheck"]["Test"]
        assert command[0] == "CMD"
        elsewhere = [part.replace(str(port), "1") for part in command[1:]]
        assert elsewhere != command[1:], f"{name}'s check asks nobody"
        alive = subprocess.run(
            ["docker", "exec", stack.container(name), *command[1:]],
            env=dict(stack.environment),
            capture_output=True,
            timeout=60,
        )
        dead = subprocess.run(
            ["docker", "exec", stack.container(name), *elsewhere],
            env=dict(stack.environment),
            capture_output=True,
            timeout=60,
        )
        assert (alive.returncode, dead.returncode != 0) == (0, True), name
