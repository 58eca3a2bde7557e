"""The main job as a newcomer runs it: one command, figures on localhost, one command and nothing is left."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.setup.script import SCRIPT
from tests.support.box import make_box, obstacle
from tests.support.personas import BUDGETS

DIRECTORY = Path("/var/lib/hypertool-sandbox-setup")
PORTS = (9090, 9093, 9464)


def run(*arguments: str, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HYPERTOOL_SANDBOX_DIR": str(DIRECTORY)}
    if cache is not None:
        environment["HYPERTOOL_CACHE_DIR"] = str(cache)
    done = subprocess.run(
        [str(SCRIPT), "--sandbox", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def by_label(expression: str, label: str) -> dict[str, float]:
    password = make_box(DIRECTORY).inside("hypertool", "cat", "/etc/hypertool/secrets/web_password").strip()
    named = base64.b64encode(f"hypertool:{password}".encode()).decode()
    url = "http://localhost:9090/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {named}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        rows = json.load(answer)["data"]["result"]
    return {row["metric"].get(label, ""): float(row["value"][1]) for row in rows}


def traces() -> dict[str, list[str]]:
    """What a sandbox of this set could leave on the machine."""
    commands = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(DIRECTORY) in command:
            commands.append(command)
    return {
        "processes": commands,
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "directories": [str(DIRECTORY)] if DIRECTORY.exists() else [],
        "ports": [str(port) for port in PORTS if listens(port)],
        "packages": subprocess.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n"], check=True, capture_output=True, text=True
        ).stdout.splitlines(),
    }


@pytest.fixture(scope="module")
def before() -> Iterator[dict[str, list[str]]]:
    if obstacle():
        pytest.skip(obstacle())
    taken = [str(port) for port in PORTS if listens(port)]
    if taken:
        pytest.skip(f"port {' and '.join(taken)} of this machine is in use; stop what listens there (ss -ltnp)")
    box = make_box(DIRECTORY)
    found = traces()
    try:
        yield found
    finally:
        box.run("down", "--all")


def test_one_command_gives_a_stack_with_the_baseline(before: dict[str, list[str]]) -> None:
    """One command gives a stack on localhost with the baseline's figures."""
    done = run("--yes")
    assert by_label("sum by (persona) (hypertool_persona_tokens_used_total)", "persona") == {
        "backend-engineer": 850,
        "testing-specialist": 650,
        "devops-engineer": 550,
    }
    assert by_label("hypertool_persona_token_budget_remaining", "persona") == {
        **BUDGETS,
        "backend-engineer": 1150,
        "testing-specialist": 850,
        "devops-engineer": 1250,
    }
    assert by_label('sum(hypertool_workflow_quality_gate_total{result="pass"})', "") == {"": 3}
    assert by_label("sum(hypertool_workflow_stage_duration_seconds_count)", "") == {"": 3}
    assert by_label("hypertool_persona_switches_total", "from_persona") == {
        "none": 1,
        "backend-engineer": 1,
        "testing-specialist": 1,
    }
    for address in ("http://localhost:9464/metrics", "http://localhost:9090", "http://localhost:9093"):
        assert address in done.stdout


def test_down_leaves_nothing_that_was_not_there_before(before: dict[str, list[str]], tmp_path: Path) -> None:
    # A cache of the test's own: the downloads that other tests share are not this sandbox's to delete.
    run("--down", cache=tmp_path / "cache")
    after = traces()
    assert after == before
    assert not (tmp_path / "cache").exists()
