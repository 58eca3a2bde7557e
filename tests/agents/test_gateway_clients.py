"""Real coding agents through the gateway, with hooks and the service on: every call once, and none past the limit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypertool.cli import main
from hypertool.domain.instruments import AGENT_BLOCKED, AGENT_CALLS, AGENT_TOKENS, TOKENS
from hypertool.service.agent_sessions import AgentSessions
from tests.agents.hooking import HYPERTOOL
from tests.agents.ledgers import counted, open_ledger, remaining
from tests.agents.real_clients import AGENTS, Client, run, set_up
from tests.support.fake_models import FakeModels

pytest.importorskip("aiohttp", reason="the gateway's extra is not installed: pip install '.[gateway]'")

PATHS = {"claude-code": "anthropic", "codex": "openai", "copilot-cli": "openai", "gemini-cli": "gemini"}


@pytest.fixture
def gateway() -> Iterator[Callable[[FakeModels], tuple[str, Callable[[], None]]]]:
    """Starts a gateway in front of the model server; gives its URL, and what ends it so that everything is counted."""
    started: list[subprocess.Popen[str]] = []

    def begin(models: FakeModels) -> tuple[str, Callable[[], None]]:
        names = ("ANTHROPIC", "OPENAI", "GEMINI")
        to = {f"HYPERTOOL_GATEWAY_{name}": models.url for name in names}
        environment = {**os.environ, **to, "HYPERTOOL_GATEWAY_LISTEN": "127.0.0.1:0"}
        process = subprocess.Popen(
            [str(HYPERTOOL), "gateway"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("gateway on "), process.communicate(timeout=30)

        def end() -> None:
            process.send_signal(signal.SIGTERM)
            assert (process.wait(60), process.communicate()[1]) == (0, "")

        return line.split()[2].rstrip("/"), end

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def through(client: Client, url: str, project: Path, models: FakeModels, programs: Path) -> Client:
    """The client with the gateway's base URL in place of the model server's."""
    set_up(client._replace(prepare=lambda home, _: client.prepare(home, url)), models, programs, project)
    return client._replace(environment=lambda _: client.environment(url))


@pytest.mark.parametrize("hooked", [True, False], ids=["gateway, hooks and service", "gateway and service"])
@pytest.mark.parametrize("agent", PATHS)
def test_real_client_through_the_gateway(
    agent: str,
    hooked: bool,
    gateway: Callable[[FakeModels], tuple[str, Callable[[], None]]],
    models: FakeModels,
    programs: Path,
    project: Path,
) -> None:
    """Ledger, metrics, budget and what the server reported agree to the token: nothing twice, nothing missing."""
    url, end = gateway(models)
    client = through(AGENTS[agent], f"{url}/p/backend-engineer/{PATHS[agent]}", project, models, programs)
    if hooked:
        assert main(["agents", "install", agent]) == 0
    done = run(client, models, programs, project, HYPERTOOL_PERSONA="backend-engineer")
    assert models.served, done.stdout + done.stderr
    AgentSessions(str(project.parent), {}).round()
    end()
    AgentSessions(str(project.parent), {}).round()
    said = f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
    used = models.tokens(client.cache_write, client.reasoning_beside)
    ledger = open_ledger()
    rows = ledger.connection.execute("SELECT agent, source, persona, session FROM calls ORDER BY at").fetchall()
    ledger.close()
    assert counted(AGENT_CALLS.key, agent) == len(models.served) == len(rows), f"{rows} {said}"
    assert counted(AGENT_TOKENS.key, agent) == counted(TOKENS.key) == used, f"{rows} {said}"
    assert {row[0] for row in rows} == {agent}
    if hooked and agent != "codex":
        assert counted(TOKENS.key, "backend-engineer") == used
        assert remaining() == 2000 - used


@pytest.mark.parametrize("agent", PATHS)
def test_real_client_is_stopped_by_the_gateway(
    agent: str,
    gateway: Callable[[FakeModels], tuple[str, Callable[[], None]]],
    programs: Path,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without any hook: after the call that overspent, none is served, and the agent ends."""
    config = tmp_path / "hypertool.toml"
    config.write_text('[personas.backend-engineer]\ntokens = 1100\nwindow = "day"\non_exceed = "block"\n')
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    with FakeModels(commands=["echo one", "echo two", "echo three", "echo four"]) as models:
        url, end = gateway(models)
        client = through(AGENTS[agent], f"{url}/p/backend-engineer/{PATHS[agent]}", project, models, programs)
        done = run(client, models, programs, project)
        end()
        assert len(models.served) == 1, f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
    assert counted(TOKENS.key, "backend-engineer") == counted(TOKENS.key)
    assert 1 <= counted(AGENT_BLOCKED.key, agent, "backend-engineer") <= 3
