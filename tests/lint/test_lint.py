"""Every file of the project passes the linter of its kind, at its strictest profile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[str]:
    """Files of the checkout that match, tracked or about to be (what git ignores is left out)."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return [name for name in listed if (ROOT / name).is_file()]


def tool(name: str) -> str:
    """The linter beside the running interpreter, else on the PATH."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.fail(f"{name} is not installed; scripts/test.sh installs it with requirements/test.txt")
    return found


def check(*command: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a linter; what it prints is the failure."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command[:3])} ...\n{done.stdout[-6000:]}{done.stderr[-3000:]}", pytrace=False)


def test_python_is_clean_under_ruff() -> None:
    check(tool("ruff"), "check", ".")


def test_python_is_formatted_by_ruff() -> None:
    check(tool("ruff"), "format", "--check", "--diff", ".")


def test_the_package_is_typed_strictly() -> None:
    check(tool("mypy"))


def test_the_package_keeps_its_floors() -> None:
    """A room imports its own floor or below, and no imports form a circle (pyproject.toml, tool.importlinter).

    The generators and the sandbox, which are packages of their own, are held to having no circles as well.
    """
    roots = os.pathsep.join(str(ROOT / folder) for folder in ("instrumentation", ".", "scripts/sandbox"))
    check(tool("lint-imports"), "--no-cache", env={**os.environ, "PYTHONPATH": roots})


def shell_scripts() -> list[str]:
    scripts = tracked("*.sh")
    for name in tracked("scripts/*", ".ci/*"):
        first = (ROOT / name).open("rb").readline()
        if first.startswith(b"#!") and b"sh" in first and name not in scripts:
            scripts.append(name)
    return scripts


def test_shell_scripts_are_clean_under_shellcheck() -> None:
    scripts = shell_scripts()
    assert "scripts/setup-native-observability.sh" in scripts
    check(tool("shellcheck"), "-x", *scripts)


def test_yaml_is_clean_under_yamllint() -> None:
    check(tool("yamllint"), "--strict", *tracked("*.yml", "*.yaml"))


def test_ansible_is_clean_under_the_production_profile() -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    check(tool("ansible-lint"), "--profile", "production", "--offline", "--strict", "-q", cwd=ROOT / "ansible", env=env)


FORBIDDEN = (
    "pypi" + ".org",
    "deb.debian" + ".org",
    "security.debian" + ".org",
    "registry.npmjs" + ".org",
    "files.pythonhosted" + ".org",
    "docker" + ".io/",
    "/work/" + "main",
)


def test_no_file_names_a_registry_or_local_path() -> None:
    """No file names a package registry, or a path of one machine."""
    found = []
    for name in tracked():
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        found += [f"{name}: {word}" for word in FORBIDDEN if word in text]
    assert found == []


def test_every_folder_explains_itself() -> None:
    folders = {name.split("/")[0] for name in tracked() if "/" in name and not name.startswith(".")}
    assert [f for f in sorted(folders) if not (ROOT / f / "README.md").is_file()] == []


def test_requirements_have_hashes_and_no_index() -> None:
    """Requirements are pinned with hashes and name no package index."""
    for name in tracked("requirements/*.txt"):
        text = (ROOT / name).read_text()
        pins = [line for line in text.splitlines() if line and line[0].isalpha()]
        assert pins
        assert all("==" in pin and pin.rstrip().endswith("\\") for pin in pins), name
        assert "--hash=sha256:" in text
        assert "://" not in text, name


def test_no_program_edits_the_import_path() -> None:
    """Imports follow from the place in the tree, not from which program ran first."""
    edited = re.compile(r"\bsys\.path\.(insert|append|extend|remove|pop)|\bsys\.path\s*[+\[]?=")
    programs = [name for name in tracked("*.py") if not name.startswith("tests/")]
    assert programs
    assert [name for name in programs if edited.search((ROOT / name).read_text(encoding="utf-8"))] == []


def test_the_only_binary_files_are_pictures() -> None:
    """What a program under test leaves in the checkout must not be committed with it."""
    binary = [name for name in tracked() if b"\0" in (ROOT / name).read_bytes()]
    assert [name for name in binary if not name.endswith(".png")] == []


def test_names_of_tests_fit_on_a_command_line() -> None:
    """A test's name has at most 50 characters and is unique in its file; the whole promise is its docstring."""
    wrong = []
    for file in tracked("tests/*.py"):
        names = re.findall(r"^\s*(?:async )?def (test_\w+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        wrong += [f"{file}: {name} has {len(name)} characters" for name in names if len(name) > 50]
        wrong += [f"{file}: {name} is there twice" for name in sorted(set(names)) if names.count(name) > 1]
    assert wrong == []


# Longer than the limit, and why they stay in one piece.
LONG = {
    "compose/compose.yaml": "its services share YAML anchors, which end with the file",
    "prometheus/tests/quality_gate_failure_rate.yml": "the cases of one alert",
    "prometheus/web/overview.js": "generated from several files",
    "tests/llm/provider_rows.py": "one table, a row for each provider's record",
}


def test_files_are_short() -> None:
    """A file of code has at most 400 lines, one of tests 450; the exceptions have a reason and still need it."""
    files = tracked("*.py", "*.yml", "*.yaml", "*.sh", "*.alloy", "*.js", "*.cjs", "*.j2", "scripts/*", "Makefile")
    lines = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in files}
    long = {name for name, count in lines.items() if count > (450 if name.startswith("tests/") else 400)}
    assert long == set(LONG)
