"""`hypertool mcp`: the commands as tools of the Model Context Protocol, for the SDK's own client over stdio."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import bpe_openai
import pytest
from mcp.client.client import Client

from hypertool.cli.mcp_commands import trace_context
from hypertool.domain.instruments import QUALITY_GATE
from tests.agents.hooking import HYPERTOOL
from tests.agents.ledgers import counted, open_ledger
from tests.agents.mcp_client import Answer, call, connected
from tests.support.hypertool_host import wait_until

GUIDE = Path(__file__).parents[2] / "docs" / "mcp.md"
SESSION = "6f40dd53-000c-4311-9f7e-d122523eb4eb"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STAGE = {"workflow": "bug_fix", "stage": "investigation"}


@pytest.fixture
def project(home: Path) -> Path:
    """A workspace."""
    project = home / "project"
    (project / ".git").mkdir(parents=True)
    return project


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_mcp_switch_binds_the_session(mode: str, project: Path) -> None:
    """Whichever protocol the client speaks: a switch counts from then on for the agent's session, and shows."""

    async def use(client: Client) -> None:
        assert (client.protocol_version < "2026") == (mode == "legacy")
        assert not (await call(client, "persona_switch", persona="backend", chatmode="bug-fix")).failed
        status = await call(client, "persona_status")
        assert "backend-engineer, 2000 of 2000 tokens left" in status.text
        assert "1500  run" in (await call(client, "budget", persona="testing-specialist")).text

    connected(use, project, mode, CLAUDE_CODE_SESSION_ID=SESSION)
    ledger = open_ledger()
    assert ledger.binding("claude-code", SESSION, ledger.now()) == ("backend-engineer", "bug-fix", "")


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18"])
def test_mcp_speaks_older_protocols(version: str, project: Path) -> None:
    """A client of an older protocol gets that version, the five tools, and an answer."""
    asked: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
        {"id": 3, "method": "tools/call", "params": {"name": "workflow_next", "arguments": {"workflow": "bug_fix"}}},
    ]  # fmt: skip
    answers = {}
    with subprocess.Popen([HYPERTOOL, "mcp"], cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for one in asked:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **one}).encode() + b"\n")
            server.stdin.flush()
            if "id" in one:
                answers[one["id"]] = json.loads(server.stdout.readline())["result"]
        server.stdin.close()
        assert server.wait(30) == 0
    assert answers[1]["protocolVersion"] == version
    assert {tool["name"] for tool in answers[2]["tools"]} == {
        "persona_switch", "persona_status", "budget", "gate", "workflow_next"}  # fmt: skip
    assert "bug_fix: investigation (0 of 3 stages passed)" in answers[3]["content"][0]["text"]


def test_mcp_tools_cost_what_the_guide_says(served: Served) -> None:
    """Names, descriptions and schemas are what a model reads at each call: the guide tells their tokens."""
    encoding = bpe_openai.get_encoding("o200k_base")
    cost = sum(len(encoding.encode(json.dumps(tool))) for tool in served.tools)
    said = re.search(r"about (\d+) tokens", GUIDE.read_text())
    assert said is not None
    assert abs(cost - int(said[1])) <= 10
    assert cost <= 400


def test_mcp_gate_is_a_stage(project: Path) -> None:
    """A gate counts like `hypertool gate --quiet`, in the caller's trace; its answer is the last lines, bounded."""

    async def use(client: Client) -> None:
        meta = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        passed = await call(client, "gate", meta, **STAGE, command="seq 50; echo $TRACEPARENT; cat", tail=1)
        assert passed.text.startswith(f"pass\n00-{TRACE}-")
        assert not passed.failed
        assert "implement_fix (1 of 3 stages passed)" in (await following(client)).text
        failed = await call(client, "gate", **STAGE, command="yes $(seq 500) | head -200; exit 2", tail=200)
        assert failed.text.startswith("fail\n[")
        assert "exit code 2; the whole output" in failed.text[-200:]
        assert len(failed.text) < 8100
        assert not failed.failed
        assert "investigation" in (await following(client)).text

    connected(use, project)
    assert counted(QUALITY_GATE.key, "bug_fix", "investigation", "pass") == 1
    assert counted(QUALITY_GATE.key, "bug_fix", "investigation", "fail") == 1


