"""The archive for a host holds what that host's Python needs, whatever Python builds it."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.setup.script import TOP
from tests.support.loaded import loaded


@pytest.fixture(scope="module")
def wheelhouse() -> ModuleType:
    return loaded(TOP / "ansible" / "roles" / "hypertool" / "files" / "wheelhouse.py")


REQUIREMENTS = """\
# compiled
always==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via something
old==2.0 ; python_full_version < '3.11' \\
    --hash=sha256:cc
arm==3.0 ; platform_machine == 'aarch64' \\
    --hash=sha256:dd
"""


@pytest.mark.parametrize(
    ("python", "arch", "names"),
    [
        ("3.10", "x86_64", {"always", "old"}),
        ("3.13", "x86_64", {"always"}),
        ("3.13", "aarch64", {"always", "arm"}),
    ],
)
def test_markers_are_those_of_the_target(wheelhouse: ModuleType, python: str, arch: str, names: set[str]) -> None:
    pinned = wheelhouse.pinned_for(REQUIREMENTS, python, arch)
    assert {line.split("==")[0] for line in pinned.splitlines()} == names
    assert "always==1.0 --hash=sha256:aa" in pinned
    assert ";" not in pinned


def test_a_requirement_without_a_hash_is_refused(wheelhouse: ModuleType) -> None:
    with pytest.raises(SystemExit, match="loose"):
        wheelhouse.pinned_for("loose==1.0\n", "3.13", "x86_64")


def test_own_pins_hold_on_every_supported_python(wheelhouse: ModuleType) -> None:
    """The repository's own pins hold on every supported Python."""
    text = (TOP / "requirements" / "runtime.txt").read_text()
    for python in ("3.10", "3.11", "3.12", "3.13"):
        pinned = wheelhouse.pinned_for(text, python, "x86_64")
        assert ("tomli==" in pinned) == (python == "3.10")
        assert "prometheus-client==" in pinned


def test_own_wheel_is_the_new_distribution(wheelhouse: ModuleType, tmp_path: Path) -> None:
    """The wheel is built under the distribution's name, and the archive's requirements pin exactly this wheel."""
    wheel = wheelhouse.own_wheel(TOP, tmp_path)
    assert wheel.name.startswith("hypertool_observability-")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "requirements.txt").write_text("")
    wheelhouse.pack(tmp_path / "wheels", wheel, tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as archive:
        pinned = archive.extractfile("requirements.txt")
        assert pinned is not None
        line = pinned.read().decode()
    assert line.startswith("hypertool_observability==")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() in line
