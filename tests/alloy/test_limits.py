"""What no protocol saves: exactly how much is lost, that it is counted, and that it ends by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.alloy.collector import Collector, running
from tests.alloy.journal import JournalWriter
from tests.alloy.load import Account, Load, slowly
from tests.alloy.test_outage import stay_away, warm
from tests.support.box import until
from tests.support.cloud import CloudStandIn

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def load(to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter) -> Iterator[Load]:
    """A running collector, and all signals on their way through it."""
    with running(to_cloud), Load(to_cloud, journal) as load:
        warm(load, cloud)
        yield load


def fail(cloud: CloudStandIn, kind: str) -> float:
    """Let the destination fail in this way from now on; the time of it."""
    now = time.time()
    cloud.fault("all", kind)
    return now


def settle(load: Load, cloud: CloudStandIn, since: float) -> Account:
    """Until everything handed over after `since` has arrived."""

    def newest_are_there() -> Account | None:
        account = load.account(cloud)
        late = [
            number
            for signal, times in load.times.items()
            for number in account.missing(signal)
            if times[number] > since
        ]
        return None if late else account

    return until("all that is newer to arrive", 120, slowly(newest_are_there))


def test_revoked_credential_loses_and_counts(to_cloud: Collector, cloud: CloudStandIn, load: Load) -> None:
    """A revoked credential loses that stretch of time, and the loss is counted.

    401 is not retried by any of the three protocols.
    """
    revoked = time.time()
    cloud.tokens.discard(cloud.token)
    stay_away(15, load)
    failed = to_cloud.metric("prometheus_remote_storage_samples_failed_total")
    assert failed > 0, "the alert on rejected samples has nothing to fire on"
    cloud.tokens.add(cloud.token)
    restored = time.time()
    stay_away(10, load)
    load.finish()
    account = settle(load, cloud, restored)
    counted = {
        "lines": to_cloud.metric("loki_write_dropped_entries_total"),
        "spans": to_cloud.metric("otelcol_exporter_send_failed_spans_total"),
    }
    print(account.summary(), counted)
    for signal, times in load.times.items():
        missing = account.missing(signal)
        # Up to a sending interval before it, because it was not yet sent then.
        assert all(revoked - 7 < times[number] < restored for number in missing), signal
        if signal in counted:
            assert counted[signal] == len(missing), f"what was lost of the {signal} is what is counted"
    assert account.missing("samples"), "a 401 was retried: then say so in alloy/README.md"
    stretch = account.missing("samples")
    assert stretch == list(range(stretch[0], stretch[-1] + 1)), "one stretch, nothing else"


def test_restart_in_an_outage_loses_only_the_unsent(to_cloud: Collector, cloud: CloudStandIn, load: Load) -> None:
    """A restart during an outage loses what was not yet sent, and nothing after it."""
    away = fail(cloud, "503")
    stay_away(10, load)
    to_cloud.stop()
    to_cloud.start()
    restarted = time.time()
    stay_away(10, load)
    cloud.fault("all", None)
    stay_away(5, load)
    load.finish()
    account = settle(load, cloud, restarted)
    print(account.summary())
    for signal, times in load.times.items():
        assert all(away - 7 < times[number] < restarted for number in account.missing(signal)), signal


def test_internal_error_loses_and_counts_spans_only(to_cloud: Collector, cloud: CloudStandIn, load: Load) -> None:
    """OTLP allows a retry of 429, 502, 503 and 504 alone; remote write and Loki's push take any 5xx for passing."""
    broken = fail(cloud, "500")
    stay_away(10, load)
    cloud.fault("all", None)
    mended = time.time()
    stay_away(5, load)
    load.finish()
    account = settle(load, cloud, mended)
    until(
        "what is retried to arrive",
        60,
        slowly(
            lambda: not any(load.account(cloud).missing(signal) for signal in ("samples", "pushed", "lines")) or None
        ),
    )
    counted = to_cloud.metric("otelcol_exporter_send_failed_spans_total")
    missing = account.missing("spans")
    assert 0 < len(missing) == counted
    assert all(broken - 7 < load.times["spans"][number] < mended for number in missing)
