"""What a real Alloy says of the files: formatted, valid, healthy when started, listening nowhere else."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.alloy.collector import FILES, Collector, running
from tests.support.box import until

ABSENT = {  # a destination that does not answer: building components must not need it
    "HYPERTOOL_ALLOY_METRICS_URL": "https://127.0.0.1:9/api/prom/push",
    "HYPERTOOL_ALLOY_METRICS_USER": "1",
    "HYPERTOOL_ALLOY_LOGS_URL": "https://127.0.0.1:9/loki/api/v1/push",
    "HYPERTOOL_ALLOY_LOGS_USER": "2",
    "HYPERTOOL_ALLOY_OTLP_URL": "https://127.0.0.1:9/otlp",
    "HYPERTOOL_ALLOY_OTLP_USER": "3",
}
LOCAL = {"HYPERTOOL_ALLOY_METRICS_URL": "http://127.0.0.1:9/api/v1/write"}
SETS = {
    "grafana_cloud": ABSENT,
    "local": LOCAL,
    "local, with logs and traces": {name: url.replace("https", "http") for name, url in ABSENT.items()},
}
USERS_OWN = """discovery.relabel "user_extra" {
	targets = discovery.file.targets.targets

	rule {
		target_label = "team"
		replacement  = "agents"
	}
}
"""


@pytest.fixture(params=SETS)
def collector(request: pytest.FixtureRequest, make_collector: Callable[..., Collector], tmp_path: Path) -> Collector:
    environment = dict(SETS[request.param])
    if request.param == "grafana_cloud":
        token = tmp_path / "token"
        token.write_text("secret\n", encoding="utf-8")
        environment["HYPERTOOL_ALLOY_TOKEN_FILE"] = str(token)
    return make_collector(request.param.partition(",")[0], environment)


@pytest.mark.parametrize("path", sorted(FILES.glob("*.alloy")), ids=lambda path: path.name)
def test_every_file_is_formatted(alloy: Path, path: Path) -> None:
    done = subprocess.run([alloy, "fmt", "--test", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `alloy fmt --write {path.name}`\n{done.stdout}{done.stderr}"


def test_every_set_of_files_is_valid(collector: Collector) -> None:
    done = collector.validate()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_users_own_components_are_valid_beside_ours(collector: Collector) -> None:
    (collector.configuration / "user_extra.alloy").write_text(USERS_OWN, encoding="utf-8")
    done = collector.validate()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('discovery.relabel "user" {\n', "user_bad.alloy:"),
        ('prometheus.no_such_thing "user" { }\n', "prometheus.no_such_thing"),
        ('discovery.file "targets" {\n\tfiles = []\n}\n', "already declared"),
        ('discovery.relabel "user" {\n\ttargets = discovery.file.missing.targets\n}\n', "discovery.file.missing"),
        ('prometheus.scrape "user" { }\n', "required"),
    ],
    ids=["syntax", "unknown component", "duplicate name", "unknown reference", "required argument missing"],
)
def test_users_broken_file_is_refused_by_name(collector: Collector, text: str, said: str) -> None:
    """A user's file that breaks the configuration is refused, and the message names the file."""
    (collector.configuration / "user_bad.alloy").write_text(text, encoding="utf-8")
    done = collector.validate()
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_every_component_is_healthy_without_proxy(collector: Collector) -> None:
    """Every component is healthy without a proxy and with the system's authorities.

    Empty variables mean none: nothing fails to build, and it is up although no destination answers.
    """
    with running(collector):
        until("all components to be healthy", 30, lambda: collector.unhealthy() == {} or None)
        assert {
            "prometheus.remote_write.destination",
            "loki.write.destination",
            "otelcol.exporter.otlphttp.destination",
        } <= collector.components()


def test_nothing_listens_beyond_loopback(collector: Collector) -> None:
    with running(collector):
        ports = _listening(collector.pid)
    assert {(collector.listen, 4317), (collector.listen, 4318)} <= ports
    assert [address for address, _ in ports if not address.startswith("127.")] == []


def test_traces_without_an_address_are_refused(make_collector: Callable[..., Collector]) -> None:
    """Without an address for traces, senders get an error; their spans are not swallowed."""
    collector = make_collector("local", LOCAL)
    with running(collector):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(_post(collector, "traces", b'{"resourceSpans": []}'), timeout=60)
        assert refused.value.code == 404
        with urllib.request.urlopen(_post(collector, "metrics", b'{"resourceMetrics": []}'), timeout=60) as taken:
            assert taken.status == 200


def test_refused_reload_says_why_and_runs_on(collector: Collector) -> None:
    """A refused reload says why, and the pipeline goes on with the configuration that it had."""
    with running(collector):
        assert collector.reload() == (200, "config reloaded\n")
        before = collector.components()
        (collector.configuration / "user_bad.alloy").write_text('prometheus.scrape "user" {\n', encoding="utf-8")
        status, text = collector.reload()
        assert status == 400
        assert "user_bad.alloy" in text
        assert collector.components() == before
        assert collector.unhealthy() == {}


def _post(collector: Collector, signal: str, body: bytes) -> urllib.request.Request:
    return urllib.request.Request(
        f"http://{collector.listen}:4318/v1/{signal}", body, {"Content-Type": "application/json"}
    )


def _listening(pid: int) -> set[tuple[str, int]]:
    """Addresses and ports on which the process listens, as the kernel has them."""
    own = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(os.readlink(entry))
        except OSError:
            continue  # closed meanwhile
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] != "0A" or f"socket:[{fields[9]}]" not in own:
                continue
            address, port = fields[1].split(":")
            octets = bytes.fromhex(address[-8:])[::-1]
            any_address = len(address) > 8 and set(address) == {"0"}
            found.add(("::" if any_address else ".".join(map(str, octets)), int(port, 16)))
    return found
