"""`hypertool run --gateway`: the agent's calls go through a gateway that is there for them, and that ends with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypertool.domain.instruments import AGENT_CALLS, TOKENS
from tests.agents.gateways import Gateway
from tests.agents.hooking import HYPERTOOL
from tests.agents.ledgers import counted
from tests.agents.real_clients import AGENTS, run
from tests.support.fake_models import FakeModels
from tests.support.hypertool_host import wait_until

pytest.importorskip("aiohttp", reason="the gateway's extra is not installed: pip install '.[gateway]'")

# Makes one call as Claude Code does, says where it went, and waits for as long as there is a file `wait`.
CLAUDE = f"""#!{sys.executable}
import os, pathlib, time, urllib.request
url = os.environ["ANTHROPIC_BASE_URL"]
headers = {{"User-Agent": "claude-cli/2", "X-Claude-Code-Session-Id": "s-1", "Content-Type": "application/json"}}
body = b'{{"model": "claude-opus-4-5", "stream": true}}'
urllib.request.urlopen(urllib.request.Request(url + "/v1/messages", body, headers)).read()
print(url, flush=True)
while pathlib.Path("wait").exists():
    time.sleep(0.05)
raise SystemExit(7)
"""


@pytest.fixture
def claude(project: Path) -> Path:
    """A program called `claude`."""
    script = project / "claude"
    script.write_text(CLAUDE)
    script.chmod(0o755)
    return script


def start(project: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(HYPERTOOL), "run", *arguments],
        cwd=project,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def listens(url: str) -> bool:
    """Whether the gateway of a base URL still listens."""
    port = int(url.split("/")[2].rpartition(":")[2])
    table = Path("/proc/net/tcp").read_text()
    return any(f":{port:04X} 00000000:0000 0A" in line for line in table.splitlines())


def test_gateway_for_one_command(claude: Path, project: Path, models: FakeModels) -> None:
    """It sends the calls where the user's base URL was, counts them as the persona's, and leaves the exit code."""
    process = start(
        project, "--persona", "testing", "--gateway", "--", str(claude), ANTHROPIC_BASE_URL=models.url + "/"
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (7, "")
    assert "/p/testing-specialist/a/claude-code/anthropic" in out
    assert models.served == [1]
    assert counted(AGENT_CALLS.key, "claude-code", "testing-specialist", "gateway") == 1
    assert counted(TOKENS.key, "testing-specialist") == models.tokens(True)
    assert not listens(out)


def test_gateway_that_runs_is_used(
    claude: Path, project: Path, models: FakeModels, gateway: Callable[[FakeModels], Gateway]
) -> None:
    """The user's own gateway at its address serves the command, and goes on after it."""
    running = gateway(models)
    process = start(project, "--gateway", "--", str(claude), HYPERTOOL_GATEWAY_LISTEN=running.url.split("//")[1])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (7, "")
    assert out.startswith(running.url + "/a/claude-code/anthropic")
    assert listens(running.url)
    running.end()
    assert counted(AGENT_CALLS.key, "claude-code", "unknown", "gateway") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_gateway_ends_with_the_command(number: signal.Signals, claude: Path, project: Path, models: FakeModels) -> None:
    """Killed in the middle, `hypertool run` leaves no gateway behind, and the call is counted."""
    (project / "wait").touch()
    process = start(project, "--gateway", "--", str(claude), ANTHROPIC_BASE_URL=models.url)
    assert process.stdout is not None
    url = process.stdout.readline()
    assert listens(url)
    process.send_signal(number)
    process.wait(60)
    wait_until(lambda: not listens(url), "the gateway to end", 60)
    (project / "wait").unlink()
    process.communicate(timeout=60)
    wait_until(lambda: counted(AGENT_CALLS.key, "claude-code") == 1, "the call to be counted", 30)


@pytest.mark.parametrize(
    ("command", "environment", "said"),
    [
        ("cline", {}, "has no variable for its base URL"),
        ("sh", {}, "has no variable for its base URL"),
        ("copilot", {}, "COPILOT_PROVIDER_BASE_URL"),
        ("copilot", {"COPILOT_PROVIDER_BASE_URL": "http://127.0.0.1:9/x"}, "does not end with /v1"),
        ("claude", {"HYPERTOOL_GATEWAY_ANTHROPIC": "ftp://x"}, "HYPERTOOL_GATEWAY_ANTHROPIC"),
    ],
)
def test_what_cannot_go_through_is_named(
    command: str, environment: dict[str, str], said: str, claude: Path, project: Path
) -> None:
    """The command is not started: past the gateway it would spend without a budget."""
    other = project / command
    if command != "claude":
        other.symlink_to(claude)
    process = start(project, "--gateway", "--", str(other), **environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_aider_keeps_no_log_behind_a_gateway(project: Path, models: FakeModels) -> None:
    """Its log has estimates, which would be counted beside the call itself."""
    script = project / "aider"
    script.write_text('#!/bin/sh\necho "${AIDER_ANALYTICS_LOG-none} $OPENAI_API_BASE"\n')
    script.chmod(0o755)
    process = start(project, "--gateway", "--", str(script), OPENAI_API_BASE=models.url + "/v1")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("none http://127.0.0.1:")
    assert out.endswith("/a/aider/openai/v1\n")


def test_real_client_behind_its_own_gateway(models: FakeModels, programs: Path, project: Path) -> None:
    """The real Claude Code by that command, without hooks or service: exact, and the persona's."""
    client = AGENTS["claude-code"]
    around = (str(HYPERTOOL), "run", "--persona", "backend-engineer", "--gateway", "--")
    done = run(client._replace(around=around), models, programs, project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counted(TOKENS.key) == counted(TOKENS.key, "backend-engineer") == models.tokens(True)
    assert counted(AGENT_CALLS.key) == len(models.served) == 2
