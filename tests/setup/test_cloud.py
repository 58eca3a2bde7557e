"""Grafana Cloud's credential comes out of the environment, goes into one private file, and is in nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.setup.script import Run

TOKEN = 'glc_"odd\\token"'
VARIABLES = {
    "GRAFANA_CLOUD_METRICS_URL": "https://prometheus.example/api/prom/push",
    "GRAFANA_CLOUD_METRICS_USER": "1001",
    "GRAFANA_CLOUD_TOKEN": TOKEN,
}
WRITE = 'PLAY_ARGUMENTS=(); require_cloud_variables prometheus; write_cloud_variables "$FOLDER"\n'


@pytest.mark.skipif(os.geteuid() != 0, reason="run it as root: the variables are looked at after the user")
def test_what_is_missing_is_named_before_anything_is_done(setup: Run, tmp_path: Path) -> None:
    given = {**dict.fromkeys(("GRAFANA_CLOUD_TOKEN", "GRAFANA_CLOUD_API_KEY"), ""), "GRAFANA_CLOUD_METRICS_USER": "1"}
    done = setup("--yes", "--destination=grafana_cloud", "--collector=alloy", **given)
    assert done.returncode == 1
    for name in ("METRICS_URL", "LOGS_URL", "LOGS_USER", "OTLP_URL", "OTLP_USER", "TOKEN"):
        assert f"GRAFANA_CLOUD_{name}" in done.stderr
    assert "GRAFANA_CLOUD_METRICS_USER" not in done.stderr
    assert "Nothing was changed" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_the_older_name_of_the_token_will_do(shell: Run) -> None:
    given = {**VARIABLES, "GRAFANA_CLOUD_TOKEN": "", "GRAFANA_CLOUD_API_KEY": "glc_old"}
    done = shell('require_cloud_variables prometheus; echo "$GRAFANA_CLOUD_TOKEN"', **given)
    assert done.stdout.strip() == "glc_old", done.stderr


def test_a_certificate_file_that_cannot_be_read_is_named(shell: Run) -> None:
    done = shell("require_cloud_variables prometheus", **VARIABLES, GRAFANA_CLOUD_CA_FILE="/none.pem")
    assert done.returncode == 1
    assert "`/none.pem`" in done.stderr


def test_the_play_gets_them_by_a_private_file_that_is_removed(shell: Run, tmp_path: Path) -> None:
    done = shell(
        WRITE + 'stat -c %a "$CLOUD_FILE"; cat "$CLOUD_FILE"; printf "%s " "${PLAY_ARGUMENTS[@]}"; echo; env',
        FOLDER=str(tmp_path / "tmp"),
        **VARIABLES,
    )
    assert done.returncode == 0, done.stderr
    mode, content, arguments, *environment = done.stdout.splitlines()
    assert mode == "600"
    assert json.loads(content) == {name.lower(): value for name, value in VARIABLES.items()}
    assert arguments.startswith("-e @")
    assert "odd" not in arguments
    assert [line for line in environment if line.startswith("GRAFANA_CLOUD")] == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_file_is_removed_after_a_failure_too(shell: Run, tmp_path: Path) -> None:
    done = shell(WRITE + "fail something", FOLDER=str(tmp_path / "tmp"), **VARIABLES)
    assert done.returncode == 1
    assert list((tmp_path / "tmp").iterdir()) == []
