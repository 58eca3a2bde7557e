"""The wheel and the source distribution: metadata, content, and an installation of each in a new environment."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import hypertool
from tests.packaging.conftest import ROOT, Built, run

PACKAGE = ROOT / "instrumentation" / "hypertool"
DISTRIBUTION = "hypertool-observability"
USER = """\
from hypertool import PersonaMetricsCollector

reveal_type(PersonaMetricsCollector().get_remaining_budget("backend-engineer"))
"""


def program(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def package_files() -> set[str]:
    """Every file of the package in this checkout, as a path from the folder that holds the package."""
    return {
        str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }


def shipped_files() -> dict[str, str]:
    """Dashboards and rules: path in the repository to path in the wheel."""
    places = {"grafana/dashboards": "dashboards", "prometheus/rules": "rules"}
    return {
        f"{place}/{path.name}": f"hypertool/shipped/{kind}/{path.name}"
        for place, kind in places.items()
        for path in (ROOT / place).iterdir()
    }


def wheel_names(built: Built) -> set[str]:
    with zipfile.ZipFile(built.wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(built: Built) -> Message:
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_twine_finds_nothing(built: Built) -> None:
    """The metadata of both files and the readme pass the strict check of an upload."""
    run(program("twine"), "check", "--strict", built.wheel, built.sdist)


def test_check_wheel_contents_finds_nothing(built: Built) -> None:
    """The wheel holds no stray, missing or doubled file."""
    # W102: files from outside the package's folder, which the next test names one by one.
    run(program("check-wheel-contents"), "--ignore", "W102", "--package", PACKAGE, built.wheel)


def test_metadata_is_complete(metadata: Message) -> None:
    """Name, version, licence and classifiers say what a user looks for, and the readme is the README."""
    assert metadata["Name"] == DISTRIBUTION
    assert metadata["Version"] == hypertool.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()
    classifiers = set(metadata.get_all("Classifier", []))
    assert {one for one in classifiers if one.startswith("Operating System")} == {"Operating System :: POSIX"}
    assert "Typing :: Typed" in classifiers
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)} <= classifiers


def test_extras_are_the_documented_ones(metadata: Message) -> None:
    """Each extra brings a package, and the README's table names exactly these extras."""
    extras = set(metadata.get_all("Provides-Extra", []))
    required = metadata.get_all("Requires-Dist", [])
    for extra in extras:
        assert any(f"extra == '{extra}'" in one for one in required), extra
    table = (ROOT / "README.md").read_text().partition("| extra |")[2].partition("\n\n")[0]
    assert {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")} == extras


def test_wheel_holds_package_and_licence_only(built: Built) -> None:
    """Code, data files, dashboards, rules and the licence; no test, tool or configuration of the repository."""
    names = wheel_names(built)
    info = f"{DISTRIBUTION.replace('-', '_')}-{hypertool.__version__}.dist-info"
    assert {name for name in names if not name.startswith(info)} == package_files() | set(shipped_files().values())
    assert f"{info}/licenses/LICENSE" in names
    assert "hypertool/py.typed" in names


def test_sdist_holds_what_it_is_built_from(built: Built) -> None:
    """The package with readme, licence and changelog, below one folder, and nothing else."""
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    package = {f"instrumentation/{name}" for name in package_files()}
    assert names >= {*package, *shipped_files(), "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO"}
    assert {name.split("/")[0] for name in names} == {
        *(
            "instrumentation",
            "grafana",
            "prometheus",
            "pyproject.toml",
            "README.md",
            "LICENSE",
            "CHANGELOG.md",
            "PKG-INFO",
            ".gitignore",
        )
    }


def installed(kind: str, built: Built, new_environment: Callable[..., Path]) -> Path:
    """A new environment with one of the two files installed, as a user's pip does it."""
    if kind == "wheel":
        programs, file, options = new_environment("runtime.txt"), built.wheel, []
    else:
        programs, file, options = new_environment("runtime.txt", "build.txt"), built.sdist, ["--no-build-isolation"]
    run(programs / "pip", "install", "--quiet", "--no-index", *options, file)
    return programs


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_installation_works(
    kind: str, built: Built, new_environment: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands run, a persona is counted, the version is the distribution's, and types reach the user's checker."""
    for name in ("PYTHONPATH", "HYPERTOOL_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HYPERTOOL_STATE_DIR", str(tmp_path / "state"))
    programs = installed(kind, built, new_environment)
    for command in ("hypertool", "tta-persona"):
        assert hypertool.__version__ in run(programs / command, "--version", cwd=tmp_path)
    run(programs / "tta-persona", "switch", "backend", "--chatmode", "bug-fix", cwd=tmp_path)
    assert "backend-engineer" in run(programs / "tta-persona", "current", cwd=tmp_path)
    found = "from hypertool.runtime.shipped_files import shipped; print(*map(shipped, ('dashboards', 'rules')))"
    shipped = run(programs / "python", "-I", "-c", found, cwd=tmp_path).split()
    assert all(folder.startswith(str(programs.parent)) for folder in shipped), shipped
    asked = f"import importlib.metadata as m; print(m.version('{DISTRIBUTION}'))"
    assert run(programs / "python", "-I", "-c", asked, cwd=tmp_path).strip() == hypertool.__version__
    (tmp_path / "user.py").write_text(USER)
    cache = f"--cache-dir={tmp_path / 'mypy'}"
    seen = run(program("mypy"), cache, "--python-executable", programs / "python", "user.py", cwd=tmp_path)
    assert 'Revealed type is "int"' in seen.replace("builtins.int", "int")


def test_other_platforms_get_a_clear_error() -> None:
    """Where Python has no `fcntl`, the import says what is missing and what to do."""
    code = "import sys; sys.modules['fcntl'] = None\ntry:\n    import hypertool\nexcept ImportError as e:\n    print(e)"
    printed = run(sys.executable, "-c", code)
    assert "POSIX" in printed
    assert "fcntl" in printed
    assert "WSL" in printed
