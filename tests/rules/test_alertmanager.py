"""Alert routing: configurations load, routes lead where they should, one fact mutes another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rules.cases import PROMETHEUS
from tests.rules.conftest import run
from tests.rules.contract import ANNOTATIONS, OF_THE_FLEET, SEVERITIES
from tests.rules.services import alertmanager, get_json, post_alerts, receiver, until

FOLDER = PROMETHEUS / "alertmanager"
DEFAULT = FOLDER / "alertmanager.yml"
EXAMPLES = sorted((FOLDER / "examples").glob("*.yml"))
CONFIGS = [DEFAULT, *EXAMPLES]
SECRETS = "/etc/hypertool/alertmanager/secrets/"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_is_valid_in_every_version(any_alertmanager: Path, config: Path, tmp_path: Path) -> None:
    # Where a person puts it: an example takes the place of alertmanager.yml, beside templates/.
    (tmp_path / "templates").symlink_to(FOLDER / "templates")
    placed = tmp_path / "alertmanager.yml"
    placed.write_text(config.read_text(encoding="utf-8"), encoding="utf-8")
    checked = run(any_alertmanager / "amtool", "check-config", placed)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.search(r"\b1 templates", checked.stdout), "the templates are not found"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("alert", SEVERITIES)
def test_alerts_are_routed_by_severity(any_alertmanager: Path, config: Path, alert: str) -> None:
    severity, category = SEVERITIES[alert]
    labels = [f"alertname={alert}", f"severity={severity}", f"category={category}", "component=hypertool"]
    routed = run(any_alertmanager / "amtool", "config", "routes", "test", f"--config.file={config}", *labels)
    assert routed.returncode == 0, routed.stderr
    assert routed.stdout.strip() == ("watchdog" if alert == "Watchdog" else severity)


def test_an_unknown_alert_is_logged(any_alertmanager: Path) -> None:
    routed = run(any_alertmanager / "amtool", "config", "routes", "test", f"--config.file={DEFAULT}", "alertname=New")
    assert routed.stdout.strip() == "alert-log"


@pytest.mark.parametrize("config", EXAMPLES, ids=lambda path: path.stem)
def test_examples_differ_only_in_their_receivers(config: Path) -> None:
    """So that a correction of routes or inhibition cannot be forgotten in one of them."""
    default, example = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in (DEFAULT, config))
    for key in ("route", "inhibit_rules", "templates"):
        assert example[key] == default[key]
    receivers = {entry["name"]: entry for entry in example["receivers"]}
    assert receivers.keys() == {entry["name"] for entry in default["receivers"]}
    for name in ("critical", "warning"):
        kinds = [key for key in receivers[name] if key.endswith("_configs")]
        hooks = [hook["url"] for hook in receivers[name].get("webhook_configs", [])]
        assert "http://127.0.0.1:9465/alerts" in hooks, "the log of the host stays complete"
        assert len(kinds) > 1 or len(hooks) > 1, "nothing but the log is told"
        assert all(entry.get("send_resolved") for kind in kinds for entry in receivers[name][kind])
    assert list(receivers["info"]) == ["name", "webhook_configs"], "info interrupts no one"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_secrets_are_files_in_the_secrets_folder(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    secret = r"^\s*-?\s*(\w*(?:password|api_url|routing_key|credentials|token)\w*): (\S+)"
    files = re.findall(secret, text, re.MULTILINE)
    for key, value in files:
        assert key.endswith("_file"), f"{key} holds the secret itself"
        assert value.startswith(SECRETS)
    assert bool(files) == (config != DEFAULT)


def rendered(
    any_alertmanager: Path, folder: Path, template: str, alerts: list[dict[str, Any]], status: str = "firing"
) -> str:
    """What a template makes of a group of alerts; the group's labels are those of the first."""
    labels = alerts[0]["labels"]
    data = folder / "data.json"
    data.write_text(json.dumps({"status": status, "alerts": alerts, "groupLabels": labels, "commonLabels": labels}))
    done = run(
        any_alertmanager / "amtool", "template", "render", f"--template.glob={FOLDER}/templates/*.tmpl",
        f'--template.text={{{{ template "hypertool.{template}" . }}}}', f"--template.data={data}",
        f"--template.type={'html' if template == 'html' else 'text'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def an_alert(status: str = "firing", annotations: dict[str, str] | None = None, **labels: str) -> dict[str, Any]:
    known = {"alertname": "SlowWorkflowStage", "severity": "warning", "instance": "host-a"} | labels
    given = {key: f"the {key}" for key in ANNOTATIONS} if annotations is None else annotations
    return {"status": status, "labels": known, "annotations": given, "startsAt": "2026-01-02T03:04:05Z"}


@pytest.mark.parametrize("status", ["firing", "resolved"])
@pytest.mark.parametrize("template", ["title", "text", "html", "slack.title", "slack.text"])
def test_templates_say_what_happened_and_what_to_do(
    any_alertmanager: Path, template: str, status: str, tmp_path: Path
) -> None:
    alert = an_alert(status)
    text = rendered(any_alertmanager, tmp_path, template, [alert], status)
    if template.endswith("title"):
        first = "WARNING" if status == "firing" else "RESOLVED"
        assert text.strip() == f"{first} SlowWorkflowStage on host-a"
    else:
        for annotation in alert["annotations"].values():
            assert annotation.replace(" ", "%20") in text or annotation in text
        assert ("resolved" in text) == (status == "resolved")


@pytest.mark.parametrize("template", ["text", "html", "slack.text"])
def test_lines_without_content_are_left_out(any_alertmanager: Path, template: str, tmp_path: Path) -> None:
    text = rendered(any_alertmanager, tmp_path, template, [an_alert(annotations={})])
    assert "SlowWorkflowStage" in text
    for word in ("What to do", "Runbook", "Dashboard", "<no value>", 'href=""'):
        assert word not in text


@pytest.mark.parametrize("template", ["title", "text", "html", "slack.title", "slack.text"])
def test_an_alert_without_any_label_is_rendered(any_alertmanager: Path, template: str, tmp_path: Path) -> None:
    alert = {"status": "firing", "labels": {}, "annotations": {}, "startsAt": "2026-01-02T03:04:05Z"}
    assert "<no value>" not in rendered(any_alertmanager, tmp_path, template, [alert])


@pytest.mark.parametrize("template", ["text", "html", "slack.text"])
@pytest.mark.parametrize("number", [10, 11, 250])
def test_a_message_has_ten_alerts_at_most(any_alertmanager: Path, template: str, number: int, tmp_path: Path) -> None:
    alerts = [an_alert(annotations={"summary": f"alert-{n}-"}) for n in range(number)]
    text = rendered(any_alertmanager, tmp_path, template, alerts)
    assert text.count("alert-") == 10
    assert (f"and {number - 10} more" in text) == (number > 10)


@pytest.mark.parametrize("template", ["slack.title", "slack.text"])
def test_slack_interprets_no_name(any_alertmanager: Path, template: str, tmp_path: Path) -> None:
    hostile = "<!channel> <https://example.org|click> & co"
    alert = an_alert(annotations=dict.fromkeys(ANNOTATIONS, hostile), alertname=hostile, instance=hostile)
    text = rendered(any_alertmanager, tmp_path, template, [alert])
    assert "&lt;!channel&gt; &lt;https://example.org|click&gt; &amp; co" in text
    assert not set("<>") & set(text)


def alert_labels(alert: str, instance: str = "host-a", **more: str) -> dict[str, str]:
    """The labels with which an alert of ours reaches Alertmanager."""
    severity, category = SEVERITIES[alert]
    job = "alloy" if category == "pipeline" or alert == "CollectorDown" else "hypertool"
    target = {} if alert in OF_THE_FLEET else {"job": job, "instance": instance}
    return {"alertname": alert, "severity": severity, "category": category, "component": "hypertool", **target, **more}


def quick(config: str, address: str) -> str:
    """The configuration with the receiver's address, and waits short enough for a test."""
    config = config.replace("127.0.0.1:9465", address)
    return re.sub(r"group_wait: \d+s", "group_wait: 1s", config)


def test_event_mutes_its_forecast_and_a_dead_host_all(any_alertmanager: Path, tmp_path: Path) -> None:
    """An event mutes its forecast, and a dead host mutes its other alerts."""
    backend, tester = {"persona": "backend-engineer"}, {"persona": "testing-specialist"}
    expected = {
        ("TokenBudgetExceeded", "host-a"): "active",
        ("TokenBudgetDepletionPredicted", "host-a"): "suppressed",
        ("TokenBudgetDepletionPredicted", "host-b"): "active",
        ("HypertoolMetricsNotReported", "host-c"): "active",
        ("WorkflowStageStuck", "host-c"): "suppressed",
        ("WorkflowStageStuck", "host-b"): "active",
        ("CollectorDown", "host-d"): "active",
        ("HypertoolMetricsNotReported", "host-d"): "suppressed",
        ("BacklogGrowing", "host-d"): "suppressed",
        ("BacklogGrowing", "host-c"): "active",
        ("Watchdog", ""): "active",
    }
    with receiver() as hook:
        config = quick(DEFAULT.read_text(encoding="utf-8"), hook.address)
        with alertmanager(any_alertmanager, tmp_path, config, FOLDER / "templates") as url:
            alerts = [
                alert_labels("TokenBudgetExceeded", **backend),
                alert_labels("TokenBudgetDepletionPredicted", **backend),
                alert_labels("TokenBudgetDepletionPredicted", "host-b", **tester),
                alert_labels("HypertoolMetricsNotReported", "host-c"),
                alert_labels("WorkflowStageStuck", "host-c"),
                alert_labels("WorkflowStageStuck", "host-b"),
                alert_labels("CollectorDown", "host-d"),
                alert_labels("HypertoolMetricsNotReported", "host-d"),
                alert_labels("BacklogGrowing", "host-d"),
                alert_labels("BacklogGrowing", "host-c"),
                alert_labels("Watchdog"),
            ]
            post_alerts(url, alerts, {"summary": "s"})
            sent = {key for key, state in expected.items() if state == "active"}
            until(f"the notifications {sent}", lambda: sent <= hook.alerts().keys())
            states = {
                (alert["labels"]["alertname"], alert["labels"].get("instance", "")): alert["status"]["state"]
                for alert in get_json(f"{url}/api/v2/alerts")
            }
        assert states == expected
        assert hook.alerts().keys() == sent, "a muted alert was sent"
        assert {path for path, _, _ in hook.requests} == {"/alerts"}
