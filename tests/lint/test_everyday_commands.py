"""The everyday commands: what `make` lists exists, and the hooks refuse what the linters refuse."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.lint.test_lint import ROOT, tool

HOOKS = ROOT / ".pre-commit-config.yaml"


def make(*arguments: str) -> str:
    if shutil.which("make") is None:
        pytest.skip("make is not installed; install the Debian package make")
    done = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_make_lists_its_commands() -> None:
    """Without arguments `make` lists every command, and each listed one has a recipe."""
    listed = re.findall(r"^  make (\w+)", make(), re.M)
    assert {"fmt", "generate", "lint", "test", "sandbox"} <= set(listed)
    for command in listed:
        assert make("--dry-run", command).strip(), command


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A new repository with this one's hooks and tools."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    shutil.copy(HOOKS, tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("ruff", "shellcheck", "yamllint"):
        (tmp_path / ".venv" / "bin" / name).symlink_to(tool(name))
    return tmp_path


@pytest.mark.parametrize(
    ("hook", "name", "content"),
    [
        pytest.param("ruff-format", "one.py", "x  =  1\n", id="format"),
        pytest.param("ruff-check", "one.py", "import os\n", id="python"),
        pytest.param("shellcheck", "one.sh", "#!/bin/bash\ncd $1\n", id="shell"),
        pytest.param("yamllint", "one.yml", "a: 1\na: 2\n", id="yaml"),
    ],
)
def test_a_hook_refuses_a_bad_file(checkout: Path, hook: str, name: str, content: str) -> None:
    (checkout / name).write_text(content)
    subprocess.run(["git", "add", "--force", name], cwd=checkout, check=True)
    done = subprocess.run([tool("pre-commit"), "run", hook], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Failed" in done.stdout


def test_hooks_need_no_network() -> None:
    """Every hook is local and uses an installed program, so that a commit needs no repository of hooks."""
    configured = yaml.safe_load(HOOKS.read_text())["repos"]
    assert {one["repo"] for one in configured} == {"local"}
    assert {hook["language"] for one in configured for hook in one["hooks"]} == {"system"}
