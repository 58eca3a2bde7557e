"""The destination goes away under load and comes back: not one sample, span or line is missing.

20 s by default; HYPERTOOL_OUTAGE_SECONDS=300 runs the five minutes of the promise. The budget is scaled with it, so
that the write-ahead log is looked at during the outage.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.alloy.collector import Collector, budget_environment, running
from tests.alloy.journal import JournalWriter
from tests.alloy.load import Account, Load, slowly
from tests.support.box import until
from tests.support.cloud import CloudStandIn

WARM_UP, BACK = 60.0, 120.0
#: What was in flight when a connection was cut may have been taken without the sender learning of it.
IN_FLIGHT_SECONDS = 3


def warm(load: Load, cloud: CloudStandIn) -> None:
    """Until some of everything has arrived."""
    until(
        "some of every signal to arrive",
        WARM_UP,
        slowly(lambda: all(load.account(cloud).arrived[signal] for signal in load.times) or None),
    )


def stay_away(seconds: float, load: Load) -> None:
    """Until the load has gone on for that long; the pushed metrics are refused or taken, the scrapes go on."""
    end = time.monotonic() + seconds
    until("the outage to have lasted", seconds + 60, lambda: time.monotonic() > end or None)
    assert load.handed_over("samples") > 0.5 * seconds, "the load did not go on during the outage"


def come_back(load: Load, cloud: CloudStandIn, seconds: float = BACK) -> Account:
    """End the load and wait until all of it is there."""
    load.finish()
    started = time.monotonic()
    try:
        until("everything to arrive", seconds, slowly(lambda: load.account(cloud).complete() or None))
    except AssertionError as error:
        account = load.account(cloud)
        missing = {signal: account.missing(signal)[:20] for signal in account.handed_over}
        raise AssertionError(f"{account.summary()}; missing, the first of each: {missing}") from error
    account = load.account(cloud)
    print(f"complete {time.monotonic() - started:.1f} s after the load ended: {account.summary()}")
    return account


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["down", "black_hole", "503", "429"])
def test_nothing_is_lost_while_the_destination_is_away(
    to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter, outage_seconds: float, kind: str
) -> None:
    to_cloud.environment |= budget_environment(f"{max(outage_seconds, 20):g}s")
    with running(to_cloud), Load(to_cloud, journal) as load:
        warm(load, cloud)
        cloud.fault("all", kind)
        stay_away(outage_seconds, load)
        cloud.fault("all", None)
        account = come_back(load, cloud)
        assert to_cloud.metric("prometheus_remote_storage_samples_failed_total") == 0
        assert to_cloud.metric("loki_write_dropped_entries_total") == 0
        print(
            f"retried: {to_cloud.metric('prometheus_remote_storage_samples_retried_total'):.0f} samples, "
            f"{to_cloud.metric('loki_write_batch_retries_total'):.0f} batches of lines"
        )
    assert min(len(numbers) for numbers in account.handed_over.values()) > 0.5 * outage_seconds
    allowed = 20 * IN_FLIGHT_SECONDS if kind in ("down", "black_hole") else 0
    assert len(account.repeated("spans")) <= allowed
    assert len(account.repeated("lines")) <= allowed


@pytest.mark.timeout(1500)
def test_a_reload_in_an_outage_loses_nothing(
    to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter, outage_seconds: float
) -> None:
    with running(to_cloud), Load(to_cloud, journal) as load:
        warm(load, cloud)
        cloud.fault("all", "503")
        stay_away(outage_seconds / 2, load)
        assert to_cloud.reload() == (200, "config reloaded\n")
        (to_cloud.configuration / "user_own.alloy").write_text(
            'discovery.relabel "user_own" {\n\ttargets = discovery.file.targets.targets\n}\n', encoding="utf-8"
        )
        assert to_cloud.reload() == (200, "config reloaded\n")
        assert "discovery.relabel.user_own" in to_cloud.components()
        stay_away(outage_seconds / 2, load)
        cloud.fault("all", None)
        account = come_back(load, cloud)
    assert account.repeated("spans") == account.repeated("lines") == []


@pytest.mark.timeout(1500)
def test_credential_replaced_in_an_outage_is_used(
    to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter, token_file: Path, outage_seconds: float
) -> None:
    """A credential that is replaced during an outage is the one that is used after it."""
    with running(to_cloud), Load(to_cloud, journal) as load:
        warm(load, cloud)
        cloud.fault("all", "down")
        stay_away(outage_seconds / 2, load)
        cloud.tokens.add("the-new-one")
        token_file.write_text("the-new-one\n", encoding="utf-8")
        cloud.tokens.discard(cloud.token)
        stay_away(outage_seconds / 2, load)
        cloud.fault("all", None)
        come_back(load, cloud)
        assert to_cloud.metric("prometheus_remote_storage_samples_failed_total") == 0


@pytest.mark.timeout(1500)
def test_outage_of_the_whole_budget_loses_nothing(
    to_cloud: Collector, cloud: CloudStandIn, journal: JournalWriter
) -> None:
    """A budget of 40 s: the log is looked at every 10 s, before, during and after the outage."""
    to_cloud.environment |= budget_environment("40s")
    with running(to_cloud), Load(to_cloud, journal) as load:
        warm(load, cloud)
        until(
            "the log to have been cut a few times",
            120,
            lambda: to_cloud.metric("prometheus_remote_write_wal_checkpoint_creations_total") >= 1 or None,
        )
        cloud.fault("all", "503")
        stay_away(40, load)
        cloud.fault("all", None)
        come_back(load, cloud)
