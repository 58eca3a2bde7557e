"""Rule groups: into a Mimir, through Grafana's data source, or managed by Grafana."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hypertool.grafana.rule_groups import canonical, marked, milliseconds, pushed
from tests.push.conftest import Command, Files
from tests.support.grafana_stand_in import StandIn

Options = tuple[str, ...]


@pytest.fixture(params=["ruler", "data-source", "grafana"])
def options(request: pytest.FixtureRequest, grafana: StandIn) -> Options:
    """The options of each way to push rules."""
    if request.param == "ruler":
        return ("--ruler-url", f"{grafana.url}/prometheus", "--ruler-user", "tenant")
    return ("--rules", request.param, "--data-source", "ds1", "--namespace", "hypertool")


def test_second_push_writes_no_rule(grafana: StandIn, command: Command, options: Options) -> None:
    """Every group of this version is written once, is evaluated, and is unchanged afterwards."""
    first = command("push", *options, "--prove", "5")
    assert first.code == 0, first.error
    assert len(grafana.rules["hypertool"]) == 15
    assert len([one for one in first.report["proven"] if one.startswith("rules")]) == 15
    before = grafana.content()
    assert command("push", *options, "--prune").report["changed"] is False
    assert grafana.content() == before


def test_only_a_changed_group_is_written(grafana: StandIn, command: Command, options: Options, files: Files) -> None:
    """The other groups are not touched, which keeps the state of their alerts; diff shows the difference."""
    command("push", *options, "--from", str(files.folder))
    first = dict(grafana.rules["hypertool"]["first"])
    files.write_groups([files.group("first"), files.group("second", rules=2)])
    seen = command("diff", *options, "--from", str(files.folder))
    assert (seen.code, seen.steps("update")) == (6, ["second"])
    assert "+  expr: up == 1" in str(seen.report["steps"][-1]["diff"])
    command("push", *options, "--from", str(files.folder))
    assert grafana.rules["hypertool"]["first"] == first
    assert len(grafana.rules["hypertool"]["second"]["rules"]) == 2


def test_an_edited_group_is_left_alone(grafana: StandIn, command: Command, options: Options, files: Files) -> None:
    """A threshold that somebody changed stays until --force."""
    command("push", *options, "--from", str(files.folder))
    rule = grafana.rules["hypertool"]["first"]["rules"][0]
    rule["expr"] = rule["expr"].replace("== 0", "== 7")
    seen = command("push", *options, "--from", str(files.folder))
    assert (seen.code, seen.steps("keep")) == (5, ["first"])
    assert "== 7" in grafana.rules["hypertool"]["first"]["rules"][0]["expr"]
    assert command("push", *options, "--from", str(files.folder), "--force").code == 0
    assert "== 0" in grafana.rules["hypertool"]["first"]["rules"][0]["expr"]


def test_prune_deletes_only_pushed_groups(grafana: StandIn, command: Command, options: Options, files: Files) -> None:
    """A group that was added to our namespace or edited by hand stays; so does every other namespace."""
    files.groups("first", "second", "third")
    command("push", *options, "--from", str(files.folder))
    grafana.rules["hypertool"]["own"] = files.group("own")
    grafana.rules["hypertool"]["third"]["rules"][0]["for"] = "9m"
    grafana.rules["team"] = {"x": files.group("x")}
    files.groups("first")
    seen = command("prune", *options, "--from", str(files.folder))
    assert seen.steps("delete") == ["second"]
    assert set(grafana.rules["hypertool"]) == {"first", "third", "own"}
    assert set(grafana.rules["team"]) == {"x"}


@pytest.mark.parametrize(
    ("group", "rules", "words"),
    [
        ({"rules": 21}, "ruler", "21 rules, a ruler takes 20: split the group"),
        ({"interval": "15s"}, "grafana", "multiples of 10s"),
        ({"limit": 5}, "grafana", "have no `limit`"),
        ({"source": "x"}, "ruler", "unknown field 'source'"),
        ({"interval": "soon"}, "ruler", "expected a duration"),
        ({"interval": float("nan")}, "ruler", "expected a duration"),
    ],
)
def test_what_a_ruler_refuses_is_found_first(
    grafana: StandIn, command: Command, files: Files, group: dict[str, Any], rules: str, words: str
) -> None:
    """Before anything is written, so that no half of the groups is there."""
    files.write_groups([files.group("good"), files.group("bad", **group)])
    where = ("--rules", rules, "--data-source", "ds1", "--ruler-url", f"{grafana.url}/prometheus", "--ruler-user", "t")
    seen = command("push", *where, "--from", str(files.folder))
    assert seen.code == 1
    assert "group bad" in seen.error
    assert words in seen.error
    assert grafana.writes() == []


def test_a_data_source_without_a_ruler_is_named(grafana: StandIn, command: Command) -> None:
    """A plain Prometheus answers 404 page not found; that is not an empty namespace."""
    seen = command("push", "--rules", "data-source", "--data-source", "plain")
    assert (seen.code, grafana.writes()) == (1, [])
    assert "has no ruler" in seen.error


def test_a_token_without_rules_write_is_found_first(grafana: StandIn, command: Command) -> None:
    """The question with a group that no ruler takes: 403 there, and no dashboard is written either."""
    grafana.fail("POST", "/prometheus/config", 403, {"error": "insufficient scope"})
    seen = command("push", "--ruler-url", f"{grafana.url}/prometheus", "--ruler-user", "t")
    assert (seen.code, grafana.dashboards, grafana.folders) == (3, {}, {})
    assert "insufficient scope" in seen.error


def test_the_tenant_goes_with_the_token(
    grafana: StandIn, command: Command, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway in front of a Mimir with tenants gets user, token and tenant; Grafana never gets the tenant."""
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "token").chmod(0o600)
    where = ("--from", str(files.folder), "--ruler-url", f"{grafana.url}/prometheus", "--ruler-user", "ann")
    where = (*where, "--ruler-token-file", str(tmp_path / "token"))
    seen, original = set(), grafana.reply

    def noting(method: str, target: str, headers: Any, body: Any) -> Any:
        ruler = target.startswith("/prometheus")
        seen.add((ruler, headers["Authorization"].split()[0], headers["X-Scope-OrgID"]))
        return original(method, target, headers, body)

    monkeypatch.setattr(grafana, "reply", noting)
    assert command("push", *where, "--ruler-tenant", "team-a").code == 0
    assert seen == {(False, "Bearer", None), (True, "Basic", "team-a")}
    assert "the tenant 'a|b'" in command("push", *where, "--ruler-tenant", "a|b").error


