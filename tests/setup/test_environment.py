"""What the environment of the person who installs may decide, and what it may not."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.setup.script import PARTS, SCRIPT, Run

#: Variables that change what bash, its tools, Python, pip or Ansible do.
CHANGERS = {
    "POSIXLY_CORRECT": "1",
    "IFS": "x",
    "LC_ALL": "tr_TR.UTF-8",
    "LANG": "tr_TR.UTF-8",
    "TAR_OPTIONS": "--nonsense",
    "GREP_OPTIONS": "-v",
    "GREP_COLORS": "x",
    "CDPATH": "/tmp:/",
    "BASH_ENV": "/nonexistent/bash-env",
    "ENV": "/nonexistent/env",
    "PYTHONPATH": "/nonexistent",
    "PYTHONHOME": "/nonexistent",
    "PYTHONSTARTUP": "/nonexistent",
    "PIP_TARGET": "/nonexistent",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "ANSIBLE_LIBRARY": "/nonexistent",
    "ANSIBLE_STDOUT_CALLBACK": "nonsense",
    "ANSIBLE_CHECK_MODE_MARKERS": "true",
    "LD_LIBRARY_PATH": "/nonexistent",
    "SYSTEMD_PAGER": "nonsense",
    "SYSTEMCTL_SKIP_SYSV": "1",
    "XARGS_OPTIONS": "x",
    "BASH_FUNC_sed%%": "() { echo stolen; }",
    "BASH_FUNC_dirname%%": "() { echo /tmp; }",
}


@pytest.mark.parametrize("name", CHANGERS)
@pytest.mark.shared_host("S24")
def test_a_variable_that_changes_tools_changes_nothing(setup: Run, name: str) -> None:
    plain, changed = setup("--version"), setup("--version", **{name: CHANGERS[name]})
    assert (changed.returncode, changed.stdout) == (plain.returncode, plain.stdout), changed.stderr


def test_only_listed_variables_reach_programs(shell: Run) -> None:
    """A closed list: an unlisted variable is not passed on."""
    names = "".join(f"{name}\n" for name in sorted({*CHANGERS, "NOBODY_THOUGHT_OF_IT"} - {"LC_ALL"}))
    given = {**CHANGERS, "LC_ALL": "C", "NOBODY_THOUGHT_OF_IT": "1", "HTTPS_PROXY": "http://p:1", "HYPERTOOL_X": "1"}
    given = {name: value for name, value in given.items() if not name.startswith(("BASH", "PYTHON", "LD_"))}
    done = shell("clean_environment; env", **given)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert found["LC_ALL"] == "C.UTF-8"
    assert found["HTTPS_PROXY"] == "http://p:1"
    assert found["HYPERTOOL_X"] == "1"
    assert set(found) & set(names.split()) == set(), done.stdout


@pytest.mark.parametrize(("given", "used"), [("/a:.:b::/c", "/a:/c"), ("", "/usr/local/sbin")])
def test_working_directory_is_no_place_for_programs(shell: Run, given: str, used: str) -> None:
    """A program in the working directory is not run."""
    assert shell(f"trusted_path '{given}'").stdout.startswith(used)


@pytest.mark.shared_host("S21")
def test_a_second_run_waits_for_a_killed_one_s_step(tmp_path: Path) -> None:
    """The step that `kill -9` of the script leaves behind is named and waited for; the script never works beside it."""
    code = f'set -eum; source "{PARTS}/ui.sh"; only_one {tmp_path}; LOG={tmp_path}/log; '
    first = subprocess.Popen(["bash", "-c", f'{code} start play "A long play" sleep 3; kill -9 $$'])
    assert first.wait(timeout=20) == -9
    began = time.monotonic()
    second = subprocess.run(
        ["bash", "-c", f"{code} echo free"], capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 0, second.stderr
    assert "A long play" in second.stdout
    assert second.stdout.rstrip().endswith("free")
    assert time.monotonic() - began > 1
    third = subprocess.run(["bash", "-c", f"{code} echo free"], capture_output=True, text=True, timeout=60, check=False)
    assert third.stdout == "free\n"


def test_endless_step_is_named_with_the_remedy(tmp_path: Path) -> None:
    """A step that does not end is named, with the remedy."""
    code = (
        f'set -eum; PROGRAM=x; source "{PARTS}/ui.sh"; LEFT_STEPS_SECONDS=1; only_one {tmp_path}; LOG={tmp_path}/log; '
    )
    left = subprocess.run(
        ["bash", "-c", f'{code} start play "A long play" sleep 60; echo ${{STEP_PID[play]}}; kill -9 $$'],
        stdout=subprocess.PIPE, text=True, timeout=20, check=False,
    )  # fmt: skip
    pid = left.stdout.split()[-1]
    try:
        second = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert f"kill -- -{pid}" in second.stderr
    finally:
        subprocess.run(["bash", "-c", f"kill -- -{pid}"], check=True)


def test_functions_of_the_caller_reach_nothing(tmp_path: Path) -> None:
    """Not even programs that the script starts: bash itself passes functions on that it does not take over."""
    parts = PARTS / "environment.sh"
    script = tmp_path / "script"
    script.write_text(f'source "{parts}"\ndrop_functions "$0" "$@"\nclean_environment\nenv\n', encoding="utf-8")
    done = subprocess.run(
        ["/bin/bash", "-p", str(script)],
        env={**CHANGERS, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "BASH_FUNC" not in done.stdout
    assert SCRIPT.read_text(encoding="utf-8").startswith("#!/bin/bash -p\n")
