"""Whatever is wrong with a configuration, what runs goes on; what is right is taken without a restart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from testinfra.host import Host

from tests.alloy_hosts.conftest import REAL, RELEASES, Playing, generation, main_pids
from tests.support.box import until
from tests.support.cloud import CloudStandIn
from tests.support.fleet import Fleet, Play, ask, on_all

pytestmark = pytest.mark.host

MINE = "/etc/alloy/conf.d/mine.alloy"
#: A collector's own metrics to an address where nothing listens, as on a host with a backlog.
DEAD_END = """\
prometheus.scrape "mine" {
	targets         = prometheus.exporter.self.alloy.targets
	forward_to      = [prometheus.remote_write.mine.receiver]
	scrape_interval = "1s"
	scrape_timeout  = "1s"

	basic_auth {
		username      = "hypertool"
		password_file = sys.env("HYPERTOOL_ALLOY_WEB_PASSWORD_FILE")
	}
}

prometheus.remote_write "mine" {
	endpoint {
		url = "http://127.0.0.1:9/nobody"
	}
}
"""
#: The same for the double, which sends nothing and reports only what the test sets.
SAID = """\
prometheus_remote_storage_samples_pending 1234
prometheus_remote_storage_queue_highest_sent_timestamp_seconds 1
"""


@dataclass(frozen=True)
class Bad:
    """A file of the user's that must be refused, and what Alloy has to say about it."""

    content: str
    said: tuple[str, ...]


#: Each pair is tried in one play, one on each host.
BAD = {
    "syntax error, unknown component": (
        Bad('prometheus.scrape "mine" {\n\ttargets =\n}\n', ("user_mine.alloy:", "expected expression")),
        Bad('prometheus.scraper "mine" {\n}\n', ("user_mine.alloy:1:1", "prometheus.scraper")),
    ),
    "duplicate label, unreachable secret": (
        Bad('prometheus.remote_write "destination" {\n}\n', ("remote_write.destination", "already declared")),
        Bad(
            'local.file "mine" {\n\tfilename  = "/etc/alloy/secrets/none"\n\tis_secret = true\n}\n',
            ("user_mine.alloy:1:1", "/etc/alloy/secrets/none"),
        ),
    ),
    "a port that is taken, no end of a block": (
        Bad(
            'otelcol.receiver.otlp "mine" {\n\tgrpc {\n\t\tendpoint = "127.0.0.1:4317"\n\t}\n\n'
            "\toutput {\n\t\tmetrics = [otelcol.exporter.prometheus.otlp.input]\n\t}\n}\n",
            ("component otelcol.receiver.otlp.mine is exited", "address already in use"),
        ),
        Bad('prometheus.scrape "mine" {\n', ("user_mine.alloy",)),
    ),
}


