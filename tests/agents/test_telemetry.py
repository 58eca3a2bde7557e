"""Agents' telemetry tells of the calls that their session files have, and of those that they lack; each counts once."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from hypertool.agents.ledger.ledger import Ledger
from hypertool.agents.telemetry.wire import Malformed, records
from hypertool.domain.instruments import AGENT_CALLS, AGENT_TOKENS
from hypertool.service import agent_telemetry
from hypertool.service.agent_sessions import AgentSessions
from hypertool.service.agent_telemetry import AgentTelemetry
from tests.agents import homes
from tests.agents.ledgers import counted
from tests.agents.test_ledger import FIGURES
from tests.support.exporter_process import running
from tests.support.hypertool_host import Host, wait_until

# Agent to its recorded telemetry, the signal, and the calls and tokens in it that we take.
TOLD = {
    "claude-code": ("claude-code-2.1.332", "logs", FIGURES["claude-code"]),
    "qwen-code": ("qwen-code-0.24.4", "logs", (2, 1233 + 1236)),
    "gemini-cli": ("gemini-cli-0.61.0", "logs", (1, 1239)),
    "copilot-cli": ("copilot-cli-1.0.102", "traces", FIGURES["copilot-cli"]),
}


def recorded(agent: str) -> bytes:
    return (homes.RECORDED / f"{TOLD[agent][0]}.otlp.json").read_bytes()


def protobuf(document: dict[str, Any], signal: str) -> bytes:
    """The same request as protobuf, made with the official classes."""
    request = ExportLogsServiceRequest() if signal == "logs" else ExportTraceServiceRequest()
    outer, middle, inner = (
        ("resourceLogs", "scopeLogs", "logRecords") if signal == "logs" else ("resourceSpans", "scopeSpans", "spans")
    )
    for given in document[outer]:
        resource = (request.resource_logs if signal == "logs" else request.resource_spans).add()
        resource.resource.attributes.extend(map(_pair, given["resource"]["attributes"]))
        for scope in given[middle]:
            into = (resource.scope_logs if signal == "logs" else resource.scope_spans).add()
            into.scope.name = scope["scope"]["name"]
            for one in scope[inner]:
                made = (into.log_records if signal == "logs" else into.spans).add()
                made.attributes.extend(_pair(pair) for pair in one["attributes"])
                if signal == "logs":
                    made.time_unix_nano = int(one["timeUnixNano"])
                    made.body.string_value = "a body that is not read"
                else:
                    made.name, made.end_time_unix_nano = one["name"], int(one["endTimeUnixNano"])
    return bytes(request.SerializeToString())


def _pair(given: dict[str, Any]) -> KeyValue:
    pair = KeyValue(key=given["key"])
    value = given["value"] or {}
    if "stringValue" in value:
        pair.value.string_value = value["stringValue"]
    elif "intValue" in value:
        pair.value.int_value = int(value["intValue"])
    elif "doubleValue" in value:
        pair.value.double_value = value["doubleValue"]
    elif "boolValue" in value:
        pair.value.bool_value = value["boolValue"]
    return pair


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> AgentTelemetry:
    """A receiver that waits for no session file."""
    monkeypatch.setattr(agent_telemetry, "WAIT_SECONDS", 0.0)
    return AgentTelemetry()


def send(telemetry: AgentTelemetry, agent: str, form: str) -> None:
    signal = TOLD[agent][1]
    body, kind, encoding = recorded(agent), "application/json", ""
    if form != "json":
        body, kind = protobuf(json.loads(body), signal), "application/x-protobuf"
    if form == "gzip":
        body, encoding = gzip.compress(body), "gzip"
    assert telemetry.receive(signal, body, kind, encoding).status == "200 OK"


@pytest.mark.parametrize("form", ["json", "protobuf", "gzip"])
@pytest.mark.parametrize("agent", TOLD)
def test_telemetry_counts_to_the_token(agent: str, form: str, telemetry: AgentTelemetry, home: Path) -> None:
    """Every form of the same request tells of the same calls; sent again, of nothing."""
    service = AgentSessions(str(home), {}, telemetry)
    for _ in range(2):
        send(telemetry, agent, form)
        service.round()
    assert (counted(AGENT_CALLS.key, agent), counted(AGENT_TOKENS.key, agent)) == TOLD[agent][2]


@pytest.mark.parametrize("first", ["file", "telemetry"])
@pytest.mark.parametrize("agent", ["claude-code", "copilot-cli"])
def test_telemetry_and_files_count_once(agent: str, first: str, telemetry: AgentTelemetry, home: Path) -> None:
    """Whichever source comes first, each call counts once."""
    service = AgentSessions(str(home), {}, telemetry)
    if first == "file":
        homes.install(home, agent)
        service.round()
    send(telemetry, agent, "protobuf")
    service.round()
    homes.install(home, agent)
    service.round()
    assert (counted(AGENT_CALLS.key, agent), counted(AGENT_TOKENS.key, agent)) == FIGURES[agent]


def test_router_calls_come_from_telemetry(telemetry: AgentTelemetry, home: Path) -> None:
    """Gemini CLI's session file lacks the router's call; with telemetry all four calls of the session are counted."""
    homes.install(home, "gemini-cli")
    send(telemetry, "gemini-cli", "json")
    AgentSessions(str(home), {}, telemetry).round()
    calls, tokens = FIGURES["gemini-cli"]
    assert counted(AGENT_CALLS.key, "gemini-cli") == calls + 1
    assert counted(AGENT_TOKENS.key, "gemini-cli") == tokens + 1239
    assert counted(AGENT_CALLS.key, "gemini-cli", "unknown", "session_file") == calls


def one_record(moment: str, count: str) -> bytes:
    attributes = [{"key": "input_tokens", "value": {"intValue": "COUNT"}}]
    record = {"timeUnixNano": "MOMENT", "attributes": attributes}
    text = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
    return text.replace('"MOMENT"', moment).replace('"COUNT"', count).encode()


#: Times and counts beyond what a float can hold.
HUGE = [one_record("1" + 400 * "0", "1"), one_record("1e400", "1"), one_record("1", "1e400")]


@pytest.mark.parametrize(
    "body", [b"\xff", b"\x0a\xff", b"\x0a\x05ab", b"\x0f", b"{", b"[]", b'{"resourceLogs": 5}', *HUGE]
)
@pytest.mark.parametrize("is_json", [True, False])
def test_rubbish_is_refused(body: bytes, is_json: bool) -> None:
    """What is no OTLP is refused, or holds no records; nothing else is raised."""
    with contextlib.suppress(Malformed):
        assert records(body, "logs", is_json) == []


#: A name of an attribute, and what a record may have there that no agent sends.
ODD = [
    ("input_tokens", "9" * 5000),
    ("event.timestamp", 10**400),
    ("event.timestamp", "0001-01-01T00:00:00+00:00"),
    ("session.id", "\ud800"),
    ("session.id", "x" * 100_000),
]


@pytest.mark.parametrize(("name", "value"), ODD, ids=["digits", "late", "early", "surrogate", "long"])
@pytest.mark.parametrize("agent", ["claude-code", "gemini-cli"])
def test_odd_record_stops_no_other(
    agent: str, name: str, value: str | int, telemetry: AgentTelemetry, home: Path
) -> None:
    """Neither the request that has it is lost, nor what comes after it."""
    document = json.loads(recorded(agent))
    for one in document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        kind = "intValue" if isinstance(value, int) else "stringValue"
        one["attributes"] += [{"key": name, "value": {kind: value}}]
    assert telemetry.receive("logs", json.dumps(document).encode(), "application/json", "").status == "200 OK"
    AgentSessions(str(home), {}, telemetry).round()
    send(telemetry, agent, "json")
    AgentSessions(str(home), {}, telemetry).round()
    assert counted(AGENT_CALLS.key, agent) >= TOLD[agent][2][0]
    assert telemetry.count(Ledger()) == 0


def test_bomb_is_refused(telemetry: AgentTelemetry) -> None:
    """A small body that unpacks into hundreds of megabytes is refused after the limit."""
    bomb = gzip.compress(bytes(200 << 20))
    assert telemetry.receive("logs", bomb, "application/x-protobuf", "gzip").status == "400 Bad Request"


def post(port: int, body: bytes, **headers: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/logs", body, {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_service_takes_its_own_users_telemetry(tmp_path: Path) -> None:
    """The running service takes OTLP on its port, from its own user, and not from a web page."""
    host = Host(tmp_path)
    with running(host) as exporter:
        assert post(exporter.port, recorded("qwen-code"), Origin="http://example.com") == 403
        assert post(exporter.port, b"{") == 400
        assert post(exporter.port, recorded("qwen-code")) == 200
        wait_until(lambda: exporter.sum("hypertool_agent_tokens_total") == 1233 + 1236, "the calls to be served", 30)


def test_body_in_chunks_is_taken(tmp_path: Path) -> None:
    """As Node's OpenTelemetry sends what it compresses, and Gemini CLI what it tells at its end."""
    body = gzip.compress(recorded("gemini-cli"))
    pieces = [body[place : place + 100] for place in range(0, len(body), 100)]
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with running(Host(tmp_path)) as exporter:
        connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=20)
        connection.request("POST", "/v1/logs", iter(pieces), headers, encode_chunked=True)
        assert connection.getresponse().status == 200
        connection.close()
        wait_until(lambda: exporter.sum("hypertool_agent_tokens_total") == 1239, "the call to be served", 30)


def test_other_users_telemetry_is_refused(tmp_path: Path) -> None:
    """Another user of the host cannot use up this user's budgets."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    with running(Host(tmp_path)) as exporter:
        child = os.fork()
        if child == 0:
            os.setuid(12345)
            os._exit(0 if post(exporter.port, recorded("qwen-code")) == 403 else 1)
        assert os.waitpid(child, 0)[1] == 0
