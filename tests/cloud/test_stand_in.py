"""The stand-in for Grafana Cloud: speaks the protocols, checks credentials, and fails as the test asks."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import ssl
import time
from base64 import b64encode
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import cramjam
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.box import free_port, until
from tests.support.cloud import CloudStandIn
from tests.support.cloud.front import Answer
from tests.support.prometheus_agent import Agent, prometheus_agent

PROTOBUF = "application/x-protobuf"


def send(
    cloud: CloudStandIn,
    url: str,
    user: str,
    body: bytes,
    headers: dict[str, str],
    token: str | None = None,
    timeout: float = 20,
) -> Answer:
    """POST (or GET without a body) over TLS that trusts the stand-in's authority alone; the answer, read."""
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=str(cloud.ca_file))
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout, context=context)
    credential = b64encode(f"{user}:{token or cloud.token}".encode()).decode()
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(
            "POST" if body else "GET", path, body or None, {**headers, "Authorization": f"Basic {credential}"}
        )
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), dict(answer.getheaders()))
    finally:
        connection.close()


def push_line(cloud: CloudStandIn, text: str, at: int, timeout: float = 20) -> int:
    document = {"streams": [{"stream": {"job": "journal"}, "values": [[str(at), text]]}]}
    return send(
        cloud,
        cloud.logs_url,
        cloud.logs_user,
        json.dumps(document).encode(),
        {"Content-Type": "application/json"},
        timeout=timeout,
    ).status


def test_line_that_comes_twice_is_counted_twice(cloud: CloudStandIn) -> None:
    """A log line that arrives twice is one line with a count of two."""
    at = time.time_ns()
    assert [push_line(cloud, "again", at), push_line(cloud, "again", at), push_line(cloud, "once", at)] == [204] * 3
    assert sorted((line.text, line.count) for line in cloud.lines(job="journal")) == [("again", 2), ("once", 1)]


def test_lines_come_in_lokis_protobuf_with_snappy_too(cloud: CloudStandIn) -> None:
    entry = b"\x0a\x06\x08\x80\xe0\xb5\xfd\x06" + b"\x12\x05hello"  # timestamp, line
    stream = b'\x0a\x0d{job="wire"} ' + b"\x12" + bytes([len(entry)]) + entry
    body = bytes(cramjam.snappy.compress_raw(b"\x0a" + bytes([len(stream)]) + stream))
    assert send(cloud, cloud.logs_url, cloud.logs_user, body, {"Content-Type": PROTOBUF}).status == 204
    assert [line.text for line in cloud.lines(job="wire")] == ["hello"]


def test_lines_are_found_by_label_and_text(cloud: CloudStandIn) -> None:
    at = time.time_ns() - 10**9
    push_line(cloud, "run 1 of many", at)
    words = urlencode({"query": '{job="journal"} |= "run 1"'})
    url = f"{cloud.logs_url.removesuffix('/push')}/query_range?{words}"
    answer = send(cloud, url, cloud.logs_user, b"", {}, token=cloud.read_token)
    found = json.loads(answer.body)["data"]["result"]
    assert [value for stream in found for value in stream["values"]] == [[str(at), "run 1 of many"]]


@pytest.mark.parametrize("encoding", ["protobuf", "json", "gzip"])
def test_span_is_read_back_in_every_encoding(cloud: CloudStandIn, encoding: str) -> None:
    """A span is kept and read back, whatever its encoding."""
    trace = {"protobuf": "a1" * 16, "json": "b2" * 16, "gzip": "c3" * 16}[encoding]
    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(name="canary", trace_id=bytes.fromhex(trace), span_id=b"12345678")
    )
    span.attributes.add(key="run").value.string_value = "7"
    headers, body = {"Content-Type": PROTOBUF}, request.SerializeToString()
    if encoding == "json":
        headers = {"Content-Type": "application/json"}
        body = json.dumps(
            {
                "resourceSpans": [
                    {
                        "scopeSpans": [
                            {
                                "spans": [
                                    {
                                        "name": "canary",
                                        "traceId": trace,
                                        "spanId": b"12345678".hex(),
                                        "kind": 1,
                                        "attributes": [{"key": "run", "value": {"stringValue": "7"}}],
                                    }
                                ]
                            }
                        ]
                    }
                ]
            }
        ).encode()
    elif encoding == "gzip":
        headers["Content-Encoding"], body = "gzip", gzip.compress(body)
    for _ in range(2):
        assert send(cloud, f"{cloud.otlp_url}/v1/traces", cloud.otlp_user, body, headers).status == 200
    assert [(one.name, one.attributes, one.count) for one in cloud.spans() if one.trace_id == trace] == [
        ("canary", {"run": "7"}, 2)
    ]
    back = send(cloud, f"{cloud.traces_url}/api/traces/{trace}", cloud.traces_user, b"", {}, token=cloud.read_token)
    assert json.loads(back.body)["batches"][0]["scopeSpans"][0]["spans"][0]["name"] == "canary"
    lost = send(cloud, f"{cloud.traces_url}/api/traces/{'d' * 32}", cloud.traces_user, b"", {}, token=cloud.read_token)
    assert lost.status == 404


