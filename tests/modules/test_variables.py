"""Variables as `-e name=value` gives them, which is text whatever they mean: by the roles' own preflights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ansible.errors import AnsibleFilterError

from tests.support.loaded import loaded

ROOT = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    ansible_facts: {os_family: Debian, distribution: Debian, distribution_major_version: "12", hostname: here}
    host_destination: local
    host_collector_chosen: alloy
  tasks:
    - ansible.builtin.include_role: {name: ROLE, tasks_from: preflight.yml}
"""


def preflight(role: str, folder: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    """The preflight of a role on this machine, with variables as on a command line."""
    book = folder / "play.yml"
    book.write_text(PLAY.replace("ROLE", role), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local", str(book)]
    for variable in (f"ansible_python_interpreter={sys.executable}", *variables):
        command += ["-e", variable]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment["ANSIBLE_FILTER_PLUGINS"] = str(ROOT / "ansible/filter_plugins")
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("role", "variables"),
    [
        ("alloy", ["alloy_generations_kept=3", "alloy_expected_series=2000", "alloy_expected_spans_per_second=2"]),
        ("alloy", ["alloy_extra_units=nginx.service,cron.service", "alloy_memory_max=536870912"]),
        ("alloy", ['{"alloy_generations_kept": 3, "alloy_memory_max": 536870912}']),
        ("prometheus", ["prometheus_retention_size=0", "prometheus_remote_write_receiver=false"]),
        ("prometheus", ['{"prometheus_retention_size": 0}']),
        ("node_exporter", ["node_exporter_extra_arguments=--collector.processes,--collector.systemd"]),
        ("node_exporter", ['{"node_exporter_extra_arguments": ["--collector.processes"]}']),
        ("hypertool", ["hypertool_agent_users=root,daemon", f"hypertool_source={ROOT}"]),
        ("hypertool", ["hypertool_agent_hooks=claude-code,codex", f"hypertool_source={ROOT}"]),
    ],
)
def test_text_is_taken_for_what_it_means(role: str, variables: list[str], tmp_path: Path) -> None:
    """A number, a truth value or a list is the same from a command line as from an inventory."""
    done = preflight(role, tmp_path, *variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize(
    ("role", "variables", "said"),
    [
        ("alloy", ["alloy_generations_kept=1"], "2 or more (found 1)"),
        ("alloy", ["alloy_generations_kept=many"], "2 or more (found many)"),
        ("alloy", ["alloy_extra_units=nginx"], "nginx"),
        ("node_exporter", ["node_exporter_extra_arguments=--a=%n"], "--a=%n"),
        ("hypertool", ["hypertool_agent_users=root,gone", f"hypertool_source={ROOT}"], "'gone' does not exist"),
        ("hypertool", ["hypertool_agent_hooks=all,aider", f"hypertool_source={ROOT}"], "'aider' has no hooks"),
        ("hypertool", ["hypertool_personas=backend", f"hypertool_source={ROOT}"], "needs tokens"),
        (
            "alertmanager",
            [f"alertmanager_config_file={ROOT}/prometheus/alertmanager/examples/slack.yml"],
            "secrets/slack_api_url, which is not there",
        ),
        (
            "alertmanager",
            [
                f"alertmanager_config_file={ROOT}/prometheus/alertmanager/alertmanager.yml",
                json.dumps({"alertmanager_secrets": {"token": ""}}),
            ],
            "Empty in alertmanager_secrets: token",
        ),
    ],
)
def test_a_wrong_value_is_named(role: str, variables: list[str], said: str, tmp_path: Path) -> None:
    """What cannot be is refused before anything is changed, with the value that was found."""
    done = preflight(role, tmp_path, *variables)
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ({9090: 9095}, "http://127.0.0.1:9095/api 127.0.0.1:9093 localhost:9090"),
        ({"9090": "9093", 9093: "9090"}, "http://127.0.0.1:9093/api 127.0.0.1:9090 localhost:9090"),
        ({}, "http://127.0.0.1:9090/api 127.0.0.1:9093 localhost:9090"),
    ],
)
def test_addresses_get_the_ports_of_the_host(ports: dict[object, object], expected: str) -> None:
    """Each address of loopback is exchanged once, also where two ports change places."""
    text = "http://127.0.0.1:9090/api 127.0.0.1:9093 localhost:9090"
    assert loopback_ports().on_ports(text, ports) == expected


@pytest.mark.parametrize("port", ["", "http", 0, 65536, "9090 --web.enable-lifecycle"])
def test_what_is_no_port_is_refused(port: object) -> None:
    """A port is a number that can be listened on, and nothing that would become another argument."""
    with pytest.raises(AnsibleFilterError, match="expected a number from 1 to 65535"):
        loopback_ports().on_ports("127.0.0.1:9090", {9090: port})


def loopback_ports() -> ModuleType:
    return loaded(ROOT / "ansible" / "filter_plugins" / "loopback_ports.py")


def test_interpreter_is_the_systems_from_any_folder(tmp_path: Path) -> None:
    """A version manager's shim on the PATH is not taken for the host's Python, wherever the command is given."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", "localhost,", "--host", "localhost"]
    shown = subprocess.run(
        [*command, "--playbook-dir", str(ROOT / "ansible")], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(shown.stdout)["ansible_python_interpreter"] == "/usr/bin/python3"
