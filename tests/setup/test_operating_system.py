"""The operating system is read, never executed; what is not supported is named together with what is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.setup.script import Run

# How well a system is supported -> its name -> its os-release.
SYSTEMS = {
    "run": {
        "Debian 12": 'ID=debian\nVERSION_ID="12"\n',
        "Debian 13": "ID=debian\nVERSION_ID=13\n",
        "carriage returns": "ID=debian\r\nVERSION_ID=12\r\n",
        "no newline at the end": "ID=debian\nVERSION_ID=12",
    },
    "none": {
        "Debian 11": 'ID=debian\nVERSION_ID="11"\n',
        "Debian testing has no VERSION_ID": 'PRETTY_NAME="Debian GNU/Linux forky/sid"\nID=debian\n',
        "Ubuntu 20.04": 'ID=ubuntu\nVERSION_ID="20.04"\n',
        "RHEL 8": 'ID="rhel"\nVERSION_ID="8.10"\n',
        "RHEL 90 is not 9": 'ID="rhel"\nVERSION_ID="90"\n',
        "Arch": "ID=arch\n",
        "empty file": "",
    },
    "not run": {
        "Ubuntu 22.04": 'ID=ubuntu\nVERSION_ID="22.04"\nID_LIKE=debian\n',
        "Ubuntu 24.04": "VERSION_ID='24.04'\nID='ubuntu'\n",
        "Rocky 9": 'ID="rocky"\nVERSION_ID="9.4"\n',
        "RHEL 9": 'ID="rhel"\nVERSION_ID="9.6"\n',
        "CentOS Stream 9": 'ID="centos"\nVERSION_ID="9"\n',
        "Fedora 42": "ID=fedora\nVERSION_ID=42\n",
    },
}
CASES = {name: (content, support) for support, systems in SYSTEMS.items() for name, content in systems.items()}
ASK = 'os_support "$(os_field ID)" "$(os_field VERSION_ID)"'


@pytest.mark.parametrize(("content", "support"), CASES.values(), ids=CASES.keys())
def test_each_system_is_told_apart(shell: Run, tmp_path: Path, content: str, support: str) -> None:
    release = tmp_path / "os-release"
    release.write_text(content, newline="")
    done = shell(ASK, HYPERTOOL_OS_RELEASE=str(release))
    assert (done.returncode, done.stdout.strip()) == (0, support), done.stderr


def test_a_missing_file_is_an_unknown_system(shell: Run, tmp_path: Path) -> None:
    done = shell(ASK, HYPERTOOL_OS_RELEASE=str(tmp_path / "none"))
    assert (done.returncode, done.stdout.strip()) == (0, "none"), done.stderr


def test_the_file_is_never_executed(shell: Run, tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text(f'ID="$(touch {tmp_path}/ran)"\nVERSION_ID=`touch {tmp_path}/ran`\n')
    done = shell(ASK, HYPERTOOL_OS_RELEASE=str(release))
    assert done.stdout.strip() == "none", done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="run it as root: the system is looked at after the user")
def test_unsupported_system_is_refused_by_name(setup: Run, tmp_path: Path) -> None:
    """An unsupported system is named, with what is supported."""
    release = tmp_path / "os-release"
    release.write_text('PRETTY_NAME="Arch Linux"\nID=arch\n')
    done = setup("--yes", HYPERTOOL_OS_RELEASE=str(release))
    assert done.returncode == 1
    for text in ("Arch Linux", "VERSION_ID=missing", "Debian 12 and 13", "--sandbox", "Nothing was changed"):
        assert text in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="run it as root: the init is looked at after the user")
@pytest.mark.skipif(
    Path("/proc/1/comm").read_text().strip() == "systemd",
    reason="process 1 is systemd here; run it where it is not",
)
def test_without_systemd_the_sandbox_is_named(setup: Run, tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text("ID=debian\nVERSION_ID=12\n")
    done = setup("--yes", HYPERTOOL_OS_RELEASE=str(release))
    assert done.returncode == 1
    for text in (Path("/proc/1/comm").read_text().strip(), "not systemd", "--sandbox", "Nothing was changed"):
        assert text in done.stderr
