"""Refusals, broken answers and broken files: one line each that says what to do, and nothing half done unsaid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypertool.grafana.client import Client, Credential
from hypertool.grafana.problems import PushProblem
from tests.push.conftest import Command, Files
from tests.support.grafana_stand_in import TOKEN, StandIn

DASHBOARDS, FOLDERS = "/namespaces/default/dashboards", "/namespaces/default/folders"
CAUSE = {"message": "Invalid", "reason": "Invalid", "details": {"causes": [{"field": "spec.panels", "message": "bad"}]}}


@pytest.mark.parametrize(
    ("method", "part", "status", "body", "code", "words"),
    [
        ("GET", "/api/health", 200, "<html>Sign in</html>", 1, "is this the address of a Grafana"),
        ("GET", "/api/health", 302, "", 1, "the server redirects to nowhere: give that address"),
        ("GET", "/api/health", 200, {"version": "8.5.1"}, 1, "expected 9.3 or newer"),
        ("GET", "/apis/dashboard", 401, {"message": "Invalid API key"}, 3, "the token is not accepted"),
        ("GET", "/bootdata", 200, {"settings": {"namespace": "org-0"}}, 3, "the token is not accepted"),
        ("GET", "user/permissions", 403, {"message": "no"}, 3, "role Editor"),
        ("GET", DASHBOARDS, 403, {"messageId": "x", "message": "invalid namespace"}, 3, "another stack"),
        ("GET", DASHBOARDS, 429, {"message": "slow down"}, 1, "limits the rate of requests"),
        ("GET", DASHBOARDS, 500, "database is locked", 1, "the server failed"),
        ("POST", FOLDERS, 412, {"message": "changed by someone else"}, 1, "that this token may not see"),
        ("POST", FOLDERS, 403, {"title": "Access denied", "message": "folders:create"}, 3, "folders:create"),
        ("POST", DASHBOARDS, 409, {"reason": "AlreadyExists", "message": "exists"}, 4, "run the command again"),
        ("POST", DASHBOARDS, 422, CAUSE, 4, "spec.panels: bad"),
        ("POST", DASHBOARDS, 403, {"kind": "Status", "status": "Failure", "code": 403}, 4, "may not do this"),
        ("POST", DASHBOARDS, 400, {"message": "Quota reached"}, 4, "have the quota raised"),
    ],
)
def test_each_refusal_says_what_to_do(
    grafana: StandIn, command: Command, method: str, part: str, status: int, body: Any, code: int, words: str
) -> None:
    """Exit code 1 failed, 3 refused, 4 after something was written; one line on stderr, and JSON on stdout."""
    grafana.fail(method, part, status, body, Retry_After="0")
    seen = command("push")
    assert words in seen.error
    assert (seen.code, seen.error.count("\n")) == (code, 1)
    assert (code == 4) == bool(seen.report["written"])


@pytest.mark.parametrize("interface", ["v1", "v1beta1", "legacy"])
def test_a_token_without_permissions_changes_nothing(grafana: StandIn, command: Command, interface: str) -> None:
    """Such a token sees an empty Grafana: it must be refused before an empty list is believed."""
    grafana.reset(interface)
    grafana.put("old", "hypertool")
    grafana.permissions = {}
    before = grafana.content()
    seen = command("push", "--prune", "--force")
    assert (seen.code, grafana.content(), grafana.writes()) == (3, before, [])
    assert "folders:read, dashboards:create" in seen.error


def test_missing_permissions_are_named(grafana: StandIn, command: Command) -> None:
    """A viewer lacks what writes, also in a check. Permissions on another folder are none on ours; an Editor's, as
    Grafana lists them before there is any folder, are enough."""
    grafana.permissions = {"dashboards:read": ["*"], "folders:read": ["*"]}
    seen = command("diff")
    assert seen.code == 3
    assert "lacks the permissions dashboards:create;" in seen.error
    grafana.permissions = {
        one: ["folders:uid:general"] for one in ("folders:read", "folders:create", "dashboards:create")
    }
    assert command("diff").code == 6
    grafana.permissions["folders:create"] = ["folders:uid:narrow"]
    seen = command("push")
    assert (seen.code, grafana.writes()) == (3, [])
    assert "lacks the permissions folders:create on folders:uid:general;" in seen.error
    grafana.folders["hypertool"] = {"title": "x", "annotations": {}}
    grafana.permissions = {f"dashboards:{one}": ["folders:uid:other"] for one in ("read", "create", "write")}
    grafana.permissions["folders:read"] = ["folders:*"]
    assert "dashboards:write on folders:uid:hypertool" in command("diff").error
    grafana.folders["hypertool"]["annotations"]["grafana.app/folder"] = "other"
    assert command("diff").code == 6


def test_managed_rules_need_their_permissions(grafana: StandIn, command: Command) -> None:
    """Those of the choice of rules belong to the preflight."""
    assert grafana.permissions is not None
    del grafana.permissions["alert.provisioning.provenance:write"]
    seen = command("push", "--rules", "grafana", "--data-source", "ds1")
    assert (seen.code, grafana.writes()) == (3, [])
    assert "alert.provisioning.provenance:write" in seen.error
    assert command("push").code == 0


def test_a_half_failure_lists_what_was_written(grafana: StandIn, command: Command, files: Files) -> None:
    """The first error stops; the next run does the rest and only the rest."""
    grafana.fail("POST", "/prometheus/config", 400, "could not parse expression: ...", times=1)
    grafana.wrong["POST", "/prometheus/config"].append((400, "rule group name must not be empty", {}))
    where = ("--from", str(files.folder), "--ruler-url", f"{grafana.url}/prometheus", "--ruler-user", "t")
    seen = command("push", *where)
    assert seen.code == 4
    assert "writing the rule group first: HTTP 400, could not parse expression" in seen.error
    assert [one["name"] for one in seen.report["written"]] == ["hypertool", "one", "two"]
    again = command("push", *where)
    assert (again.code, [one["name"] for one in again.report["written"]]) == (0, ["first", "second"])


@pytest.mark.parametrize(("interface", "status"), [("v1", 409), ("legacy", 412)])
def test_a_save_between_reading_and_writing_wins(
    grafana: StandIn, command: Command, files: Files, interface: str, status: int
) -> None:
    """The write names the version that was looked at; a newer one is a conflict and stays."""
    grafana.reset(interface)
    command("push", "--from", str(files.folder))
    files.dashboard("one", title="New")
    original = grafana.reply

    def racing(method: str, target: str, headers: Any, body: Any) -> Any:
        if method == "PUT" or (method == "POST" and target == "/api/dashboards/db"):
            grafana.save_in_browser("one", title="Theirs")
        return original(method, target, headers, body)

    grafana.reply = racing  # type: ignore[method-assign]
    try:
        seen = command("push", "--from", str(files.folder))
    finally:
        del grafana.reply  # type: ignore[method-assign]
    assert seen.code == 1
    assert f"HTTP {status}" in seen.error
    assert "run the command again" in seen.error
    assert grafana.dashboards["one"]["spec"]["title"] == "Theirs"


def test_a_server_that_cannot_say_permissions_is_tried(grafana: StandIn, command: Command) -> None:
    """Without the list of permissions the writes themselves find out."""
    grafana.permissions = None
    assert command("push").code == 0


def test_requests_are_tried_again() -> None:
    """429 for every method, 503 only where a repeat does no harm; Retry-After is honoured up to 30 s."""
    server, pauses = StandIn(), list[float]()
    client = Client(server.url, Credential(TOKEN), pause=pauses.append)
    try:
        server.fail("GET", "/api/health", 503, times=2)
        assert client.send("GET", "/api/health").ok
        assert all(0.5 <= pause <= 10 for pause in pauses)
        assert len(pauses) == 2
        server.fail("POST", "/x", 503)
        assert client.send("POST", "/x", {}).status == 503
        assert len(pauses) == 2
        server.fail("POST", "/x", 429, Retry_After="3000")
        assert client.send("POST", "/x", {}).status == 429
        assert pauses[2:] == [30, 30]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("wish", "least", "most"),
    [
        ("Wed, 21 Oct 2026 07:28:05 GMT", 5, 5),
        ("Wednesday, 21-Oct-26 07:28:05 GMT", 5, 5),
        ("Wed Oct 21 07:28:05 2026", 5, 5),
        ("Wed, 21 Oct 2026 08:28:00 GMT", 30, 30),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0, 0),
        ("soon", 0.5, 10),
        ("Wed, 99 Oct 2026 99:99:99 GMT", 0.5, 10),
        ("-5", 0.5, 10),
    ],
)
def test_retry_after_may_be_a_date(wish: str, least: float, most: float) -> None:
    """A date counts from the server's own clock, in each form that HTTP knows; what is none is not obeyed."""
    server, pauses = StandIn(), list[float]()
    now = "Wed, 21 Oct 2026 07:28:00 GMT"
    server.fail("GET", "/api/health", 429, times=1, Retry_After=wish, Date=now)
    try:
        assert Client(server.url, Credential(TOKEN), pause=pauses.append).send("GET", "/api/health").ok
    finally:
        server.close()
    assert len(pauses) == 1
    assert least <= pauses[0] <= most


