"""Who hears of what: configurations load, routes lead where they should, one fact mutes another."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.rules.cases import PROMETHEUS
from tests.rules.conftest import run
from tests.rules.contract import OF_THE_FLEET, SEVERITIES
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


def test_what_nobody_thought_of_is_logged(any_alertmanager: Path) -> None:
    routed = run(any_alertmanager / "amtool", "config", "routes", "test", f"--config.file={DEFAULT}", "alertname=New")
    assert routed.stdout.strip() == "alert-log"


@pytest.mark.parametrize("config", EXAMPLES, ids=lambda path: path.stem)
def test_examples_differ_from_the_default_only_in_their_receivers(config: Path) -> None:
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
    assert list(receivers["info"]) == ["name", "webhook_configs"], "info interrupts nobody"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_secrets_are_files_in_the_secrets_folder(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    secret = r"^\s*-?\s*(\w*(?:password|api_url|routing_key|credentials|token)\w*): (\S+)"
    files = re.findall(secret, text, re.MULTILINE)
    for key, value in files:
        assert key.endswith("_file"), f"{key} holds the secret itself"
        assert value.startswith(SECRETS)
    assert bool(files) == (config != DEFAULT)


@pytest.mark.parametrize("status", ["firing", "resolved"])
@pytest.mark.parametrize("template", ["title", "text", "html"])
def test_templates_say_what_happened_and_what_to_do(
    any_alertmanager: Path, template: str, status: str, tmp_path: Path
) -> None:
    annotations = {key: f"the {key}" for key in ("summary", "description", "action", "runbook_url", "dashboard_url")}
    labels = {"alertname": "SlowWorkflowStage", "severity": "warning", "instance": "host-a"}
    alert = {"status": status, "labels": labels, "annotations": annotations, "startsAt": "2026-01-02T03:04:05Z"}
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"status": status, "alerts": [alert], "groupLabels": labels, "commonLabels": labels}))
    rendered = run(
        any_alertmanager / "amtool", "template", "render", f"--template.glob={FOLDER}/templates/*.tmpl",
        f'--template.text={{{{ template "hypertool.{template}" . }}}}', f"--template.data={data}",
        f"--template.type={'html' if template == 'html' else 'text'}",
    )  # fmt: skip
    assert rendered.returncode == 0, rendered.stderr
    if template == "title":
        first = "WARNING" if status == "firing" else "RESOLVED"
        assert rendered.stdout.strip() == f"{first} SlowWorkflowStage on host-a"
    else:
        for text in annotations.values():
            assert text.replace(" ", "%20") in rendered.stdout or text in rendered.stdout
        assert ("resolved" in rendered.stdout) == (status == "resolved")


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


def test_what_happened_mutes_its_forecast_and_a_dead_host_its_other_alerts(
    any_alertmanager: Path, tmp_path: Path
) -> None:
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
