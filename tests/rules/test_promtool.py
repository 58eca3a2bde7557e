"""promtool's own verdict on configuration, rules and every case, on the oldest and the newest Prometheus."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.rules.cases import CASE_FILES, PROMETHEUS, RULE_FILES, Case, all_cases, load
from tests.rules.conftest import CaseResults, cases_of, run, verdicts_of
from tests.rules.services import get_json, prometheus, until
from tests.support.debian_binaries import NEWEST_RELEASE, OLDEST_RELEASE


def test_the_configuration_is_valid_in_every_version(any_prometheus: Path) -> None:
    checked = run(any_prometheus / "promtool", "check", "config", "--lint=all", PROMETHEUS / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rules found" in checked.stdout, "the configuration loads no rule file"


def test_every_job_bounds_what_a_target_may_send() -> None:
    jobs = {job["job_name"]: job for job in load(PROMETHEUS / "prometheus.yml")["scrape_configs"]}
    assert all({"sample_limit", "body_size_limit"} <= job.keys() for job in jobs.values())
    assert jobs["hypertool"]["label_value_length_limit"] >= 100, "a label value of ours has up to 100 characters"


def test_the_checkout_runs_as_it_is_in_every_version(any_prometheus: Path, tmp_path: Path) -> None:
    """Targets are discovered and named, rules evaluate without an error, and the runbook is where alerts say."""
    with prometheus(any_prometheus, tmp_path, None, f"--web.user-assets={PROMETHEUS / 'web'}") as url:
        jobs = {"hypertool", "node", "prometheus", "alertmanager"}

        def discovered() -> dict[str, Any]:
            targets = get_json(f"{url}/api/v1/targets?state=active")["data"]["activeTargets"]
            found = {target["labels"]["job"]: target for target in targets}
            return found if found.keys() == jobs else {}

        for target in until(f"targets of the jobs {jobs}", discovered).values():
            assert target["labels"]["instance"] == "localhost"
        assert discovered()["hypertool"]["scrapeUrl"] == "http://127.0.0.1:9464/metrics"

        def evaluated() -> list[str]:
            groups = get_json(f"{url}/api/v1/rules")["data"]["groups"]
            health = [rule["health"] for group in groups for rule in group["rules"]]
            return [] if "unknown" in health else health

        assert set(until("every rule to be evaluated", evaluated)) == {"ok"}
        with urllib.request.urlopen(f"{url}/user/runbook.html", timeout=60) as page:
            assert b'id="tokenbudgetexceeded"' in page.read()


def test_the_rules_pass_every_lint_in_every_version(any_prometheus: Path) -> None:
    checked = run(any_prometheus / "promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.predecessor("D1", "D2")
@pytest.mark.parametrize(
    ("release", "case"),
    [(release, case) for release in (OLDEST_RELEASE, NEWEST_RELEASE) for case in cases_of(release)],
    ids=lambda value: value.id if isinstance(value, Case) else value,
)
def test_case(release: str, case: Case, case_results: CaseResults) -> None:
    assert case_results.of(release, case) == "SUCCESS"


def test_a_case_that_fails_fails_alone(any_prometheus: Path, tmp_path: Path) -> None:
    """Among cases of one run, the failing one has its message, and one that promtool cannot read stops no other."""
    shortest = sorted(all_cases(), key=lambda case: len(case.as_file()))[:4]
    wrong, unread = shortest[1], shortest[2]
    expected = {"expr": "vector(1)", "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": 2}]}
    wrong = replace(wrong, document=changed(wrong, promql_expr_test=[expected]))
    unread = replace(unread, document=changed(unread, input_series="none"))
    cases = [shortest[0], wrong, unread, shortest[3]]
    said = verdicts_of(any_prometheus / "promtool", cases, tmp_path / "cases")
    assert [said[case.id] == "SUCCESS" for case in cases] == [True, False, False, True]
    assert "vector(1)" in said[wrong.id]


def changed(case: Case, **more: Any) -> dict[str, Any]:
    """The document of a case with other parts of its test."""
    return {**case.document, "tests": [{**case.document["tests"][0], **more}]}


def test_case_files_also_run_directly(any_prometheus: Path) -> None:
    """Somebody who runs `promtool test rules` in the checkout gets the same cases from the same files."""
    shortest = min(CASE_FILES, key=lambda path: path.stat().st_size)
    checked = run(any_prometheus / "promtool", "test", "rules", shortest, timeout=300)
    assert checked.returncode == 0, checked.stdout + checked.stderr