def test_a_redirect_does_not_get_the_token(grafana: StandIn, command: Command) -> None:
    """Another server might be behind it."""
    other = StandIn()
    try:
        grafana.fail("GET", "/api/health", 302, "", Location=f"{other.url}/login")
        seen = command("push")
        assert seen.code == 1
        assert f"redirects to {other.url}/login" in seen.error
        assert other.requests == []
    finally:
        other.close()


@pytest.mark.parametrize(
    "body", [{"message": f"key {TOKEN} is unknown"}, f"no {TOKEN}\x1b[2J\n\nhere", {"error": TOKEN}]
)
def test_a_server_that_repeats_the_token(grafana: StandIn, command: Command, body: Any) -> None:
    """It is in no message, nor are control characters (the fixture looks for it)."""
    grafana.fail("GET", "/apis/", 401, body)
    seen = command("push")
    assert seen.code == 3
    assert "********" in seen.error
    assert "\x1b" not in seen.error


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("grafana.example", "is not an address"),
        ("https://user:pw@grafana.example", "is not an address"),
        ("https://grafana.example/?orgId=2", "is not an address"),
        ("ftp://grafana.example", "is not an address"),
        ("https://grafana.example:x", "is not an address"),
        ("https://[::1", "is not an address"),
        ("http://grafana.example", "unencrypted"),
        ("http://127.0.0.1:1", "no answer"),
        ("", "no address"),
    ],
)
def test_addresses(command: Command, monkeypatch: pytest.MonkeyPatch, grafana: StandIn, url: str, words: str) -> None:
    """An address that cannot be right is refused before a token is sent."""
    monkeypatch.setenv("GRAFANA_URL", url)
    seen = command("push")
    assert seen.code in (1, 2)
    assert words in seen.error
    assert "pw" not in seen.error
    assert grafana.requests == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"two lines\nof text", "characters that no token has"),
        (b"a\rb", "characters that no token has"),
        ("tök".encode(), "characters that no token has"),
        (b"\xff\xfe", "not text"),
    ],
)
def test_token_files(command: Command, tmp_path: Path, grafana: StandIn, content: bytes, words: str) -> None:
    """A file that holds no token is named; its content is not shown."""
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    seen = command("push", "--token-file", str(path))
    assert seen.code == 1
    assert words in seen.error
    assert grafana.requests == []


