"""delivery_proof with Debian's Prometheus in agent mode: what arrives is read back, and each broken hop is named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.ansible_module import run_module, run_task
from tests.support.box import free_port, until
from tests.support.cloud import READ, WRITE, CloudStandIn
from tests.support.cloud.front import Answer, Front, Request
from tests.support.debian_binaries import OLDEST_RELEASE
from tests.support.exporter_process import Exporter, running
from tests.support.forward_proxy import ForwardProxy
from tests.support.hypertool_host import Host
from tests.support.prometheus_agent import Agent, prometheus_agent

GAUGE = "hypertool_delivery_proof_timestamp_seconds"
INSTANCE = "proof-host"
#: Long enough for a slow machine to deliver, and for a test that waits for the verdict.
ARRIVES, STOPS = 60, 10


@dataclass
class Bench:
    """An exporter, the stand-in, and what starts a collector between them."""

    cloud: CloudStandIn
    exporter: Exporter
    directory: Path

    @contextmanager
    def collector(self, target: str = "", instance: str = INSTANCE, **remote: str) -> Iterator[Agent]:
        """One that scrapes the exporter, and has done so, or scrapes another target."""
        to = {
            "url": self.cloud.metrics_url,
            "user": self.cloud.metrics_user,
            "ca_file": str(self.cloud.ca_file),
            **remote,
        }
        with prometheus_agent(
            self.directory / "agent",
            OLDEST_RELEASE,
            target or f"127.0.0.1:{self.exporter.port}",
            instance,
            to,
            self.cloud.token,
        ) as agent:
            if not target:
                until("the exporter to be scraped", 60, lambda: agent.target("hypertool").get("health") == "up" or None)
            yield agent

    def arguments(self, agent: Agent, **more: Any) -> dict[str, Any]:
        return {
            "collector": "prometheus",
            "instance": INSTANCE,
            "collector_address": agent.url,
            "metrics": {"url": self.cloud.metrics_url, "user": self.cloud.metrics_user},
            "token": self.cloud.token,
            "token_file": str(agent.token_file),
            "read_token": self.cloud.read_token,
            "ca_file": str(self.cloud.ca_file),
            "state_dir": str(self.exporter.host.state),
            "exporter": f"http://127.0.0.1:{self.exporter.port}/metrics",
            "timeout": ARRIVES,
            **more,
        }

    def stops_at(self, kind: str) -> tuple[str, str]:
        """Hop and evidence where the destination of metrics fails in this way from before the start on."""
        self.cloud.fault("metrics", kind)
        with self.collector() as agent:
            return self.stops(agent)

    def stops(self, agent: Agent, **more: Any) -> tuple[str, str]:
        """Hop and evidence of a proof that fails; no token may be in any of it, and nothing may be left."""
        answer = run_module("delivery_proof", self.arguments(agent, **{"timeout": STOPS, **more}))
        assert answer.get("failed"), answer
        assert self.cloud.token not in str(answer)
        assert self.cloud.read_token not in str(answer)
        assert not (self.exporter.host.state / "delivery-proof").exists()
        found = answer["failures"]["metrics"]
        assert f"metrics: stops at {found['hop']}: " in answer["msg"]
        return found["hop"], found["evidence"]


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    with running(Host(tmp_path_factory.mktemp("host"))) as one:
        yield one


@pytest.fixture
def bench(cloud: CloudStandIn, exporter: Exporter, tmp_path: Path) -> Bench:
    return Bench(cloud, exporter, tmp_path)


def test_sample_is_read_back_with_run_id_and_host(bench: Bench) -> None:
    """The sample is read back with its run id and its host."""
    with bench.collector() as agent:
        answer = run_module("delivery_proof", bench.arguments(agent))
        assert answer.get("signals", {}).get("metrics", {}).get("proof") == "arrived", answer
        assert answer["changed"] is False
        assert answer["msg"].startswith("metrics arrived after ")
        rows = bench.cloud.query(f'last_over_time({GAUGE}{{instance="{INSTANCE}"}}[5m])')
        assert float(rows[0]["value"][1]) == float(answer["run"])  # Prometheus writes .410 as .41
        assert not list(bench.exporter.host.state.glob("*delivery-proof*")), "nothing is left behind"
        assert GAUGE not in bench.exporter.scrape()


def test_two_proofs_have_two_run_ids(bench: Bench) -> None:
    with bench.collector() as agent:
        runs = {run_module("delivery_proof", bench.arguments(agent))["run"] for _ in range(2)}
    assert len(runs) == 2


def test_an_older_canary_is_no_proof(bench: Bench) -> None:
    """A sample of an earlier run lies at the destination; this one's does not arrive."""
    with bench.collector() as agent:
        assert "failed" not in run_module("delivery_proof", bench.arguments(agent))
        agent.config["scrape_configs"] = agent.config["scrape_configs"][1:]
        agent.reload()
        assert bench.stops(agent)[0] == "scrape"


