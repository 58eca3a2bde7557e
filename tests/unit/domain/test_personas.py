"""The persona files: merge order, every mistake with file and line, and what the library does with a broken one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypertool.domain import personas as module
from hypertool.domain.personas import load_catalogue
from hypertool.errors import ConfigError
from tests.support.hypertool_host import Host
from tests.support.personas import BUDGETS

ALIASES = {
    "backend": "backend-engineer",
    "obs": "observability-expert",
    "ds": "data-scientist",
    "data-science": "data-scientist",
    "tta-devops-engineer": "devops-engineer",
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mine.toml"
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(path))
    return path


@pytest.mark.predecessor("D36")
def test_the_defaults_are_those_of_the_contract() -> None:
    catalogue = load_catalogue()
    assert {p.name: p.tokens for p in catalogue.personas.values()} == BUDGETS
    assert {p.window for p in catalogue.personas.values()} == {"run"}
    assert {p.on_exceed for p in catalogue.personas.values()} == {"warn"}
    assert {alias: catalogue.resolve(alias).name for alias in ALIASES} == ALIASES


def test_users_file_merges_over_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's file comes after the host's and replaces single keys."""
    host, own = tmp_path / "host.toml", tmp_path / "config" / "hypertool" / "hypertool.toml"
    own.parent.mkdir(parents=True)
    host.write_text('[personas.backend-engineer]\ntokens = 5000\nwindow = "day"\n[personas.reviewer]\ntokens = 10\n')
    own.write_text("[personas.backend-engineer]\ntokens = 7000\n")
    monkeypatch.setattr(module, "HOST_FILE", host)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("HYPERTOOL_CONFIG")
    merged = load_catalogue()
    backend = merged.resolve("backend")
    assert (backend.tokens, backend.window, merged.resolve("reviewer").tokens) == (7000, "day", 10)
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(own))
    alone = load_catalogue()
    assert (alone.resolve("backend").window, alone.find("reviewer")) == ("run", None)


