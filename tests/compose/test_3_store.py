"""One store for processes of the host and of containers: the exporter serves the exact sum of all writers."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import free_port, until
from tests.support.compose import Stack

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
PERSONA = "backend-engineer"
# A process that stays alive until its standard input ends.
LIVING = f"""
import sys
from hypertool import get_persona_metrics
get_persona_metrics().record_token_usage("{PERSONA}", "bug-fix", "some-model", 100)
print("recorded", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder of the host, of the user whose agents run there."""
    tmp_path.chmod(0o2770)
    os.chown(tmp_path, 12345, 12345)
    return tmp_path


@pytest.fixture
def shared(engine: dict[str, str], images: Path, store: Path) -> Iterator[tuple[Stack, int]]:
    """An exporter in a container over that folder, on a port of its own."""
    made = Stack(
        images / "compose",
        engine,
        "minimal",
        project="hypertool-shared",
        variables={"HYPERTOOL_STORE": str(store), "HYPERTOOL_UID": "12345", "HYPERTOOL_GID": "12345"},
    )
    port = free_port()
    done = made.compose(
        "run",
        "--detach",
        "--no-deps",
        "--name",
        "hypertool-shared-exporter",
        "--env",
        f"HYPERTOOL_LISTEN=127.0.0.1:{port}",
        "exporter",
    )
    assert done.returncode == 0, done.stderr
    yield made, port
    made.docker("rm", "--force", "hypertool-shared-exporter")
    made.down()


def tokens(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    name = "hypertool_persona_tokens_used_total{"
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name) and PERSONA in line)


def test_host_and_containers_add_up(shared: tuple[Stack, int], store: Path) -> None:
    stack, port = shared
    environment = {**os.environ, "HYPERTOOL_STATE_DIR": str(store), "PYTHONPATH": str(ROOT / "instrumentation")}
    living = subprocess.Popen(
        [sys.executable, "-c", LIVING], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert living.stdout is not None
    assert living.stdout.readline() == "recorded\n"
    stack.docker("exec", "hypertool-shared-exporter", "hypertool", "workflow", "package_release")
    until("both in one sum", 30, lambda: tokens(port) == 950 or None)
    # The host's process is alive: whatever the container folds, it must go on counting from where it was.
    living.kill()
    living.wait()
    until("the killed process to be kept", 30, lambda: tokens(port) == 950 or None)
