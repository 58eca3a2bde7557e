"""What can go wrong with the Compose stack: killed containers, a full store, a taken port, a missing secret."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.support.box import until
from tests.support.compose import Stack
from tests.support.fleet import value

pytestmark = pytest.mark.host

TOKENS = "sum(hypertool_persona_tokens_used_total)"


@pytest.fixture
def broken(engine: dict[str, str], images: Path) -> Iterator[Stack]:
    """Another project, for what is not meant to come up."""
    made = Stack(images / "compose", engine, "minimal", project="hypertool-broken")
    yield made
    made.down()


@pytest.mark.parametrize("service", ["exporter", "prometheus", "alertmanager", "alert-log", "demo"])
def test_killed_container_returns_and_loses_nothing(stack: Stack, host: Host, service: str) -> None:
    """A killed container starts again, and nothing is lost."""
    before = until("figures before", 60, lambda: value(host, TOKENS))
    # Work that is not yet scraped when the container dies.
    stack.docker("exec", stack.container("exporter"), "hypertool", "workflow", "bug_fix")
    pid = stack.inspect(service)["State"]["Pid"]
    subprocess.run(["kill", "-KILL", str(pid)], check=True)

    def back() -> bool | None:
        state = stack.inspect(service)["State"]
        healthy = state.get("Health", {}).get("Status", "healthy") == "healthy"
        return True if state["Running"] and state["Pid"] not in (0, pid) and healthy else None

    until(f"{service} to come back", 90, back)
    until("the work done before the kill", 60, lambda: (value(host, TOKENS) or 0) >= before + 2300 or None)
    until("every target to be up again", 60, lambda: value(host, "count(up == 1)") == 3 or None)


def test_a_full_store_says_so(broken: Stack, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=2777", "tmpfs", str(tmp_path)], check=True)
    try:
        assert subprocess.run(["dd", "if=/dev/zero", f"of={tmp_path}/ballast"], capture_output=True).returncode
        broken.variables["HYPERTOOL_STORE"] = str(tmp_path)
        done = broken.compose(
            "run",
            "--rm",
            "--no-deps",
            "--entrypoint",
            "",
            "demo",
            "hypertool",
            "switch",
            "backend",
            "--chatmode",
            "bug-fix",
        )
        assert done.returncode == 1
        assert "No space left on device; free some space there" in done.stderr
    finally:
        broken.down()
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_taken_port_names_the_port(broken: Stack) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken = holder.connect_ex(("127.0.0.1", 9464)) == 0
    if not taken:
        pytest.fail("the stack of the other tests is not there to hold the port")
    broken.compose("up", "--detach", "--no-build", "--no-deps", "exporter")
    said = until("its message", 60, lambda: next((m for m in [broken.logs("exporter")] if "9464" in m), None))
    assert "127.0.0.1:9464" in said
    assert "HYPERTOOL_LISTEN" in said or "in use" in said


def test_a_missing_secret_names_its_file(broken: Stack) -> None:
    broken.profile = "cloud"
    done = broken.compose("up", "--detach", "--no-build", "--no-deps", "cloud-check")
    assert done.returncode != 0
    assert "grafana_cloud_token" in done.stderr


def test_down_leaves_nothing(engine: dict[str, str], images: Path) -> None:
    other = Stack(images / "compose", engine, "minimal", project="hypertool-gone")

    def traces() -> list[str]:
        kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        label = ["--quiet", "--filter", f"label=com.docker.compose.project={other.project}"]
        return [line for kind in kinds for line in other.docker(*kind, *label).split()]

    assert other.compose("create", "--no-build").returncode == 0
    assert len(traces()) > 5
    other.down()
    assert traces() == []


def test_wrong_credentials_stop_the_cloud_profile(broken: Stack, tmp_path: Path) -> None:
    """Wrong credentials stop the profile `cloud`, with the reasons."""
    token = tmp_path / "token"
    token.write_text("glc_something\n", encoding="utf-8")
    token.chmod(0o644)
    broken.profile = "cloud"
    broken.variables.update(
        GRAFANA_CLOUD_TOKEN_FILE=str(token),
        GRAFANA_CLOUD_METRICS_URL="https://metrics.invalid/api/prom/push",
        GRAFANA_CLOUD_METRICS_USER="not-a-number",
    )
    done = broken.compose("run", "--rm", "--no-deps", "cloud-check")
    assert done.returncode == 1, done.stderr
    for name in ("grafana_cloud_metrics_user", "grafana_cloud_logs_url", "grafana_cloud_otlp_url"):
        assert name in done.stderr, done.stderr
    assert "glc_something" not in done.stdout + done.stderr