def test_a_token_that_everybody_can_read_is_reported(command: Command, tmp_path: Path, grafana: StandIn) -> None:
    """The push goes on; 0640 is silent."""
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o644)
    assert "chmod it" in command("diff", "--token-file", str(path)).error
    path.chmod(0o640)
    assert command("diff", "--token-file", str(path)).error == ""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", b"{", "not JSON"),
        ("x.json", b'{"a": NaN}', "NaN is no number"),
        ("x.json", b"[" * 100_000, "not JSON"),
        ("x.json", b"\xff", "x.json:1: not UTF-8 text"),
        ("x.json", b"[]", "expected a dashboard"),
        ("x.json", b'{"uid": "a/b", "title": "t", "panels": []}', "uid 'a/b'"),
        ("x.json", b'{"uid": "one", "title": "t", "panels": []}', "that of another file"),
        ("x.json", b'{"uid": "x", "title": " ", "panels": []}', "title ' '"),
        ("x.yml", b"groups: [", "not YAML"),
        ("x.yml", b"groups: 5", "expected a rule file"),
        ("x.yml", b"groups: [{name: x, rules: []}]", "expected a name and a list of rules"),
        ("x.yml", b"groups: [{name: first, rules: [{alert: a, expr: b}]}]", "occurs twice"),
        ("x.yml", b"groups: [{name: x, rules: [{alert: a}]}]", "group x, rule 1: expected"),
    ],
)
def test_broken_files(grafana: StandIn, command: Command, files: Files, name: str, content: bytes, words: str) -> None:
    """The file is named with the reason, and nothing is written."""
    (files.folder / name).write_bytes(content)
    seen = command("push", "--from", str(files.folder), "--rules", "data-source", "--data-source", "ds1")
    assert seen.code == 1
    assert words in seen.error
    assert grafana.writes() == []


def test_an_empty_folder_prunes_nothing(grafana: StandIn, command: Command, files: Files, tmp_path: Path) -> None:
    """A mistyped --from must not mean that everything of ours is stale."""
    command("push", "--from", str(files.folder))
    before = grafana.content()
    seen = command("prune", "--from", str(tmp_path / "nowhere"))
    assert (seen.code, grafana.content()) == (1, before)
    assert "no dashboards found" in seen.error


def test_an_endless_answer_is_cut(grafana: StandIn, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    """A server that sends more than an answer can be costs no memory."""
    monkeypatch.setattr("hypertool.grafana.client.ANSWER_BYTES", 1000)
    grafana.fail("GET", "/api/health", 200, json.dumps({"x": "y" * 5000}))
    seen = command("push")
    assert seen.code == 1
    assert "an answer of more than" in seen.error


def test_invalid_server_documents_are_reported() -> None:
    """JSON of another shape is a message, and no defect of ours."""
    server = StandIn()
    try:
        server.fail("GET", "/x", 200, [1])
        with pytest.raises(PushProblem, match="expected a JSON object"):
            Client(server.url, Credential(TOKEN)).send("GET", "/x").document()
    finally:
        server.close()
