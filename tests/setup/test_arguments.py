"""A wrong command line is exit 2, names the value and what was expected, and changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import hypertool
from tests.setup.script import SCRIPT, TOP, Run

WRONG = {
    "unknown option": (["--bogus"], "`--bogus`"),
    "an argument": (["prometheus"], "`prometheus`"),
    "value missing": (["--destination"], "needs a value"),
    "unknown destination": (["--destination", "moon"], "`moon`: expected one of: local grafana_cloud"),
    "unknown destination, one word": (["--destination=moon"], "`moon`: expected one of: local grafana_cloud"),
    "empty destination": (["--destination="], "``: expected one of: local grafana_cloud"),
    "unknown collector": (["--collector", "otelcol"], "`otelcol`: expected one of: auto alloy prometheus"),
    "value that is an option": (["--collector", "--yes"], "`--yes`: expected one of"),
    "purge without uninstall": (["--purge-data"], "goes with --uninstall"),
    "down without sandbox": (["--down"], "goes with --sandbox"),
    "keep-cache without down": (["--sandbox", "--keep-cache"], "--keep-cache goes with --sandbox --down"),
    "check of a sandbox": (["--sandbox", "--check"], "are for this host"),
    "uninstall of a sandbox": (["--sandbox", "--uninstall"], "--sandbox --down"),
    "no package file": (["--alloy-package", "/none.deb"], "`/none.deb`: expected a package file"),
    "a package for the other collector": (
        ["--collector", "prometheus", "--alloy-package", "/etc/passwd"],
        "does not go with --collector prometheus",
    ),
    "a good option before a wrong one": (["--yes", "--bogus"], "`--bogus`"),
}


@pytest.mark.parametrize(("arguments", "text"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_command_line_is_exit_2_and_says_why(
    setup: Run, tmp_path: Path, arguments: list[str], text: str
) -> None:
    done = setup(*arguments)
    assert done.returncode == 2, done.stderr
    assert text in done.stderr
    assert "--help" in done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.predecessor("D29")
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_option_and_installs_nothing(setup: Run, tmp_path: Path, option: str) -> None:
    done = setup(option)
    assert done.returncode == 0
    for name in (
        "--destination",
        "--collector",
        "--alloy-package",
        "--check",
        "--uninstall",
        "--purge-data",
        "--sandbox",
        "--down",
        "--keep-cache",
        "--yes",
    ):
        assert name in done.stdout
    assert not (tmp_path / "cache").exists()


def test_version_is_the_package_s(setup: Run) -> None:
    done = setup("--version")
    assert done.returncode == 0
    assert done.stdout.strip() == hypertool.__version__


def test_without_root_it_says_so_and_how(tmp_path: Path) -> None:
    command = [str(SCRIPT), "--yes"]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("install util-linux: setpriv runs the script as another user")
        command = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-s", "--", "--yes"]
        # Through standard input, because the checkout may lie where only root can read.
        text = SCRIPT.read_text().replace('TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)', f'TOP="{tmp_path}"')
        for part in (TOP / "scripts" / "lib" / "setup").glob("*.sh"):
            text = text.replace(f'source "$TOP/scripts/lib/setup/{part.name}"', part.read_text())
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    else:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert "needs root" in done.stderr
    assert "sudo" in done.stderr
