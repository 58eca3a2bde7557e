"""delivery_proof with a real Alloy and the project's own pipeline: all three signals, and each broken hop of each."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.alloy.collector import Collector, cloud_environment
from tests.alloy.collector import running as running_collector
from tests.alloy.journal import JournalWriter, journal_obstacle
from tests.support.alloy_program import alloy
from tests.support.ansible_module import run_module
from tests.support.box import free_port, until
from tests.support.cloud import WRITE, CloudStandIn
from tests.support.exporter_process import Exporter, running
from tests.support.hypertool_host import Host

__all__ = ["alloy"]

ARRIVES, STOPS = 90, 20
ALL = ("metrics", "logs", "traces")
UNIT = "hypertool-delivery-proof.service"
# Stand-ins for two programs of a systemd host, which this need not be: one hands the line to the test, which writes it
# into a real journal, the other shows what was handed over.
_SYSTEMD_RUN = """#!/bin/sh
for last; do :; done
printf '%s\\n' "$last" >>"{lines}"
"""
_JOURNALCTL = """#!/bin/sh
cat "{lines}"
"""


@dataclass
class Bench:
    """An exporter, an Alloy that scrapes it, a journal, and the stand-in."""

    cloud: CloudStandIn
    exporter: Exporter
    collector: Collector
    token_file: Path
    programs: Path

    def run(self, **more: Any) -> dict[str, Any]:
        cloud = self.cloud
        given = {
            "collector": "alloy",
            "instance": self.collector.instance,
            "collector_address": self.collector.url,
            "password_file": str(self.collector.password_file),
            "metrics": {"url": cloud.metrics_url, "user": cloud.metrics_user},
            "logs": {"url": cloud.logs_url, "user": cloud.logs_user},
            "otlp": {"url": cloud.otlp_url, "user": cloud.otlp_user},
            "traces": {"url": cloud.traces_url, "user": cloud.traces_user},
            "otlp_receiver": f"http://{self.collector.listen}:4318",
            "token": cloud.token,
            "token_file": str(self.token_file),
            "read_token": cloud.read_token,
            "ca_file": str(cloud.ca_file),
            "state_dir": str(self.exporter.host.state),
            "exporter": f"http://127.0.0.1:{self.exporter.port}/metrics",
            "timeout": ARRIVES,
            **more,
        }
        return run_module(
            "delivery_proof", given, environment={**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        )

    def hops(self, **more: Any) -> dict[str, tuple[str, str]]:
        """Hop and evidence by signal, of those that did not arrive."""
        answer = self.run(**{"timeout": STOPS, **more})
        assert answer.get("failed"), answer
        assert self.cloud.token not in str(answer)
        return {signal: (found["hop"], found["evidence"]) for signal, found in answer["failures"].items()}

    def scraped(self) -> None:
        """Wait until the exporter's first sample has arrived, so that what is broken next is the only thing broken."""
        until("the exporter to be scraped", 90, lambda: self.cloud.query('up{job="hypertool"} == 1') or None)


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    with running(Host(tmp_path_factory.mktemp("host"))) as one:
        yield one


@pytest.fixture
def bench(alloy: Path, cloud: CloudStandIn, exporter: Exporter, tmp_path: Path) -> Iterator[Bench]:
    obstacle = journal_obstacle()
    if obstacle:
        pytest.skip(obstacle)
    token_file, programs, lines = tmp_path / "token", tmp_path / "programs", tmp_path / "lines"
    token_file.write_text(cloud.token + "\n")
    collector = Collector(alloy, tmp_path / "alloy", "grafana_cloud", cloud_environment(cloud, token_file))
    (collector.targets / "hypertool.yml").write_text(
        f'- targets: ["127.0.0.1:{exporter.port}"]\n'
        f'  labels: {{job: "hypertool", instance: "{collector.instance}", __scrape_interval__: "2s"}}\n'
    )
    programs.mkdir()
    lines.touch()
    for name, text in (("systemd-run", _SYSTEMD_RUN), ("journalctl", _JOURNALCTL)):
        (programs / name).write_text(text.format(lines=lines))
        (programs / name).chmod(0o755)
    ended = threading.Event()
    with JournalWriter(collector.journal) as journal, running_collector(collector):

        def carry() -> None:
            done = 0
            while not ended.wait(0.1):
                written = lines.read_text().splitlines()
                for line in written[done:]:
                    journal.write(line, unit=UNIT)
                done = len(written)

        thread = threading.Thread(target=carry)
        thread.start()
        try:
            yield Bench(cloud, exporter, collector, token_file, programs)
        finally:
            ended.set()
            thread.join()


def test_sample_line_and_span_are_read_back(bench: Bench) -> None:
    """A sample, a log line and a span are read back by one run id."""
    answer = bench.run()
    assert {signal: found["proof"] for signal, found in answer["signals"].items()} == {
        "metrics": "arrived",
        "logs": "arrived",
        "traces": "arrived",
    }, answer
    run = answer["run"]
    gauge = bench.cloud.query("last_over_time(hypertool_delivery_proof_timestamp_seconds[5m])")
    found = float(gauge[0]["value"][1]), gauge[0]["metric"]["instance"]
    assert found == (float(run), bench.collector.instance)
    assert any(run in line.text and line.count == 1 for line in bench.cloud.lines(unit=UNIT))
    spans = [span for span in bench.cloud.spans() if span.trace_id == answer["trace_id"]]
    assert [(span.attributes["hypertool.delivery_proof"], span.count) for span in spans] == [(run, 1)]


