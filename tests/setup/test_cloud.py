"""Grafana Cloud's credential comes out of the environment, goes into one private file, and is in nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.setup.script import TOP, Run
from tests.support.ansible_module import run_playbook

TOKEN = 'glc_"odd\\token"'
VARIABLES = {
    "GRAFANA_CLOUD_METRICS_URL": "https://prometheus.example/api/prom/push",
    "GRAFANA_CLOUD_METRICS_USER": "1001",
    "GRAFANA_CLOUD_TOKEN": TOKEN,
}
CLOUD_NAMES = [
    "METRICS_URL", "METRICS_USER", "LOGS_URL", "LOGS_USER", "OTLP_URL", "OTLP_USER", "TOKEN", "READ_TOKEN",
    "TRACES_URL", "TRACES_USER", "CA_FILE", "PROXY_URL", "GRAFANA_URL", "GRAFANA_TOKEN", "RULER_TOKEN",
]  # fmt: skip
WRITE = 'PLAY_ARGUMENTS=(); require_cloud_variables prometheus; write_cloud_variables "$FOLDER"\n'


class Unsafe(yaml.SafeLoader):
    """Reads `!unsafe "text"` as the text."""


Unsafe.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))  # type: ignore[no-untyped-call]


def written(content: str) -> dict[str, str]:
    """What the play reads; every value is marked as no template."""
    assert all(": !unsafe " in line for line in content.splitlines()), content
    read: dict[str, str] = yaml.load(content, Unsafe)
    return read


@pytest.mark.skipif(os.geteuid() != 0, reason="run it as root: the variables are looked at after the user")
def test_missing_settings_are_named_first(setup: Run, tmp_path: Path) -> None:
    """What is missing is named before anything is done."""
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


def test_unreadable_certificate_file_is_named(shell: Run) -> None:
    """A certificate file that cannot be read is named."""
    done = shell("require_cloud_variables prometheus", **VARIABLES, GRAFANA_CLOUD_CA_FILE="/none.pem")
    assert done.returncode == 1
    assert "`/none.pem`" in done.stderr


def test_play_gets_them_by_a_removed_private_file(shell: Run, tmp_path: Path) -> None:
    """The play gets the settings in a private file, which is removed afterwards."""
    done = shell(
        WRITE + 'stat -c %a "$CLOUD_FILE"; cat "$CLOUD_FILE"; printf "%s " "${PLAY_ARGUMENTS[@]}"; echo; env',
        FOLDER=str(tmp_path / "tmp"),
        **VARIABLES,
    )
    assert done.returncode == 0, done.stderr
    shown, _, rest = done.stdout.partition("-e @")
    mode, _, content = shown.partition("\n")
    arguments, *environment = f"-e @{rest}".splitlines()
    assert mode == "600"
    assert written(content) == {name.lower(): value for name, value in VARIABLES.items()}
    assert arguments.startswith("-e @")
    assert "odd" not in arguments
    assert [line for line in environment if line.startswith("GRAFANA_CLOUD")] == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_file_is_removed_after_a_failure_too(shell: Run, tmp_path: Path) -> None:
    done = shell(WRITE + "fail something", FOLDER=str(tmp_path / "tmp"), **VARIABLES)
    assert done.returncode == 1
    assert list((tmp_path / "tmp").iterdir()) == []


#: What a variable may contain; the roles must get the same text.
HOSTILE = [
    "x{{ lookup('pipe', 'touch %s') }}",
    "{%% set _ = lookup('pipe', 'touch %s') %%}x",
    "{{ 7 * 7 }}{# %s #}",
    "$(touch %s)`touch %s`",
    "quote\" quote' back\\slash {%s",
    "!unsafe %s: [a, {b: c}] # &x *x",
    "\u00fcn\u00efc\u00f6de \u2028 %s",
]
PLAY = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: grafana_cloud, tasks_from: main.yml}
      when: false
    - ansible.builtin.copy:
        content: "{{ item ~ '=' ~ lookup('ansible.builtin.vars', 'grafana_cloud_' ~ item) }}"
        dest: "{{ folder }}/{{ item }}"
        mode: "0600"
      loop: [metrics_url, metrics_user, logs_url, logs_user, otlp_url, otlp_user, token, read_token, traces_url,
        traces_user, proxy_url, grafana_url, grafana_token, ruler_token]
"""


@pytest.mark.parametrize("way", ["by the script's file", "by the environment"])
@pytest.mark.shared_host("S15")
def test_no_value_is_ever_a_template(shell: Run, tmp_path: Path, way: str) -> None:
    """Whatever the variables for Grafana Cloud hold, roles see it as it is, and nothing in it is run."""
    names = [name for name in CLOUD_NAMES if name != "CA_FILE"]
    pwned = tmp_path / "pwned"
    values = {
        f"GRAFANA_CLOUD_{name}": HOSTILE[index % len(HOSTILE)].replace("%s", str(pwned)).replace("%%", "%")
        for index, name in enumerate(names)
    }
    arguments = ["-e", f"folder={tmp_path}"]
    if way == "by the script's file":
        done = shell(f'{WRITE} cp "$CLOUD_FILE" {tmp_path}/kept.yml', FOLDER=str(tmp_path / "tmp"), **values)
        assert done.returncode == 0, done.stderr
        arguments += ["-e", f"@{tmp_path}/kept.yml"]
    done = run_playbook(
        PLAY,
        tmp_path,
        "-c",
        "local",
        *arguments,
        environment={
            **(values if way == "by the environment" else {}),
            "ANSIBLE_ROLES_PATH": str(TOP / "ansible/roles"),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in names:
        text = (tmp_path / name.lower()).read_text(encoding="utf-8")
        assert text == f"{name.lower()}={values[f'GRAFANA_CLOUD_{name}']}"
    assert not pwned.exists()


@pytest.mark.shared_host("S20")
def test_killed_runs_credential_goes_on_the_next_run(shell: Run, tmp_path: Path) -> None:
    """kill -9 leaves the file with the token; the next run removes it before it does anything."""
    folder = tmp_path / "tmp"
    killed = shell(WRITE + "kill -9 $$", FOLDER=str(folder), **VARIABLES)
    assert killed.returncode == -9
    assert len(list(folder.iterdir())) == 1
    assert shell('remove_leftovers "$FOLDER"', FOLDER=str(folder)).returncode == 0
    assert list(folder.iterdir()) == []