def test_services_know_their_users_and_scopes(cloud: CloudStandIn) -> None:
    """Each service checks its own user and the scopes of a token."""

    def push(user: str, token: str | None = None) -> int:
        return send(cloud, cloud.logs_url, user, b'{"streams": []}', {"Content-Type": "application/json"}, token).status

    assert push(cloud.logs_user) == 422  # Loki's answer to an empty push, which is past the credential
    assert push(cloud.metrics_user) == 401
    assert push(cloud.logs_user, "revoked") == 401
    assert push(cloud.logs_user, cloud.read_token) == 403
    cloud.tokens.discard(cloud.token)
    assert push(cloud.logs_user) == 401


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_status_on_demand_is_counted_and_keeps_nothing(cloud: CloudStandIn, status: int) -> None:
    """A status that the test asks for is answered and counted, and nothing is kept."""
    before, at = cloud.requests("logs")[status], time.time_ns()
    cloud.fault("logs", str(status))
    assert push_line(cloud, "refused", at) == status
    assert cloud.requests("logs")[status] == before + 1
    cloud.fault("logs", None)
    assert not [line for line in cloud.lines() if line.text == "refused"]
    assert push_line(cloud, "taken", at) == 204


def test_429_says_when_to_come_back(cloud: CloudStandIn) -> None:
    cloud.fault("metrics", "429")
    answer = send(cloud, cloud.metrics_url, cloud.metrics_user, b"\0", {})
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


def test_down_cuts_connections_and_keeps_the_port(cloud: CloudStandIn) -> None:
    """A server that is down cuts its connections, refuses new ones and keeps its port."""
    parts = urlsplit(cloud.logs_url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connected:
        cloud.fault("logs", "down")
        with suppress(ConnectionResetError):
            assert connected.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            push_line(cloud, "nobody there", time.time_ns())
    assert push_to_metrics(cloud) == 204, "the other services go on"
    cloud.fault("logs", None)
    assert push_line(cloud, "back", time.time_ns()) == 204


def push_to_metrics(cloud: CloudStandIn) -> int:
    headers = {"Content-Encoding": "snappy", "Content-Type": PROTOBUF}
    return send(cloud, cloud.metrics_url, cloud.metrics_user, b"\0", headers).status


def test_black_hole_takes_connections_and_is_silent(cloud: CloudStandIn) -> None:
    """A black hole accepts connections and never answers."""
    cloud.fault("logs", "black_hole")
    with pytest.raises(TimeoutError):
        push_line(cloud, "lost", time.time_ns(), timeout=1)
    cloud.fault("logs", None)
    assert not [line for line in cloud.lines() if line.text == "lost"]
    assert push_line(cloud, "back", time.time_ns()) == 204


def test_slow_answers_late_and_keeps_what_it_got(cloud: CloudStandIn) -> None:
    cloud.fault("logs", "slow")
    began = time.monotonic()
    assert push_line(cloud, "late", time.time_ns()) == 204
    assert time.monotonic() - began >= 2.5
    assert [line.text for line in cloud.lines() if line.text == "late"] == ["late"]


def test_a_fault_that_does_not_exist_is_refused(cloud: CloudStandIn) -> None:
    with pytest.raises(ValueError, match=r"no fault 'gone'; there are None, 'down'"):
        cloud.fault("logs", "gone")


def scraped_since(agent: Agent, last: str) -> bool | None:
    return agent.target("hypertool")["lastScrape"] != last or None


def test_debians_agent_delivers_through_an_outage(cloud: CloudStandIn, tmp_path: Path) -> None:
    """Debian's Prometheus in agent mode delivers through an outage without a gap."""
    remote = {"url": cloud.metrics_url, "user": cloud.metrics_user, "ca_file": str(cloud.ca_file)}
    target = f"127.0.0.1:{free_port()}"  # none fails: `up` of 0 is a sample as well
    with prometheus_agent(tmp_path, "trixie", target, "outage", remote, cloud.token) as agent:

        def times() -> list[float]:
            rows = cloud.query('up{instance="outage",job="hypertool"}[5m]')
            return [float(at) for at, _ in rows[0]["values"]] if rows else []

        until("the first samples", 30, lambda: len(times()) >= 2 or None)
        began = time.time()
        cloud.fault("metrics", "503")
        until("pushes to be refused", 30, lambda: cloud.requests("metrics")[503] >= 2 or None)
        cloud.fault("metrics", "down")
        retried = agent.metric("prometheus_remote_storage_samples_retried_total")
        until(
            "retries into nothing",
            30,
            lambda: agent.metric("prometheus_remote_storage_samples_retried_total") > retried or None,
        )
        for _ in range(2):  # the first to end may have begun before the outage
            scraped = agent.target("hypertool")["lastScrape"]
            until("a scrape in the outage", 60, partial(scraped_since, agent, scraped))
        ended = time.time()
        cloud.fault("metrics", None)
        until("samples to arrive again", 60, lambda: times()[-1] > ended or None)
        assert agent.metric("prometheus_remote_storage_samples_failed_total") == 0
        assert [at for at in times() if began < at < ended], f"nothing of {began:.1f} to {ended:.1f}: {times()}"