async def following(client: Client) -> Answer:
    return await call(client, "workflow_next", workflow="bug_fix")


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("persona_switch", {"persona": "captain"}, "Known personas"),
        ("persona_switch", {"persona": "--help"}, "Known personas"),
        ("persona_switch", {}, "Field required"),
        ("budget", {"persona": "--reset"}, "unknown persona"),
        ("gate", {**STAGE, "command": "true\0"}, "cannot be started"),
        ("gate", {**STAGE, "command": "x" * 200_000}, "cannot be started"),
        ("gate", {**STAGE, "command": "true", "tail": 10**9}, "less than or equal to 200"),
        ("gate", {**STAGE, "stage": "a\nb", "command": "true", "persona": "backend"}, "printable"),
        ("gate", {"workflow": "own", "stage": "own", "command": "true"}, "give its persona"),
        ("workflow_next", {"workflow": "{{ x }}$(id)"}, "unknown workflow"),
        ("nothing", {}, "Unknown tool"),
    ],
)
def test_mcp_errors(tool: str, arguments: dict[str, Any], said: str, served: Served) -> None:
    """What goes wrong in a tool is that tool's error, with the next step."""
    answer = served.answers[json.dumps([tool, arguments])]
    assert answer.failed
    assert said in answer.text
    assert "Traceback" not in answer.text


class Served(NamedTuple):
    """What one server said: its tools, and its answers to the wrong calls."""

    tools: list[dict[str, Any]]
    answers: dict[str, Answer]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """One server, which still answers after all wrong calls."""
    (wrong,) = (mark for mark in test_mcp_errors.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    found = Served([], {})
    where = tmp_path_factory.mktemp("wrong")

    async def use(client: Client) -> None:
        for tool in (await client.list_tools()).tools:
            found.tools.append({"name": tool.name, "description": tool.description, "input_schema": tool.input_schema})
        for name, arguments, _ in wrong.args[1]:
            found.answers[json.dumps([name, arguments])] = await call(client, name, **arguments)
        assert not (await call(client, "persona_status")).failed

    connected(use, where, HOME=str(where), HYPERTOOL_STATE_DIR=str(where / "state"))
    return found


def test_mcp_store_that_refuses(project: Path) -> None:
    """A store that cannot be written is an error of the tool, not the end of the server."""
    (project / "file").touch()

    async def use(client: Client) -> None:
        refused = await call(client, "persona_switch", persona="backend")
        assert refused.failed
        assert str(project / "file") in refused.text
        assert (await call(client, "gate", **STAGE, command="true")).text.startswith("pass")

    connected(use, project, HYPERTOOL_STATE_DIR=str(project / "file" / "state"))


def test_mcp_cancelled_gate_ends(project: Path) -> None:
    """A call that the client gives up ends the command with all it has started, and the gate fails."""

    async def use(client: Client) -> None:
        async with anyio.create_task_group() as group:

            async def long_gate() -> None:
                await call(client, "gate", **STAGE, command=_SLEEP)

            group.start_soon(long_gate)
            await anyio.to_thread.run_sync(_wait_for_sleep, project)
            group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(_wait_for_end, project)
        assert not (await call(client, "budget")).failed

    connected(use, project)
    assert counted(QUALITY_GATE.key, "bug_fix", "investigation", "fail") == 1


@pytest.mark.parametrize("how", ["input closes", "SIGTERM"])
def test_mcp_end_of_the_server(how: str, project: Path) -> None:
    """An agent that goes away, or ends its server, leaves no command running; the gate counts as failed."""
    with subprocess.Popen([HYPERTOOL, "mcp"], cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        for one in (
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": {"name": "gate", "arguments": {**STAGE, "command": _SLEEP}}},
        ):
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **one}).encode() + b"\n")
        server.stdin.flush()
        _wait_for_sleep(project)
        if how == "SIGTERM":
            server.send_signal(signal.SIGTERM)
        else:
            server.stdin.close()
        assert server.wait(30) == (143 if how == "SIGTERM" else 0)
    _wait_for_end(project)
    assert counted(QUALITY_GATE.key, "bug_fix", "investigation", "fail") == 1


_SLEEP = "sh -c 'echo $$ >child; mv child pid; exec sleep 300' & wait"


def _wait_for_sleep(project: Path) -> None:
    wait_until((project / "pid").exists, "the start of the gate's command", 30)


def _wait_for_end(project: Path) -> None:
    child = Path("/proc", (project / "pid").read_text().strip(), "cmdline")
    wait_until(lambda: not child.exists() or not child.read_bytes(), "the end of what the command started", 30)


@pytest.mark.parametrize(
    ("meta", "parent"),
    [
        ({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, True),
        ({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01\n"}, False),
        ({"traceparent": "$(id)"}, False),
        ({"traceparent": 7}, False),
        ({}, False),
        (None, False),
    ],
)
def test_mcp_trace_context(meta: dict[str, Any] | None, parent: bool) -> None:
    """Only a well-formed trace context reaches the command; a state without a parent does not."""
    found = trace_context({**meta, "tracestate": "a=1"} if meta is not None else None)
    assert bool(found.get("TRACEPARENT")) == parent
    assert found.get("TRACESTATE") == ("a=1" if parent else None)


def test_mcp_without_the_sdk(project: Path) -> None:
    """Without the extra: one line that says what to install, exit code 1."""
    program = "import sys; sys.modules['mcp'] = None; from hypertool.cli import main; sys.exit(main(['mcp']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'hypertool-observability[mcp]'" in done.stderr