def test_counters_of_all_three_are_the_proof(bench: Bench) -> None:
    """Without a token that may read, the collector's counters of all three signals are the proof."""
    answer = bench.run(read_token="")
    assert {found["proof"] for found in answer.get("signals", {}).values()} == {"sent"}, answer
    assert len(answer["warnings"]) == 3


def test_only_the_span_needs_a_query_address_of_tempo(bench: Bench) -> None:
    """Without a query address of Tempo, the span is the only one that is not read back."""
    answer = bench.run(traces=None)
    assert {signal: found["proof"] for signal, found in answer["signals"].items()} == {
        "metrics": "arrived",
        "logs": "arrived",
        "traces": "sent",
    }, answer
    assert "grafana_cloud_traces_url" in str(answer["warnings"])


def test_revoked_credential_is_named_for_every_signal(bench: Bench) -> None:
    """A revoked credential is named for every signal."""
    bench.scraped()
    bench.cloud.tokens.discard(bench.cloud.token)
    found = bench.hops()
    assert {signal: hop for signal, (hop, _) in found.items()} == dict.fromkeys(ALL, "credential")
    assert all("401" in evidence for _, evidence in found.values())


def test_a_missing_scope_is_named_for_its_signal_only(bench: Bench) -> None:
    bench.scraped()
    bench.cloud.scopes[bench.cloud.token] = WRITE - {"traces:write"}
    found = bench.hops(timeout=40)
    assert {signal: hop for signal, (hop, _) in found.items()} == {"traces": "credential"}
    assert "403" in found["traces"][1]


@pytest.mark.parametrize(("kind", "hop"), [("down", "network"), ("503", "remote")])
def test_absent_destination_is_named_for_every_signal(bench: Bench, kind: str, hop: str) -> None:
    """A destination that does not answer is named for every signal."""
    bench.scraped()
    bench.cloud.fault("all", kind)
    found = bench.hops()
    assert {signal: seen for signal, (seen, _) in found.items()} == dict.fromkeys(ALL, hop), found


def test_scrape_is_named_where_nothing_comes_in(bench: Bench) -> None:
    """No target for the exporter, a unit that is not among those named, nothing on the OTLP port."""
    (bench.collector.targets / "hypertool.yml").unlink()
    bench.collector.stop()
    bench.collector.environment["HYPERTOOL_ALLOY_UNITS"] = "other\\.service"
    bench.collector.start()
    found = bench.hops(otlp_receiver=f"http://127.0.0.1:{free_port()}")
    assert {signal: hop for signal, (hop, _) in found.items()} == dict.fromkeys(ALL, "scrape"), found
    assert 'no target with job="hypertool"' in found["metrics"][1]
    assert f"{UNIT} is not among its units" in found["logs"][1]
    assert "refuses connections" in found["traces"][1]


def test_target_that_is_down_has_the_collectors_words(bench: Bench) -> None:
    """A target that is down is named with the collector's own message."""
    nobody = free_port()
    (bench.collector.targets / "hypertool.yml").write_text(
        f'- targets: ["127.0.0.1:{nobody}"]\n  labels: {{job: "hypertool", __scrape_interval__: "2s"}}\n'
    )
    bench.collector.stop()
    bench.collector.start()
    found = bench.hops()
    assert list(found) == ["metrics"]
    assert found["metrics"][0] == "scrape"
    assert "connection refused" in found["metrics"][1]


def test_queue_is_named_where_the_pipeline_drops(bench: Bench) -> None:
    """A configuration of ours with a wrong turn: samples come in and lead nowhere."""
    file = bench.collector.configuration / "destination_grafana_cloud.alloy"
    text = file.read_text()
    rule = (
        '\t\twrite_relabel_config {\n\t\t\tsource_labels = ["job"]\n\t\t\tregex         = ".*"\n'
        '\t\t\taction        = "drop"\n\t\t}\n\n\t\tbasic_auth {'
    )
    file.write_text(text.replace("\t\tbasic_auth {", rule, 1))
    status, said = bench.collector.reload()
    assert status == 200, said
    found = bench.hops(timeout=40)
    assert {signal: hop for signal, (hop, _) in found.items()} == {"metrics": "queue"}, found


def test_module_says_that_there_is_no_systemd(bench: Bench) -> None:
    """Without systemd, the module ends with a message that says so."""
    for name, text in (
        ("systemd-run", "#!/bin/sh\necho 'System has not been booted with systemd' >&2; exit 1\n"),
        ("journalctl", "#!/bin/sh\nexit 1\n"),
    ):
        (bench.programs / name).write_text(text)
        assert (bench.programs / name).stat().st_mode & stat.S_IXUSR
    found = bench.hops(timeout=40)
    assert list(found) == ["logs"], json.dumps(found)
    assert found["logs"][0] == "scrape"
    assert "System has not been booted with systemd" in found["logs"][1]
