"""Our sources of a real client's calls (hooks, service, OTLP, gateway), any of them on, and what they counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hypertool.cli import main
from hypertool.domain.instruments import AGENT_CALLS, AGENT_TOKENS, TOKENS
from hypertool.domain.personas import load_catalogue
from hypertool.service import agent_sessions, agent_telemetry
from hypertool.service.addresses import Address
from hypertool.service.agent_sessions import AgentSessions
from hypertool.service.agent_telemetry import AgentTelemetry, Answer
from hypertool.service.exporter import Exporter
from hypertool.store.store import Store
from tests.agents.gateways import Gateway
from tests.agents.hooking import call_hook
from tests.agents.ledgers import counted, open_ledger
from tests.agents.real_clients import AGENTS, Client, set_up
from tests.support.fake_models import FakeModels
from tests.support.hypertool_host import wait_until

HOOK, SERVICE, OTLP, GATEWAY = SOURCES = ("hook", "service", "otlp", "gateway")
PERSONA, BUDGET = "backend-engineer", 1_000_000
# Where an agent sends its events; what each of them wants beside the endpoint.
TELEMETRY = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORT_INTERVAL": "200",
    "OTEL_RESOURCE_ATTRIBUTES": f"hypertool.persona={PERSONA}",
    "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
    "GEMINI_TELEMETRY_ENABLED": "true",
    "GEMINI_TELEMETRY_TARGET": "local",
    "GEMINI_TELEMETRY_OTLP_PROTOCOL": "http",
    "GEMINI_TELEMETRY_LOG_PROMPTS": "false",
}


class Heard(AgentTelemetry):
    """A receiver that also counts the requests with logs or spans."""

    requests = 0

    def receive(self, signal: str, body: bytes, kind: str, encoding: str) -> Answer:
        self.requests += bool(signal)
        return super().receive(signal, body, kind, encoding)


class Watched:
    """One agent with those sources on; `environment` and `client` are for its runs, `settle` is for their end.

    Only the sources that are on see a call: without the service nothing but a hook reads a session's file.
    """

    def __init__(
        self,
        agent: str,
        sources: Iterable[str],
        models: FakeModels,
        programs: Path,
        project: Path,
        gateway: Callable[[FakeModels], Gateway],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.agent, self.models, self.sources = agent, models, set(sources)
        self.home = str(project.parent)
        self._configure(project.parent, monkeypatch)
        self.gateway = gateway(models) if GATEWAY in self.sources else None
        url = self.gateway.base(agent) if self.gateway is not None else models.url
        client = AGENTS[agent]
        self.client: Client = client._replace(environment=lambda _: client.environment(url))
        set_up(self.client, models, programs, project, url)
        self.environment: dict[str, str] = {}
        if HOOK in self.sources:
            assert main(["agents", "install", agent]) == 0
            self.environment["HYPERTOOL_PERSONA"] = PERSONA
        # An OTLP endpoint without the service's files: the receiver is the service's, so a home without sessions.
        self.telemetry = Heard()
        self.exporter = Exporter(Address("127.0.0.1", 0), Store.locate(), load_catalogue(), False, self.telemetry)
        self.exporter.start()
        if OTLP in self.sources:
            endpoint = f"http://{self.exporter.address}"
            self.environment |= {**TELEMETRY, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
            self.environment["GEMINI_TELEMETRY_OTLP_ENDPOINT"] = endpoint
        self._rounds = self._service()
        if self._serves:
            self._rounds.start()

    def _configure(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A budget by the day, which all sessions share; nothing waits, so that sources come in any order."""
        config = home / "hypertool.toml"
        config.write_text(f'[personas.{PERSONA}]\ntokens = {BUDGET}\nwindow = "day"\n')
        monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
        monkeypatch.setattr(agent_telemetry, "WAIT_SECONDS", 0.0)
        monkeypatch.setattr(agent_sessions, "EVERY_SECONDS", 0.2)

    @property
    def _serves(self) -> bool:
        return bool(self.sources & {SERVICE, OTLP})

    def _service(self) -> AgentSessions:
        home = self.home if SERVICE in self.sources else self.home + "/nobody"
        return AgentSessions(home, {}, self.telemetry)

    def settle(self) -> None:
        """Everything that the sources know is counted."""
        if self.gateway is not None:
            self.gateway.end()
        self._rounds.stop()
        if self._serves:
            self._service().round()
        if self.sources == {HOOK}:
            self._next_session()

    def _next_session(self) -> None:
        """The first hook of a next session of Claude Code: a killed one has no last hook, and its file is late."""
        for folder in Path(self.home, ".claude", "projects").glob("*"):
            given = {"session_id": "next", "transcript_path": str(folder / "next.jsonl"), "cwd": f"{self.home}/project"}
            assert call_hook("claude-code", "SessionStart", given).returncode == 0

    def close(self) -> None:
        """End what was begun."""
        self._rounds.stop()
        self.exporter.close()

    def metric(self, name: str, label: str = "") -> float:
        """The sum of the endpoint's samples of a metric whose labels have that value."""
        with urlopen(f"http://{self.exporter.address}/metrics", timeout=20) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and (not label or label in sample.labels.values())
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Agent, source, persona and sub-agent of every entry of the ledger."""
        ledger = open_ledger()
        try:
            return ledger.connection.execute(
                "SELECT agent, source, persona, subagent, input, output + reasoning FROM calls ORDER BY at"
            ).fetchall()
        finally:
            ledger.close()

    def assert_exact(self, told: str = "") -> None:
        """Ledger, metrics, budget and what the server reported agree to the token, and each call counts once."""
        client = AGENTS[self.agent]
        used = self.models.tokens(client.cache_write, client.reasoning_beside)
        rows = self.rows()
        said = f"{rows} {self.models.asked} {told}"
        assert len(rows) == len(self.models.served) > 0, said
        assert counted(AGENT_CALLS.key, self.agent) == len(self.models.served), said
        assert counted(AGENT_TOKENS.key, self.agent) == counted(TOKENS.key) == used, said
        assert self.metric("hypertool_agent_tokens_total") == used, said
        # Each source that is on has really told of it.
        if GATEWAY in self.sources:
            assert all("gateway" in row[1] for row in rows), said
        if self.sources == {OTLP}:
            assert self.telemetry.requests, said
        # A file that the service read first has no persona: only a hook, the gateway or an event's resource names one.
        named = self.sources & {HOOK, GATEWAY} or self.sources == {OTLP}
        if named and not (self.agent == "codex" and self.sources <= {HOOK, SERVICE, OTLP}):
            assert counted(TOKENS.key, PERSONA) == used, said
            left = self.metric("hypertool_persona_token_budget_remaining", PERSONA)
            assert left == BUDGET - used, f"{left} {BUDGET - used} {said}"


def until_begun(project: Path) -> None:
    """Wait for the tool of `HANG` to run."""
    wait_until((project / "begun").exists, "the start of the tool", 60)


#: A shell command that ends only by being killed.
HANG = "mkfifo never && touch begun && cat never"