def test_everything_goes_through_the_named_proxy(bench: Bench) -> None:
    """Every request goes through the proxy that is named."""
    with ForwardProxy() as proxy, bench.collector(proxy_url=f"http://{proxy.address}") as agent:
        answer = run_module("delivery_proof", bench.arguments(agent, proxy_url=f"http://{proxy.address}"))
    assert answer["signals"]["metrics"]["proof"] == "arrived"
    assert len(proxy.tunnels) >= 2, "the collector's and ours"


def test_counters_are_the_proof_without_a_read_token(bench: Bench) -> None:
    """Without a token that may read, the collector's counters are the proof, and the result says so."""
    with bench.collector() as agent:
        answer = run_module("delivery_proof", bench.arguments(agent, read_token=""))
    assert answer.get("signals", {}).get("metrics", {}).get("proof") == "sent", answer
    warning = str(answer["warnings"])
    assert "arrival was not read back" in warning
    assert "grafana_cloud_read_token with the scope metrics:read" in warning


def test_a_token_that_may_do_both_needs_no_second_one(bench: Bench) -> None:
    bench.cloud.scopes[bench.cloud.token] = WRITE | READ
    with bench.collector() as agent:
        answer = run_module("delivery_proof", bench.arguments(agent, read_token=""))
    assert answer["signals"]["metrics"]["proof"] == "arrived"
    assert "warnings" not in answer


def test_read_token_that_may_not_read_is_an_error(bench: Bench) -> None:
    """A read token without permission to read is an error of its own."""
    with bench.collector() as agent:
        answer = run_module("delivery_proof", bench.arguments(agent, read_token=bench.cloud.token))
    assert answer["msg"].startswith("grafana_cloud_read_token: metrics answers 403 to a query")
    assert "metrics:read" in answer["msg"]
    assert bench.cloud.token not in str(answer)


def test_refusal_is_found_without_a_read_token(bench: Bench) -> None:
    """Without a token that may read, a refusal by the destination is still found."""
    with bench.collector() as agent:
        until("the first delivery", 30, lambda: bench.cloud.query("up") or None)
        bench.cloud.tokens.discard(bench.cloud.token)
        assert bench.stops(agent, read_token="")[0] == "credential"


def test_scrape_is_named_where_the_exporter_is_down(bench: Bench) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with bench.collector(target=nobody) as agent:
        hop, evidence = bench.stops(agent, exporter=f"http://{nobody}/metrics")
    assert hop == "scrape", evidence
    assert "exporter does not answer" in evidence
    assert "refuses connections" in evidence


def test_scrape_is_named_for_another_address(bench: Bench) -> None:
    """The step `scrape` is named when the collector scrapes another address."""
    with bench.collector(target=f"127.0.0.1:{free_port()}") as agent:
        hop, evidence = bench.stops(agent)
    assert hop == "scrape", evidence
    assert 'target with job="hypertool" is down' in evidence
    assert "connection refused" in evidence


def test_scrape_is_named_for_an_unlisted_target(bench: Bench) -> None:
    """The step `scrape` is named when the target is not in the collector's list."""
    with bench.collector() as agent:
        agent.config["scrape_configs"] = agent.config["scrape_configs"][1:]
        agent.reload()
        hop, evidence = bench.stops(agent)
    assert hop == "scrape", evidence
    assert 'no target with job="hypertool"' in evidence


