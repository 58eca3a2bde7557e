"""The alert log takes alerts of Alertmanager's users; of anybody else it takes none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypertool.runtime.settings import ALERT_LOG_SENDERS
from hypertool.service.addresses import Address
from hypertool.service.alert_log import AlertFile, AlertLog
from tests.support.box import until

STRANGER = 54321
BODY = json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Forged"}}]})
#: A request that needs only a shell, so that any user can make it.
POST = """
exec 3<>/dev/tcp/127.0.0.1/$1
head='POST / HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\n'
printf "$head"'Content-Length: %s\\r\\n\\r\\n%s' "${#2}" "$2" >&3
eval "$3"
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="run as root: it sends as another user")


@pytest.fixture
def alert_log(tmp_path: Path) -> Iterator[AlertLog]:
    made = AlertLog(Address("127.0.0.1", 0), AlertFile(tmp_path / "alerts.jsonl"))
    made.start()
    yield made
    made.close()


def post(alert_log: AlertLog, user: int, then: str = "cat <&3") -> str:
    """What the alert log answers to a notification of that user."""
    command = ["bash", "-c", POST, "bash", str(alert_log.address.port), BODY, then]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, user=user, cwd="/")
    return done.stdout


def test_own_user_may_send(alert_log: AlertLog) -> None:
    assert post(alert_log, os.geteuid()).startswith("HTTP/1.0 200 ")


@as_root
def test_stranger_is_refused(alert_log: AlertLog, tmp_path: Path) -> None:
    """The answer says who was refused and what to do; nothing is written."""
    answer = post(alert_log, STRANGER)
    assert answer.startswith("HTTP/1.0 403 ")
    assert f"user {STRANGER} may not send alerts here" in answer
    assert ALERT_LOG_SENDERS.name in answer
    assert not (tmp_path / "alerts.jsonl").exists()


@as_root
def test_stranger_who_has_left_is_refused(alert_log: AlertLog, tmp_path: Path) -> None:
    """A sender that closes at once is not taken for root, although the kernel shows its socket as root's."""
    for _ in range(20):
        post(alert_log, STRANGER, then="exit 0")
    assert post(alert_log, 0).startswith("HTTP/1.0 200 ")
    lines = until("the line of root", 60, lambda: (tmp_path / "alerts.jsonl").read_text().splitlines() or None)
    assert len(lines) == 1


@as_root
@pytest.mark.parametrize("senders", [str(STRANGER), f"nobody-of-that-name, {STRANGER}", "*"])
def test_listed_users_may_send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, senders: str) -> None:
    monkeypatch.setenv(ALERT_LOG_SENDERS.name, senders)
    made = AlertLog(Address("127.0.0.1", 0), AlertFile(tmp_path / "alerts.jsonl"))
    made.start()
    try:
        assert post(made, STRANGER).startswith("HTTP/1.0 200 ")
    finally:
        made.close()


def test_unknown_client_is_refused(alert_log: AlertLog) -> None:
    """A client of another machine has no user here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "whose user is not known" in alert_log.senders.refusal(("192.0.2.1", 40000), server.getsockname())
