"""The role's agent configuration and flags as Ansible writes them, run by a real Prometheus on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rules.conftest import edge_release, run
from tests.support.box import free_port
from tests.support.cloud import CloudStandIn, cloud_stand_in
from tests.support.debian_binaries import prometheus_binaries
from tests.support.service import service

__all__ = ["edge_release"]
ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "ansible" / "roles" / "prometheus"
#: What the role writes, from its own variables and template, into a folder of this test.
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: ["{role}/defaults/main.yml", "{role}/vars/main.yml"]
  tasks:
    - ansible.builtin.copy:
        content: "{{{{ prometheus_written[prometheus_mode] | to_json }}}}"
        dest: "{folder}/prometheus.yml"
        mode: "0600"
    - ansible.builtin.template:
        src: "{role}/templates/prometheus.conf.j2"
        dest: "{folder}/unit.conf"
        mode: "0600"
"""


@dataclass
class Written:
    """The configuration and the flags that the role gives to Prometheus."""

    config: dict[str, Any]
    flags: list[str]


def written(folder: Path, release: str, **variables: object) -> Written:
    """What the role writes, for agent mode if not told otherwise, with these variables and a release's Prometheus."""
    folder.mkdir(parents=True, exist_ok=True)
    said = run(prometheus_binaries(release) / "prometheus", "--version")
    given = {
        "prometheus_mode": "agent",
        "prometheus_source": str(ROOT / "prometheus"),
        "prometheus_instance": "host-a",
        "prometheus_found": {"stdout": said.stdout + said.stderr},
        **variables,
    }
    play = folder / "play.yml"
    play.write_text(PLAY.format(role=ROLE, folder=folder), encoding="utf-8")
    environment = {
        **os.environ,
        "ANSIBLE_FILTER_PLUGINS": str(ROOT / "ansible" / "filter_plugins"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"),
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), play, "-i", "localhost,", "-e", json.dumps(given)]
    command += ["-e", json.dumps({"ansible_python_interpreter": sys.executable})]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    unit = (folder / "unit.conf").read_text(encoding="utf-8")
    flags = re.findall(r"^  (--\S+)", unit, re.MULTILINE)
    return Written(yaml.safe_load((folder / "prometheus.yml").read_text(encoding="utf-8")), flags)


class Application:
    """A target whose counter is the number of its scrapes: a sample that is missing or doubled is a gap in it."""

    def __init__(self) -> None:
        self.scrapes = 0
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                application.scrapes += 1
                body = f"# TYPE numbered_scrapes_total counter\nnumbered_scrapes_total {application.scrapes}\n".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"


@dataclass
class Agent:
    """A running agent: its address, what it scrapes, and its password file."""

    url: str
    application: Application
    password: Path
    binaries: Path
    cloud: CloudStandIn


@contextmanager
def agent(folder: Path, release: str, cloud: CloudStandIn) -> Iterator[Agent]:
    """An agent as the role configures it, scraping every second instead of every five and fifteen."""
    folder.mkdir(parents=True)
    password = folder / "remote_write_password"
    password.write_text(cloud.token, encoding="utf-8")
    made = written(
        folder / "written", release, prometheus_password=str(password), prometheus_remote_write_url=cloud.metrics_url,
        prometheus_remote_write_user=cloud.metrics_user, prometheus_remote_write_ca_file=str(cloud.ca_file),
    )  # fmt: skip
    application = Application()
    threading.Thread(target=application.server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{free_port()}"
    for job in made.config["scrape_configs"]:
        job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        job.pop("file_sd_configs")
        job.pop("basic_auth", None)
        target = {"hypertool": application.address, "prometheus": url.removeprefix("http://")}.get(job["job_name"])
        job["static_configs"] = [{"targets": [target], "labels": {"instance": "host-a"}}] if target else []
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(made.config), encoding="utf-8")
    places = {"--config.file": config, "--storage.agent.path": folder / "data"}
    # Without the host's password, which is asked for by tests of their own.
    (folder / "web.yml").write_text("{}", encoding="utf-8")
    places |= {"--web.listen-address": url.removeprefix("http://"), "--web.config.file": folder / "web.yml"}
    flags = [f"{name}={places[name]}" if (name := flag.split("=")[0]) in places else flag for flag in made.flags]
    binaries = prometheus_binaries(release)
    try:
        with service([str(binaries / "prometheus"), *flags], url, folder / "agent.log"):
            yield Agent(url, application, password, binaries, cloud)
    finally:
        application.server.shutdown()
        application.server.server_close()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudStandIn]:
    with cloud_stand_in(tmp_path / "cloud") as made:
        yield made