def test_scrape_is_named_for_another_state_directory(bench: Bench, tmp_path: Path) -> None:
    """The step `scrape` is named when the exporter serves another state directory."""
    other = tmp_path / "other-state"
    other.mkdir()
    with bench.collector() as agent:
        hop, evidence = bench.stops(agent, state_dir=str(other))
    assert hop == "scrape", evidence
    assert "does not serve" in evidence
    assert str(other) in evidence


def test_scrape_is_named_for_another_host_label(bench: Bench) -> None:
    """The step `scrape` is named when the host label has another value."""
    with bench.collector(instance="somebody-else") as agent:
        hop, evidence = bench.stops(agent, timeout=20)
    assert hop == "scrape", evidence
    assert "instance='somebody-else' instead of 'proof-host'" in evidence


def test_scrape_is_named_for_a_stopped_collector(bench: Bench) -> None:
    """The step `scrape` is named when the collector does not run."""
    with bench.collector() as agent:
        pass
    hop, evidence = bench.stops(agent)
    assert hop == "scrape", evidence
    assert "the collector does not answer" in evidence


@pytest.mark.parametrize("broken", ["held back", "left out", "no destination"])
def test_queue_is_named_for_unsent_samples(bench: Bench, broken: str) -> None:
    """The step `queue` is named when samples come in and are not sent."""
    with bench.collector() as agent:
        until("the first delivery", 30, lambda: bench.cloud.query("up") or None)
        write = agent.config["remote_write"][0]
        if broken == "held back":
            write["queue_config"] = {"batch_send_deadline": "1h", "max_samples_per_send": 100000, "capacity": 500000}
        elif broken == "left out":
            write["write_relabel_configs"] = [{"source_labels": ["job"], "regex": ".*", "action": "drop"}]
        else:
            agent.config["remote_write"] = []
        agent.reload()
        hop, evidence = bench.stops(agent)
    assert hop == "queue", evidence
    assert {"held back": "not sent", "left out": "left out", "no destination": "no sender"}[broken] in evidence


def test_credential_is_named_where_it_was_revoked(bench: Bench) -> None:
    with bench.collector() as agent:
        until("the first delivery", 30, lambda: bench.cloud.query("up") or None)
        bench.cloud.tokens.discard(bench.cloud.token)
        hop, evidence = bench.stops(agent)
    assert hop == "credential", evidence
    assert "401" in evidence
    assert "given up 0" not in evidence, "the collector's own counter is part of the evidence"


def test_credential_is_named_for_another_token_file(bench: Bench) -> None:
    """The step `credential` is named when the collector's file has another token than the play."""
    with bench.collector() as agent:
        agent.token_file.write_text("an-old-token\n")
        hop, evidence = bench.stops(agent)
    assert hop == "credential", evidence
    assert "an-old-token" not in evidence


def test_credential_is_named_for_a_missing_scope(bench: Bench) -> None:
    """The step `credential` is named when the token lacks a scope."""
    bench.cloud.scopes[bench.cloud.token] = frozenset({"logs:write"})
    with bench.collector() as agent:
        hop, evidence = bench.stops(agent)
    assert hop == "credential", evidence
    assert "403" in evidence


@pytest.mark.parametrize("kind", ["down", "black_hole"])
def test_network_is_named_for_a_silent_destination(bench: Bench, kind: str) -> None:
    """The step `network` is named when the destination does not answer."""
    hop, evidence = bench.stops_at(kind)
    assert hop == "network", evidence
    assert {"down": "refuses connections", "black_hole": "said nothing"}[kind] in evidence


@pytest.mark.parametrize("kind", ["503", "429"])
def test_remote_is_named_when_it_refuses_for_now(bench: Bench, kind: str) -> None:
    """The step `remote` is named when the destination does not take samples at the moment."""
    hop, evidence = bench.stops_at(kind)
    assert hop == "remote", evidence
    assert kind in evidence


def test_network_is_named_for_the_collector_alone(bench: Bench) -> None:
    """The step `network` is named when the destination answers us and only the collector cannot reach it."""
    with bench.collector(proxy_url=f"http://127.0.0.1:{free_port()}") as agent:
        hop, evidence = bench.stops(agent)
    assert hop == "network", evidence
    assert "the destination answers this host, but the collector does not get through" in evidence


