"""The environment of a host after an upgrade that brings a newer Python: built by the module, run by both."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.ansible_module import run_module
from tests.support.box import free_port
from tests.support.debian_binaries import cache_dir
from tests.support.hypertool_host import wait_until

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = Path("/usr/bin/python3")
INSTALL = ROOT / "ansible/roles/hypertool/tasks/install.yml"


def other_python() -> Path | None:
    """A Python 3 of another minor version than the system's, as an upgrade of the distribution would bring."""
    own = version(SYSTEM)
    found = [Path(path) for name in range(14, 9, -1) if (path := shutil.which(f"python3.{name}"))]
    found += sorted((Path.home() / ".pyenv/versions").glob("3.1[0-9]*/bin/python3"), reverse=True)
    return next((path for path in found if version(path) not in ("", own)), None)


def version(python: Path) -> str:
    shown = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release as the play installs it, by the system's Python."""
    folder = tmp_path_factory.mktemp("opt")
    program = ROOT / "ansible/roles/hypertool/files/wheelhouse.py"
    command = [sys.executable, program, "--source", ROOT, "--cache", cache_dir()]
    command += ["--python", version(SYSTEM), "--arch", os.uname().machine]
    built = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    installation = next(task for task in yaml.safe_load(INSTALL.read_text()) if "venv_release" in task)
    answer = run_module(
        "venv_release",
        {
            **{name: installation["venv_release"][name] for name in ("accelerators", "standalone")},
            "archive": built["archive"], "digest": built["digest"], "path": str(folder / "venv"),
            "releases": str(folder / "releases"), "python": str(SYSTEM), "smoke": "import hypertool.service.exporter",
        },
    )  # fmt: skip
    assert not answer.get("failed"), answer
    return folder / "venv"


@pytest.fixture
def upgraded(release: Path) -> Iterator[Path]:
    """The same release after `/usr/bin/python3` became another minor version."""
    newer = other_python()
    if newer is None:
        pytest.skip("there is no second Python 3; install python3.13 or python3.10, or pyenv")
    link = release / "bin" / "python3"
    before = os.readlink(link)
    link.unlink()
    link.symlink_to(newer)
    yield release
    link.unlink()
    link.symlink_to(before)


def test_the_endpoint_outlives_an_upgrade(upgraded: Path) -> None:
    """The command and the endpoint's imports work by a Python that was not there when they were installed."""
    program = "import hypertool.service.exporter, sys, yaml; print(sys.version_info[1])"
    found = subprocess.run(
        [upgraded / "bin/python", "-I", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert f"3.{found.stdout.strip()}" == version(upgraded / "bin/python3")


@pytest.mark.parametrize("which", ["system", "other"])
def test_the_alert_log_needs_python_only(release: Path, tmp_path: Path, which: str) -> None:
    """By any Python, without site-packages and without the environment, it takes a notification and writes it."""
    python = SYSTEM if which == "system" else other_python()
    if python is None:
        pytest.skip("there is no second Python 3; install python3.13 or python3.10, or pyenv")
    alone = tmp_path / "alert-log"
    shutil.copytree(release / "alert-log", alone)
    port = free_port()
    environment = {"HYPERTOOL_STATE_DIR": str(tmp_path / "state"), "HYPERTOOL_ALERT_LOG_LISTEN": f"127.0.0.1:{port}"}
    process = subprocess.Popen(
        [python, "-S", "-I", alone], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: answers(port), "the alert log to answer")
        notification = json.dumps({"status": "firing", "alerts": [{"labels": {"alertname": "A"}}]}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/alerts", notification, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.status == 200
    finally:
        process.terminate()
        said = process.communicate(timeout=60)[1]
    written = list((tmp_path / "state").rglob("alerts.jsonl"))
    assert len(written) == 1, said
    assert json.loads(written[0].read_text())["alerts"][0]["labels"] == {"alertname": "A"}


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_wheels_stay_for_other_environments(release: Path, tmp_path: Path) -> None:
    """An agent's own environment gets the package from the host, without a network."""
    subprocess.run([SYSTEM, "-m", "venv", tmp_path / "venv"], check=True)
    install = [tmp_path / "venv/bin/pip", "install", "--quiet", "--no-index", "--find-links", release / "wheels"]
    subprocess.run(
        [*install, "hypertool-observability"], check=True, env={**os.environ, "PIP_FIND_LINKS": ""}, capture_output=True
    )
    subprocess.run([tmp_path / "venv/bin/python", "-I", "-c", "import hypertool"], check=True)