def put(host: Host, content: str) -> None:
    host.check_output("python3 -c %s %s %s", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", MINE, content)


def words(play: Play, name: str) -> str:
    """What a play says of the failure on one host, on one line."""
    found = re.search(rf"fatal: \[{name}\].*?(?=\nfatal: |\n\[ERROR|\nTASK |\nPLAY )", play.output, re.DOTALL)
    assert found, f"{name} did not refuse:\n{play.output[-3000:]}"
    return " ".join(found[0].replace("\\n", " ").replace('\\"', '"').split())


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_mine_is_left(fleet: Fleet, installed: Play) -> Iterator[None]:
    yield
    on_all(fleet.hosts, lambda host: host.check_output(f"rm -f {MINE} /var/lib/alloy/data/double.prom"))


@pytest.mark.parametrize("case", BAD)
def test_bad_configuration_is_refused_in_alloys_words(fleet: Fleet, play: Playing, case: str) -> None:
    """A bad configuration is refused with Alloy's own message, and the running one goes on."""
    cases = dict(zip(RELEASES, BAD[case], strict=True))
    for name, bad in cases.items():
        put(fleet.hosts[name], bad.content)
    pids, active = main_pids(fleet), {name: generation(host) for name, host in fleet.hosts.items()}
    refused = play("site.yml", "--tags", "alloy", "--diff")
    assert refused.code != 0
    for name, bad in cases.items():
        said = words(refused, name)
        assert [part for part in bad.said if part not in said] == [], said
    assert main_pids(fleet) == pids
    assert {name: generation(host) for name, host in fleet.hosts.items()} == active
    for host in fleet.hosts.values():
        ask(host, "http://127.0.0.1:12345/-/ready")
        assert '"unhealthy"' not in ask(host, "http://127.0.0.1:12345/api/v0/web/components")
        assert host.check_output("ls /etc/alloy/hypertool/generations").split() == ["1"]


def test_too_low_memory_limit_is_put_back(fleet: Fleet, installed: Play, play: Playing) -> None:
    """A memory limit that Alloy cannot live with is put back to the one before."""
    on_all(fleet.hosts, lambda host: host.check_output(f"rm -f {MINE}"))
    before = on_all(fleet.hosts, lambda host: host.check_output("systemctl show alloy -P MemoryMax"))
    refused = play("site.yml", "--tags", "alloy", alloy_memory_max="2M")
    assert refused.code != 0
    for name, host in fleet.hosts.items():
        assert "Generation 1 is active again, with the drop-in that it ran with." in words(refused, name)
        assert host.check_output("systemctl show alloy -P MemoryMax") == before[name]
        ask(host, "http://127.0.0.1:12345/-/ready")


@pytest.fixture(scope="module")
def reloaded(fleet: Fleet, cloud: CloudStandIn, play: Playing) -> dict[str, str]:
    """A good file of the user's and a new token in one play; the main processes from before."""
    pids = main_pids(fleet)
    on_all(fleet.hosts, lambda host: put(host, DEAD_END))
    cloud.tokens.add("glc_stand_in_next_0123456789abcdef")
    play("site.yml", "--tags", "alloy", grafana_cloud_token="glc_stand_in_next_0123456789abcdef").succeeded()
    return pids


def test_good_configuration_and_token_need_no_restart(fleet: Fleet, reloaded: dict[str, str]) -> None:
    """A good configuration and a new token are taken over without a restart."""
    assert main_pids(fleet) == reloaded
    for host in fleet.hosts.values():
        assert generation(host) == "2"
        assert "prometheus.remote_write.mine" in ask(host, "http://127.0.0.1:12345/api/v0/web/components")
        assert host.file("/etc/alloy/secrets/grafana_cloud_token").content_string.endswith("_next_0123456789abcdef")


def test_backlog_refuses_restart_and_upgrade(
    fleet: Fleet, packages: dict[str, object], reloaded: dict[str, str], play: Playing
) -> None:
    """A restart or an upgrade is refused while samples wait to be sent."""
    pids = main_pids(fleet)
    first, second = RELEASES
    if not REAL:
        told = "import sys; open('/var/lib/alloy/data/double.prom', 'w').write(sys.argv[1])"
        on_all(fleet.hosts, lambda host: host.check_output("python3 -c %s %s", told, SAID))

    def waiting(host: Host) -> bool | None:
        figures = ask(host, "http://127.0.0.1:12345/metrics")
        return True if re.search(r"samples_pending(\{.*mine.*\})? [1-9]", figures) else None

    for host in fleet.hosts.values():
        until("samples to wait", 60, lambda host=host: waiting(host))
    refused = play(
        "site.yml", "--tags", "alloy",
        of={first: {"alloy_scrape_interval": "20s"}, second: {"alloy_package_file": str(packages["1.18.2-1"])}},
    )  # fmt: skip
    assert refused.code != 0
    for name, reason in {first: "its environment changes", second: "upgrade from 1.18.1-1 to 1.18.2-1"}.items():
        said = words(refused, name)
        assert reason in said
        assert "prometheus_remote_storage_samples_pending" in said
        assert "alloy_restart_with_backlog=true" in said
    assert main_pids(fleet) == pids
    assert {generation(host) for host in fleet.hosts.values()} == {"2"}
    on_all(fleet.hosts, lambda host: host.check_output("rm -f /var/lib/alloy/data/double.prom"))


def test_rollback_needs_no_restart(fleet: Fleet, reloaded: dict[str, str], play: Playing) -> None:
    """A rollback goes one generation back without a restart."""
    pids = main_pids(fleet)
    done = play("site.yml", "--tags", "rollback").succeeded()
    assert "generation 1 of /etc/alloy/hypertool is active" in " ".join(done.output.split())
    assert main_pids(fleet) == pids
    for host in fleet.hosts.values():
        assert generation(host) == "1"
        assert "prometheus.remote_write.mine" not in ask(host, "http://127.0.0.1:12345/api/v0/web/components")
    again = play("site.yml", "--tags", "rollback")
    assert "there is no generation before 1" in words(again, RELEASES[0])