def other_destination(bench: Bench, serve: Callable[[Request], Answer]) -> dict[str, Any]:
    """The address of a server that is no store, for collector and proof."""
    certificate = bench.cloud.authority.certificate("other", ["127.0.0.1"])
    front = Front(
        "other", "127.0.0.1", certificate, lambda user, token: WRITE | READ, serve, lambda request: "metrics:write"
    )
    return {"url": f"{front.url}/api/prom/push", "user": "1"}


def test_remote_is_named_when_it_loses_the_sample(bench: Bench) -> None:
    """The step `remote` is named when the destination accepted the sample, then lost it."""

    def forgets(request: Request) -> Answer:
        empty = {"status": "success", "data": {"resultType": "vector", "result": []}}
        return Answer(204) if request.method == "POST" else Answer.of_json(empty)

    to = other_destination(bench, forgets)
    with bench.collector(**to) as agent:
        hop, evidence = bench.stops(agent, metrics=to)
    assert hop == "remote", evidence
    assert "taken without a refusal, and is not found there" in evidence


def test_remote_is_named_where_it_is_refused_for_good(bench: Bench) -> None:
    def too_old(request: Request) -> Answer:
        empty = {"status": "success", "data": {"resultType": "vector", "result": []}}
        if request.method == "GET":
            return Answer.of_json(empty)
        return Answer(204) if len(request.body) < 2 else Answer(400, b"sample too old")

    to = other_destination(bench, too_old)
    with bench.collector(**to) as agent:
        hop, evidence = bench.stops(agent, metrics=to)
    assert hop == "remote", evidence
    assert "refuses for good" in evidence


def test_link_in_place_of_the_canary_is_replaced(bench: Bench, tmp_path: Path) -> None:
    """A symbolic link in the place of the canary is replaced, and never followed."""
    victim = tmp_path / "victim"
    victim.write_text("keep")
    (bench.exporter.host.state / "delivery-proof").symlink_to(victim)
    with bench.collector() as agent:
        answer = run_module("delivery_proof", bench.arguments(agent))
    assert answer["signals"]["metrics"]["proof"] == "arrived"
    assert victim.read_text() == "keep"


def test_check_mode_sends_nothing(bench: Bench) -> None:
    with bench.collector() as agent:
        writes: list[bool] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.02):
                writes.append(any(bench.exporter.host.state.glob("*delivery-proof*")))

        watcher = threading.Thread(target=watch)
        watcher.start()
        answer = run_module("delivery_proof", bench.arguments(agent), check_mode=True)
        ended.set()
        watcher.join()
    assert answer["signals"] == {}
    assert answer["changed"] is False
    assert not any(writes)


def test_ansible_shows_no_token_at_its_most_talkative(bench: Bench, tmp_path: Path) -> None:
    cloud = bench.cloud
    with bench.collector() as agent:
        done = run_task(
            """
            delivery_proof: {collector: prometheus, instance: x, timeout: 1, metrics: {url: "{{ url }}", user: "1001"},
                             token: "{{ lookup('env', 'TOKEN') }}", read_token: "{{ lookup('env', 'READ_TOKEN') }}",
                             state_dir: /nonexistent, collector_address: "{{ agent }}", ca_file: "{{ ca }}"}
            """,
            tmp_path,
            "-e",
            f"url={cloud.metrics_url} agent={agent.url} ca={cloud.ca_file}",
            TOKEN=cloud.token,
            READ_TOKEN=cloud.read_token,
        )
    said = done.stdout + done.stderr
    assert "no canary can be put into the state directory /nonexistent" in said
    assert cloud.token not in said
    assert cloud.read_token not in said


def test_answer_that_repeats_the_token_is_not_quoted(bench: Bench) -> None:
    """An answer of the destination that repeats the credential is not quoted."""

    def repeats(request: Request) -> Answer:
        if request.method == "GET":
            return Answer(503)
        return Answer(401, f"{'x' * 140} {request.headers['authorization']} {bench.cloud.token}".encode())

    to = other_destination(bench, repeats)
    with bench.collector(**to) as agent:
        hop, evidence = bench.stops(agent, metrics=to)
    assert hop == "credential", evidence
    assert bench.cloud.token[:6] not in evidence