def test_rules_that_do_not_evaluate_fail_the_push(
    grafana: StandIn, command: Command, files: Files, options: Options
) -> None:
    """What was written is listed, the exit code is 4, and the message has the error of the rule."""
    broken = {"name": "A0", "health": "err", "lastError": "remote write failed"}
    group = {"name": "first", "file": "hypertool", "lastEvaluation": "2026-11-26T08:00:00Z", "rules": [broken]}
    grafana.fail("GET", "/api/v1/rules", 200, {"data": {"groups": [group]}})
    if "grafana" not in options and "data-source" in options:
        grafana.wrong = {("GET", "/api/prometheus/ds1/"): grafana.wrong.popitem()[1]}
    seen = command("push", *options, "--from", str(files.folder), "--prove", "1")
    assert seen.code == 4
    assert "A0 is err (remote write failed)" in seen.error
    assert "second: not loaded yet" in seen.error
    assert len(seen.report["written"]) == 5


def test_links_lead_to_this_grafana(grafana: StandIn, command: Command) -> None:
    """The addresses of one host in the annotations become those of the server that is pushed to."""
    where = ("--rules", "data-source", "--data-source", "ds1", "--runbook-url", "https://wiki.example/runbook")
    command("push", *where)
    text = yaml.safe_dump(grafana.rules["hypertool"])
    assert "localhost" not in text
    assert f"{grafana.url}/d/hypertool-persona-overview" in text
    assert "https://wiki.example/runbook#watchdog" in text


def test_the_mark_survives_other_writings() -> None:
    """A ruler that writes durations its own way, and drops empty fields, has not edited the group."""
    group = {"name": "x", "interval": "60s", "limit": 0, "rules": [{"alert": "A", "expr": "up == 0\n", "for": "90s"}]}
    kept = marked(group)
    assert pushed(kept) == "yes"
    kept = {
        **kept,
        "interval": "1m",
        "rules": [{**kept["rules"][0], "for": "1m30s", "labels": {}, "annotations": None}],
    }
    del kept["limit"]
    assert pushed(kept) == "yes"
    assert canonical(kept) == canonical(group)
    assert pushed({**kept, "interval": "2m"}) == "edited"
    assert pushed(group) == "no"
    assert marked(marked(group)) == marked(group)


@pytest.mark.parametrize(
    ("text", "length"), [("1m30s", 90_000), ("1h", 3_600_000), ("10", None), (20, 20_000), ("0", 0), ("", None)]
)
def test_durations(text: Any, length: int | None) -> None:
    """As Prometheus writes them; a bare number in YAML is seconds."""
    assert milliseconds(text) == length


def test_fields_dropped_on_the_way_are_seen(grafana: StandIn, command: Command) -> None:
    """Grafana 9's proxy drops `keep_firing_for`: the push says what is missing, and the way that keeps it."""
    grafana.dropped = {"keep_firing_for"}
    seen = command("push", "--rules", "data-source", "--data-source", "ds1")
    assert seen.code == 4
    assert "does not read back as written (" in seen.error
    assert "has no keep_firing_for)" in seen.error
    assert "--rules ruler" in seen.error


def test_managed_rules_need_a_newer_grafana(grafana: StandIn, command: Command) -> None:
    """Said before anything else: a token for an older one cannot have the permissions that are named otherwise."""
    grafana.reset("legacy", version="11.6.1")
    seen = command("push", "--rules", "grafana", "--data-source", "ds1")
    assert seen.code == 1
    assert "need Grafana 12 or newer; this is 11.6.1" in seen.error
    assert grafana.writes() == []