def test_unsearchable_home_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that the process may not search counts as one without a file."""
    monkeypatch.delenv("HYPERTOOL_CONFIG")
    monkeypatch.setattr("os.stat", lambda *a, **k: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert module.config_files() == []


MISTAKES = [
    ('[personas.x]\n\ntokens = "many"', 3, "tokens = 'many', expected a whole number from 1"),
    ("[personas.x]\ntokens = 0", 2, "tokens = 0"),
    ("[personas.x]\ntokens = -5", 2, "tokens = -5"),
    ("[personas.x]\ntokens = 1.5", 2, "tokens = 1.5"),
    ("[personas.x]\ntokens = true", 2, "tokens = True"),
    ("[personas.x]\ntokens = nan", 2, "tokens = nan"),
    (f"[personas.x]\ntokens = {10**13}", 2, "tokens = 10000000000000"),
    ("# a note\n[personas.x]\nwindow = 'day'", 2, "needs `tokens`"),
    ("[personas.x]\ntokens = 5\nwindow = 'week'", 3, "window = 'week', expected one of run, hour, day"),
    ("[personas.x]\ntokens = 5\non_exceed = 'stop'", 3, "on_exceed = 'stop', expected one of warn, block"),
    ("[personas.x]\ntokens = 5\naliases = 'y'", 3, "expected a list of lower-case names"),
    ("[personas.x]\ntokens = 5\naliases = ['Y!']", 3, "expected a list of lower-case names"),
    ("[personas.x]\ntokens = 5\nlimit = 3", 3, "unknown key 'limit'"),
    ("[personas.Upper]\ntokens = 5", 1, "lower-case"),
    ("[personas.unknown]\ntokens = 5", 1, "none of none, other, unknown"),
    ('[personas."a b"]\ntokens = 5', 1, "lower-case"),
    (f"[personas.{'x' * 101}]\ntokens = 5", 1, "up to 100"),
    ("[personas]\nx = 5", 2, "must be a table"),
    ("personas = 5", 1, "must be tables"),
    ("\n[persona.x]\ntokens = 5", 2, "unknown top-level key 'persona'"),
    ("[personas.x]\ntokens = 5\n[personas.x]\ntokens = 6", 3, "twice"),
    ("[personas.x]\ntokens = 5\ntokens = 6", 3, "overwrite"),
    ("[personas.x\ntokens = 5", 1, "not valid TOML"),
    ("[personas.x]\ntokens = 5\naliases = ['backend']", 3, "'backend' is taken by [personas.backend-engineer]"),
    ("[personas.x]\ntokens = 5\naliases = ['backend-engineer']", 3, "is taken by [personas.backend-engineer]"),
    ("[personas.x]\ntokens = 5\naliases = ['none']", 3, "'none' is reserved"),
    ("[personas.ds]\ntokens = 5", 1, "'ds' is taken by [personas.ds]"),
    ("[personas.x]\ntokens = 5\naliases = ['z']\n[personas.y]\ntokens = 5\naliases = ['z']", 6, "'z' is taken"),
]


@pytest.mark.parametrize(("text", "line", "reason"), MISTAKES, ids=[m[2][:40] for m in MISTAKES])
def test_a_mistake_is_named_with_file_line_and_reason(file: Path, text: str, line: int, reason: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_catalogue()
    assert str(raised.value).startswith(f"{file}:{line}: ")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_encodings_and_byte_order_mark(file: Path) -> None:
    """Encodings other than UTF-8 are refused; a byte order mark is accepted."""
    text = "[personas.reviewer]\ntokens = 5\n"
    file.write_bytes(text.encode("utf-8-sig"))
    assert load_catalogue().resolve("reviewer").tokens == 5
    file.write_bytes(text.encode("utf-16"))
    with pytest.raises(ConfigError, match=r"mine\.toml:1: not UTF-8 text"):
        load_catalogue()
    file.write_bytes(text.encode() + "# größer".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"mine\.toml:3: not UTF-8 text"):
        load_catalogue()


def test_a_file_that_was_named_must_exist(file: Path) -> None:
    with pytest.raises(ConfigError, match="HYPERTOOL_CONFIG must name"):
        load_catalogue()
    file.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_catalogue()


def test_library_falls_back_to_the_defaults(tmp_path: Path) -> None:
    """The library logs a broken file once and continues with the defaults."""
    host = Host(tmp_path)
    host.config.write_text("[personas.backend-engineer]\ntokens = 'x'")
    done = host.python("""
        from prometheus_client import CollectorRegistry
        from hypertool import PersonaMetricsCollector, get_persona_metrics
        for registry in (CollectorRegistry(), CollectorRegistry()):
            PersonaMetricsCollector(registry)
        get_persona_metrics().record_token_usage("backend", "default", "simulated", 5)
        print(get_persona_metrics().get_remaining_budget("backend"))
    """)
    assert (done.returncode, done.stdout) == (0, "1995\n")
    assert done.stderr.count("hypertool.toml:2:") == 1
    assert len(done.stderr.splitlines()) == 1


def test_the_exporter_refuses_a_broken_file(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.config.write_text("[personas.backend-engineer]\ntokens = 'x'")
    done = host.hypertool("exporter", HYPERTOOL_LISTEN="127.0.0.1:0")
    assert done.returncode != 0
    assert "hypertool.toml:2: [personas.backend-engineer]: tokens = 'x'" in done.stderr
    assert "Traceback" not in done.stderr


# Budgets of a workflow's runs


def test_workflow_budget_beside_the_personas(file: Path) -> None:
    """A workflow can have its own budget for a persona."""
    file.write_text("[personas.backend-engineer.workflows.bug_fix]\ntokens = 300\n")
    persona = load_catalogue().resolve("backend")
    assert (persona.tokens, persona.tokens_in("bug_fix"), persona.tokens_in("other"), persona.tokens_in(None)) == (
        2000,
        300,
        2000,
        2000,
    )


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (
            "[personas.backend-engineer.workflows.bug_fix]\n\ntokens = 0\n",
            3,
            "tokens = 0, expected a whole number from 1",
        ),
        ("[personas.backend-engineer.workflows.bug_fix]\n", 1, "tokens = None"),
        ("[personas.backend-engineer.workflows.bug_fix]\ntokens = 1\nwindow = 'day'\n", 3, "unknown key 'window'"),
        ("[personas.backend-engineer]\nworkflows = 5\n", 2, "workflows = 5, expected tables"),
        ("[personas.backend-engineer]\nworkflows.bug_fix = 5\n", 1, "must be a table with `tokens = ...`"),
        (
            "[personas.backend-engineer]\nwindow = 'day'\n[personas.backend-engineer.workflows.bug_fix]\ntokens = 5\n",
            2,
            "'bug_fix' is one of each run",
        ),
    ],
)
def test_wrong_workflow_budget_names_its_line(file: Path, text: str, line: int, reason: str) -> None:
    """A wrong budget of a workflow is an error with line and reason."""
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_catalogue()
    assert str(refused.value).startswith(f"{file}:{line}: [personas.backend-engineer")
    assert reason in str(refused.value)
