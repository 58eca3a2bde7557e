"""promtool's own verdict on configuration, rules and every case, on the oldest and the newest Prometheus."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.rules.cases import CASE_FILES, PROMETHEUS, RULE_FILES, Case, all_cases
from tests.rules.conftest import Outcome, run


def test_the_configuration_is_valid_in_every_version(any_prometheus: Path) -> None:
    checked = run(any_prometheus / "promtool", "check", "config", "--lint=all", PROMETHEUS / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rules found" in checked.stdout, "the configuration loads no rule file"


def test_the_rules_pass_every_lint_in_every_version(any_prometheus: Path) -> None:
    checked = run(any_prometheus / "promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_case(case: Case, case_results: dict[str, Future[Outcome]]) -> None:
    outcome = case_results[case.id].result()
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_case_files_also_run_directly(any_prometheus: Path) -> None:
    """Somebody who runs `promtool test rules` in the checkout gets the same cases from the same files."""
    shortest = min(CASE_FILES, key=lambda path: path.stat().st_size)
    checked = run(any_prometheus / "promtool", "test", "rules", shortest, timeout=300)
    assert checked.returncode == 0, checked.stdout + checked.stderr
