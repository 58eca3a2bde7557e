"""The Compose stack on this machine, with images made here, in a project of its own that is removed afterwards."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from tests.support.box import make_box, obstacle
from tests.support.compose import Stack, compose_environment

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = Path("/var/lib/hypertool-sandbox-compose")


@pytest.fixture(scope="session")
def engine() -> Iterator[dict[str, str]]:
    """The environment in which `docker compose` works: an engine that answers, and Compose v2."""
    if obstacle():
        pytest.skip(obstacle())
    box = make_box(DIRECTORY)
    try:
        yield compose_environment(box)
    finally:
        box.run("down", "--all")
        shutil.rmtree(DIRECTORY, ignore_errors=True)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what Compose mounts: building the images writes a link into the folder compose/."""
    copy = tmp_path_factory.mktemp("tree")
    copy.chmod(0o755)
    for name in ("alloy", "ansible", "compose", "grafana", "instrumentation", "prometheus", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "compose.override.yaml"))
    return copy


@pytest.fixture(scope="session")
def images(engine: dict[str, str], tree: Path) -> Iterator[Path]:
    """The air-gapped path: images out of the distribution's packages."""
    script = [str(tree / "scripts" / "build-local-images.sh")]
    done = subprocess.run(script, env=engine, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    yield tree
    subprocess.run([*script, "--remove"], env=engine, check=True, capture_output=True, timeout=120)
    assert not (tree / "compose" / "compose.override.yaml").exists()


@pytest.fixture(scope="session")
def stack(engine: dict[str, str], images: Path) -> Iterator[Stack]:
    """The profile `minimal`, up and healthy."""
    made = Stack(images / "compose", engine, "minimal")
    made.down()
    try:
        done = made.up("--wait")
        assert done.returncode == 0, done.stderr + made.logs()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def hosts(stack: Stack, engine: dict[str, str]) -> Iterator[dict[str, Host]]:
    """The exporter's container as a host: it has Python, our commands, the store, and this machine's loopback."""
    patch = pytest.MonkeyPatch()
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        if name in engine:
            patch.setenv(name, engine[name])
    yield {"compose": testinfra.get_host(f"docker://{stack.container('exporter')}")}
    patch.undo()


@pytest.fixture
def name() -> str:
    """The name of the host for the checks of tests/hosts."""
    return "compose"


@pytest.fixture
def host(hosts: dict[str, Host]) -> Host:
    return hosts["compose"]
