"""The parts of the incident example: a deployment that ends with a release that runs, and the timeline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.support.hypertool_host import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "incident_response"
RESTART = """
import os, pathlib, signal, subprocess, sys
root, port = pathlib.Path(sys.argv[1]), sys.argv[2]
if (root / "refuse").exists() and (root / "current").resolve().name in (root / "refuse").read_text().split():
    sys.exit("systemd says no")
pid = root / "pid"
if pid.exists():
    os.kill(int(pid.read_text()), signal.SIGKILL)
command = [sys.executable, "-B", str(root / "shop.py"), "--port", port]
pid.write_text(str(subprocess.Popen(command, stdout=-3, stderr=-3, stdin=-3).pid))
"""
DEPLOY = """
import json, sys
from pathlib import Path
from deploy import *
root, port = Path(sys.argv[1]), int(sys.argv[2])
deployment = Deployment(root, port, [sys.executable, str(root / "restart.py"), str(root), str(port)])
try:
    said = deployment.deploy(sys.argv[3])
except (DeployFailed, RollbackFailed) as failed:
    said = f"{type(failed).__name__}: {failed}"
print(json.dumps([said, deployment.running, get(f"http://127.0.0.1:{port}/healthz")[1]]))
"""


class Service:
    """The shop, running in a folder of its own with a damaged stock."""

    def __init__(self, root: Path) -> None:
        self.root, self.port = root, free_port()
        shutil.copytree(EXAMPLE, root)
        (root / "restart.py").write_text(RESTART)
        (root / "current").symlink_to("releases/1.0.0")
        (root / "data" / "stock.json").write_text("{")
        subprocess.run([sys.executable, str(root / "restart.py"), str(root), str(self.port)], check=True)

    def deploy(self, release: str) -> tuple[str, str, str]:
        """What was said, what `current` names, and what the service says it is."""
        arguments = [str(self.root), str(self.port), release]
        done = subprocess.run(
            [sys.executable, "-B", "-c", DEPLOY, *arguments], cwd=self.root, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        said, current, health = json.loads(done.stdout)
        return said, current, json.loads(health)["version"] if health.startswith("{") else health

    def stop(self) -> None:
        subprocess.run(["kill", "-9", (self.root / "pid").read_text()], check=False)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "shop")
    yield made
    made.stop()


def test_bad_release_is_rolled_back(service: Service) -> None:
    """What starts and then fails its orders goes; what takes them stays."""
    said, current, running = service.deploy("1.0.1")
    assert said == "DeployFailed: 1.0.1 rolled back to 1.0.0: 0 of 20 orders succeeded, at least 19 must"
    assert (current, running) == ("1.0.0", "1.0.0")
    assert service.deploy("1.0.2") == ("20 of 20 orders succeeded", "1.0.2", "1.0.2")


@pytest.mark.parametrize("release", ["../1.0.2", "1.0.9", "", "$(id)", "1.0.2\n"])
def test_no_such_release_touches_nothing(service: Service, release: str) -> None:
    said, current, _ = service.deploy(release)
    assert said.startswith("DeployFailed: there is no release ")
    assert current == "1.0.0"


def test_refused_restart_is_rolled_back(service: Service) -> None:
    """A restart that fails puts the release before it back; where that fails too, a person is asked for."""
    (service.root / "refuse").write_text("1.0.2")
    said, current, running = service.deploy("1.0.2")
    assert said.startswith("DeployFailed: 1.0.2 rolled back to 1.0.0: ")
    assert (current, running) == ("1.0.0", "1.0.0")
    (service.root / "refuse").write_text("1.0.2 1.0.0")
    said, current, running = service.deploy("1.0.2")
    assert said.startswith("RollbackFailed: 1.0.2: ")
    assert (current, running) == ("1.0.0", "1.0.0")


def test_timeline_is_one_row_a_step(tmp_path: Path) -> None:
    """Whatever a step says stays in its cell; a step that raises is a row, too."""
    code = """
from pathlib import Path
from timeline import Timeline
told = Timeline("a | b\\n# c")
with told.step("s|1", "p") as outcome:
    outcome.append("x | y\\n<b> `z` [l](u)")
try:
    with told.step("broken"):
        raise ValueError("no\\nluck")
except ValueError:
    pass
told.write(Path("t.md"), "unresolved")
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={"PYTHONPATH": str(EXAMPLE)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "t.md").read_text().splitlines()
    assert lines[0] == "# a \\| b # c"
    assert [line.count(" | ") for line in lines[4:] if line.startswith("|")] == [4, 0, 4, 4]
    assert "x \\| y \\<b\\> \\`z\\` \\[l\\](u)" in lines[6]
    assert "ValueError: no luck" in lines[7]
    assert [path.name for path in tmp_path.iterdir()] == ["t.md"]
