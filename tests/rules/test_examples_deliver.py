"""Each example delivers: a real Alertmanager runs it, with addresses and secrets of receivers on this machine."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string, policy
from pathlib import Path
from typing import Any

from tests.rules.cases import PROMETHEUS
from tests.rules.contract import ANNOTATIONS
from tests.rules.services import Receiver, alertmanager, post_alerts, receiver, until
from tests.rules.test_alertmanager import alert_labels, quick
from tests.support.debian_binaries import alertmanager_binaries

FOLDER = PROMETHEUS / "alertmanager"
TITLE = "CRITICAL TokenBudgetExceeded on host-a"
TEXTS = {name: f"the-{name}" for name in ANNOTATIONS}


@contextmanager
def mailbox() -> Iterator[tuple[str, list[str]]]:
    """A mail server that accepts everything: its address, and the mails it has got."""
    mails: list[str] = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 ready")
            while line := self.rfile.readline().decode().strip().upper():
                if line == "DATA":
                    self._say("354 go on")
                    body = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                    mails.append("".join(body))
                self._say("221 bye" if line == "QUIT" else "250 ok")

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", mails
        server.shutdown()


def _secret(folder: Path, text: str) -> str:
    """Every secret of an example is a file with this text; returns the folder to put in its place."""
    secrets = folder / "secrets"
    secrets.mkdir()
    for name in ("slack_api_url", "pagerduty_routing_key", "webhook_token"):
        (secrets / name).write_text(text, encoding="utf-8")
    return f"{secrets}/"


@contextmanager
def _running(
    release: str, example: str, folder: Path, secret: str, texts: dict[str, str] = TEXTS, **replaced: str
) -> Iterator[Receiver]:
    """The example with its log and its other addresses here, and one critical alert sent to it."""
    with receiver() as log:
        config = quick((FOLDER / "examples" / f"{example}.yml").read_text(encoding="utf-8"), log.address)
        config = config.replace("/etc/hypertool/alertmanager/secrets/", _secret(folder, secret))
        for old, new in replaced.items():
            config = config.replace(old, new)
        with alertmanager(alertmanager_binaries(release), folder / "am", config, FOLDER / "templates") as url:
            post_alerts(url, [alert_labels("TokenBudgetExceeded", persona="backend-engineer")], texts)
            yield log
            until("the log of the host to hear of it as well", lambda: log.posts)


def _first(hook: Receiver, what: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    return until(what, lambda: hook.requests)[0]


def test_slack(edge_release: str, tmp_path: Path) -> None:
    with receiver() as slack, _running(edge_release, "slack", tmp_path, f"http://{slack.address}/services/T/B/x"):
        path, _, body = _first(slack, "a message to Slack")
    assert path == "/services/T/B/x"
    assert body["channel"] == "#hypertool-on-call"
    said = body["attachments"][0]
    assert said["title"] == TITLE
    assert said["title_link"] == TEXTS["runbook_url"]
    assert all(text in said["text"] for text in TEXTS.values())


def test_pagerduty(edge_release: str, tmp_path: Path) -> None:
    with receiver() as pager:
        url = {"  resolve_timeout: 5m": f"  resolve_timeout: 5m\n  pagerduty_url: http://{pager.address}/v2/enqueue"}
        with _running(edge_release, "pagerduty", tmp_path, "the-key", **url):
            _, _, body = _first(pager, "an event to PagerDuty")
    assert body["routing_key"] == "the-key"
    assert (body["payload"]["summary"], body["payload"]["severity"]) == (TITLE, "critical")
    assert {link["href"] for link in body["links"]} == {TEXTS["runbook_url"], TEXTS["dashboard_url"]}


def test_pagerduty_with_braces_in_a_name(edge_release: str, tmp_path: Path) -> None:
    """A workflow called {{task}} is text, also where Alertmanager reads a detail as YAML and renders it again."""
    texts = {"summary": "stage: {{task}}", "description": "of: {{ .Nothing }}", "action": "run: {{end}}"}
    with receiver() as pager:
        url = {"  resolve_timeout: 5m": f"  resolve_timeout: 5m\n  pagerduty_url: http://{pager.address}/v2/enqueue"}
        with _running(edge_release, "pagerduty", tmp_path, "the-key", texts, **url):
            _, _, body = _first(pager, "an event to PagerDuty")
    assert "task" in str(body["payload"]["custom_details"])
    assert all(link["href"] for link in body["links"])


def test_webhook(edge_release: str, tmp_path: Path) -> None:
    with receiver() as hook:
        address = {"https://hooks.example.org": f"http://{hook.address}"}
        with _running(edge_release, "webhook", tmp_path, "the-token", **address):
            path, headers, body = _first(hook, "a post to the web hook")
    assert path == "/hypertool/critical"
    assert headers["Authorization"] == "Bearer the-token"
    assert body["alerts"][0]["annotations"] == TEXTS


def test_email(edge_release: str, tmp_path: Path) -> None:
    with mailbox() as (address, mails):
        # Neither TLS nor a password: the test's mail server has no certificate; the keys are checked by amtool.
        replaced = {
            "smtp.example.org:587": address,
            "smtp_require_tls: true": "smtp_require_tls: false",
            "  smtp_auth_username: hypertool@example.org\n": "",
        }
        with _running(edge_release, "email", tmp_path, "", **replaced):
            until("a mail", lambda: mails)
    mail = message_from_string(mails[0], policy=policy.default)
    assert mail["To"] == "on-call@example.org"
    assert mail["Subject"] == TITLE
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        assert all(text in re.sub(r"\s+", " ", str(part.get_content())) for text in TEXTS.values())
