"""The test runner's summary: what ran, what failed, and how to run what was skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.lint.test_lint import ROOT

TESTS = """\
import pytest

def test_passes(): pass

def test_fails(): assert False

@pytest.mark.parametrize("number", [1, 2])
def test_needs(number): pytest.skip("install the thing")

@pytest.fixture
def broken(): raise RuntimeError

def test_errs(broken): pass
"""


def test_summary_counts_and_gives_reasons(tmp_path: Path) -> None:
    """Figures per group and in all, an error counts as failed, and each reason of a skip stands once with its count."""
    (tmp_path / "test_one.py").write_text(TESTS)
    for group in ("first", "second"):
        report = f"--junitxml={tmp_path / group}.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", report, "test_one.py"]
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    program = [sys.executable, str(ROOT / "scripts/lib/summary_of_tests.py"), *map(str, tmp_path.glob("*.xml"))]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    printed = done.stdout
    rows = {line.split()[0]: line.split()[1:4] for line in printed.splitlines() if line.startswith(("first", "second"))}
    assert rows == {"first": ["1", "2", "2"], "second": ["1", "2", "2"]}
    assert "4 x install the thing" in printed
    assert printed.splitlines()[-1] == "2 passed, 4 failed, 4 skipped"


def test_second_run_counts_and_is_named(tmp_path: Path) -> None:
    """A test that passes when it is run again alone counts as passed and is named; one that fails again has failed."""
    (tmp_path / "test_one.py").write_text(
        TESTS + "\ndef test_again():\n    import os\n    assert 'AGAIN' in os.environ\n"
    )
    (tmp_path / "again").mkdir()
    command = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={tmp_path / 'cache'}", "test_one.py"]
    first = [*command, f"--junitxml={tmp_path / 'group.xml'}"]
    subprocess.run(first, cwd=tmp_path, capture_output=True, check=False)
    again = [*command, "--last-failed", f"--junitxml={tmp_path / 'again' / 'group.xml'}"]
    subprocess.run(again, cwd=tmp_path, capture_output=True, check=False, env=os.environ | {"AGAIN": "1"})
    program = [sys.executable, str(ROOT / "scripts/lib/summary_of_tests.py")]
    files = [str(tmp_path / "group.xml"), str(tmp_path / "again" / "group.xml")]
    done = subprocess.run([*program, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "test_one::test_again" in done.stdout
    assert "test_one::test_fails" not in done.stdout
    assert done.stdout.splitlines()[-1] == "2 passed, 2 failed, 2 skipped"
    count = subprocess.run([*program, "--failures", files[0]], capture_output=True, text=True, check=True)
    assert count.stdout == "3\n"


def test_every_folder_is_run() -> None:
    """A group names folders that exist; what no group names runs with the others."""
    runner = (ROOT / "scripts" / "test.sh").read_text()
    lists = [runner.partition(f"\n{name}=(")[2].partition(")")[0] for name in ("on_hosts", "of_processes", "comparing")]
    named = {word.strip('"') for part in lists for word in part.split() if "tests/" in word}
    assert all("tests/" in part for part in lists)
    assert sorted(name for name in named if not (ROOT / name).is_dir()) == []
