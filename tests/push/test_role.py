"""The role `grafana_cloud` puts dashboards and rules into Grafana once, not in check mode, and says what stopped it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.grafana_stand_in import TOKEN, StandIn

ROOT = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: grafana_cloud, tasks_from: push.yml}
"""


def play(folder: Path, grafana: StandIn, *options: str) -> subprocess.CompletedProcess[str]:
    """The tasks at the end of site.yml, for two hosts that are never reached."""
    (folder / "ansible").mkdir(exist_ok=True)
    for name in ("instrumentation", "grafana", "prometheus"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    book = folder / "ansible" / "play.yml"
    book.write_text(PLAY)
    values = {
        "grafana_cloud_grafana_url": grafana.url,
        "grafana_cloud_rules": "data-source",
        "grafana_cloud_rules_data_source": "ds1",
        "grafana_cloud_proof_timeout": "10",
    }
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "-i",
        "a.invalid,b.invalid,",
        str(book),
        *options,
    ]
    for name, value in values.items():
        command += ["-e", f"{name}={value}"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment |= {
        "GRAFANA_CLOUD_GRAFANA_TOKEN": TOKEN,
        "GRAFANA_CLOUD_METRICS_URL": "https://m.invalid/api/prom/push",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_the_role_pushes_once(grafana: StandIn, tmp_path: Path) -> None:
    """Check mode writes nothing and says changed; the play writes and proves; a second play changes nothing."""
    checked = play(tmp_path, grafana, "--check")
    assert checked.returncode == 0, checked.stdout
    assert "changed=1" in checked.stdout
    assert (grafana.dashboards, grafana.rules.get("hypertool"), grafana.folders) == ({}, {}, {})
    done = play(tmp_path, grafana, "-vvv")
    assert done.returncode == 0, done.stdout
    assert "21 things written, 20 read back or evaluated." in done.stdout
    assert (len(grafana.dashboards), len(grafana.rules["hypertool"])) == (5, 15)
    before = grafana.content()
    again = play(tmp_path, grafana)
    assert again.returncode == 0, again.stdout
    assert "changed=1" not in again.stdout
    assert grafana.content() == before


@pytest.mark.parametrize("writes", [False, True])
def test_the_role_says_what_stopped_it(grafana: StandIn, tmp_path: Path, writes: bool) -> None:
    """The message of the command is the message of the play, with what was written before."""
    if writes:
        grafana.fail("POST", "/namespaces/default/dashboards", 422, {"message": f"bad {TOKEN}"})
    else:
        grafana.permissions = {}
    done = play(tmp_path, grafana)
    assert done.returncode != 0
    expected = "written before that: folder hypertool" if writes else "lacks the permissions folders:read"
    assert expected in done.stdout
