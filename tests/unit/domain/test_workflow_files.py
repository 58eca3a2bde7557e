"""Declared workflows: every mistake with file, line and remedy; the schemas agree; merging; lines of keys."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypertool.cli import main
from hypertool.domain import schemas
from hypertool.domain.front_matter import check_prompt, parse_prompt
from hypertool.domain.personas import check_files, load_catalogue
from hypertool.domain.toml_lines import key_lines
from hypertool.domain.workflow_fields import FRONT_MATTER, WORKFLOWS
from hypertool.errors import ConfigError
from tests.support.hypertool_host import Host

STAGE = '[[workflows.x.stages]]\nname = "a"\npersona = "backend"\n'
X = f"[workflows.x]\n{STAGE}"

TOML = [
    ("[workflows.x\n", 1, "not valid TOML", "correct it"),
    ("a = " + "[" * 5000, 1, "nested too deeply", "flatter"),
    ("workflow = 1\n", 1, "unknown top-level key 'workflow'", "expected [personas.<name>]"),
    ("workflows = 1\n", 1, "workflows = 1", "expected at most 100 tables"),
    ("\nworkflows.x = 1\n", 2, "x = 1", "a table with `stages`"),
    (X.replace("workflows.x", "workflows.agent_session"), 1, "the name 'agent_session' is that of", "choose another"),
    ("[workflows.x]\n", 1, "new workflow without stages", "[[workflows.x.stages]]"),
    ("[workflows.x]\nstages = []\n", 2, "stages = []", "a list of 1 to 50 stages"),
    ("[workflows.x]\nstages = [\n  'a',\n]\n", 3, "the value = 'a'", "`name` and `persona`"),
    ("[workflows.x]\n[[workflows.x.stages]]\nname = 'a'\n", 2, "'persona' is missing", "add persona"),
    ("[workflows.x]\n[[workflows.x.stages]]\npersona = 'backend'\n", 2, "'name' is missing", "add name"),
    (f"{X}tokens = 'many'\n", 5, "tokens = 'many'", "a whole number from 1"),
    (f"{X}tokens = 0\n", 5, "tokens = 0", "a whole number from 1"),
    (f"{X}tokens = 1.5\n", 5, "tokens = 1.5", "a whole number"),
    (f"{X}tokens = nan\n", 5, "tokens = nan", "a whole number"),
    (f"{X}tokens = true\n", 5, "tokens = True", "a whole number"),
    (f"{X}tokens = {10**13}\n", 5, "tokens = 10000000000000", "to 1000000000000"),
    (f"{X}gates = 'true'\n", 5, "unknown key 'gates'", "did you mean 'gate'?"),
    (f"{X}gate = '  '\n", 5, "gate = '  '", "a command"),
    (f'{X}gate = "a\\u0000b"\n', 5, "gate = 'a\\x00b'", "without the character NUL"),
    (f"{X}gate = ['true']\n", 5, "gate = ['true']", "a command"),
    (f"{X}chatmode = 'a b'\n", 5, "chatmode = 'a b'", "a name of up to 100"),
    (f"{X}{STAGE}", 6, "the stage name 'a' is taken by stage 1", "a name of its own"),
    (
        "[workflows.x]\n[[workflows.x.stages]]\nname = 'a'\npersona = 'backnd'\n",
        4,
        "unknown persona 'backnd'",
        "'backend'",
    ),
    ("[workflows.x]\n[[workflows.x.stages]]\nname = 'a'\npersona = 'zzz'\n", 4, "unknown persona", "[personas.zzz]"),
    ("[workflows.x]\n[[workflows.x.stages]]\nname = 'a{{b}}'\npersona = 'backend'\n", 3, "name = 'a{{b}}'", "a name"),
    (
        "[workflows.x]\n[[workflows.x.stages]]\nname = 'other'\npersona = 'backend'\n",
        3,
        "name = 'other'",
        "not 'other'",
    ),
    ("[workflows.'a b']\n" + STAGE.replace(".x.", ".'a b'."), 1, "the name 'a b'", "letters, digits"),
    (f"[workflows.x]\non_fail = 'halt'\n{STAGE}", 2, "on_fail = 'halt'", "one of stop, retry, continue"),
    (f"[workflows.x]\non_exceed = 'stop'\n{STAGE}", 2, "on_exceed = 'stop'", "one of warn, block"),
    (f'[workflows.x]\nagent = "claude \'x"\n{STAGE}', 2, "no closing quotation", "as a shell would split"),
    (f"{X}agent = '#'\n".replace("#", '"'), 5, "no closing quotation", "as a shell would split"),
    (f"[workflows.x]\nretries = 99\n{STAGE}", 2, "retries = 99", "from 1 to 10"),
    (f"[workflows.x]\nbackoff_seconds = inf\n{STAGE}", 2, "backoff_seconds = inf", "from 0 to 3600"),
    (f"[workflows.x]\ntoken_budget = -1\n{STAGE}", 2, "token_budget = -1", "a whole number"),
    (f"[workflows.x]\ntoken_budget = 5\n{STAGE}tokens = 6\n", 2, "less than the 6 tokens", "raise it"),
    (f"[workflows.x]\ntokn_budget = 5\n{STAGE}", 2, "unknown key 'tokn_budget'", "'token_budget'"),
    (f"[workflows.x]\ndescription = '''a\nb'''\n{STAGE}", 2, "description = 'a\\nb'", "one line"),
    (f"{X}tokens = {'9' * 5000}\n", 5, "a number with too many digits", "a smaller one"),
    (f"{X}tokens = 0x{'f' * 5000}\n", 5, "a number with too many digits", "a whole number"),
    ('[workflows."a\\n"]\n' + STAGE.replace(".x.", '."a\\n".'), 1, "[workflows.'a\\n']", "letters, digits"),
    (X.replace('"a"', "2026-11-26"), 3, "name = datetime.date(2026, 11, 26)", "in quotes"),
    (f"{X}tokens = 1\ntokens = 2\n", 6, "not valid TOML", "correct it"),
    (f"{X}[workflows.x]\n", 5, "not valid TOML", "correct it"),
    (
        "[workflows.x]\n[[workflows.x.stages]]\nname = 'ghp_" + "a1B2" * 9 + "'\npersona = 'backend'\n",
        3,
        "credential",
        "dashboards",
    ),
]

HEAD = "---\nhypertool_enabled: true\nworkflow_name: bug_fix\n"
YAML = [
    ("# no front matter\n", 1, "no front matter", "begin the file with a line ---"),
    ("---\na: 1\n", 1, "the front matter has no end", "second line ---"),
    ("---\n---\n", 1, "the front matter is empty", "add hypertool_enabled"),
    ("---\n- a\n---\n", 2, "not a mapping", "workflow_name"),
    ("---\na: [1\n---\n", 3, "not valid YAML", "correct it"),
    (f"{HEAD}a: &x 1\n---\n", 4, "an anchor", "write the value itself"),
    (f"{HEAD}a: *x\n---\n", 4, "an alias", "write the value itself"),
    (f"{HEAD}description: !!python/object:os.system x\n---\n", 4, "a tag", "write the value itself"),
    (f"{HEAD}workflow_name: again\n---\n", 4, "'workflow_name' is there twice", "keep one"),
    ("---\nworkflow_name: bug_fix\n---\n", 1, "'hypertool_enabled' is missing", "add hypertool_enabled"),
    ("---\nhypertool_enabled: true\n---\n", 1, "'workflow_name' is missing", "add workflow_name"),
    ("---\nhypertool_enabled: maybe\nworkflow_name: bug_fix\n---\n", 2, "hypertool_enabled = 'maybe'", "true or false"),
    (
        "---\nhypertool_enabled: true\nworkflow_name: bug-fix\n---\n",
        3,
        "'bug-fix' is not declared",
        "did you mean 'bug_fix'?",
    ),
    (f"{HEAD}token_bugdet: 5\n---\n", 4, "unknown key 'token_bugdet'", "'token_budget'"),
    (f"{HEAD}token_budget: lots\n---\n", 4, "token_budget = 'lots'", "a whole number"),
    (f"{HEAD}version: [1]\n---\n", 4, "version = [1]", "such as 1.0.0"),
    (f"{HEAD}personas:\n  - backend\n  - nobody\n---\n", 6, "unknown persona 'nobody'", "[personas.nobody]"),
    (f"{HEAD}personas: [backend, obs, testing, data]\n---\n", 4, "'data' does no stage", "remove it"),
    (f"{HEAD}personas: [backend, obs]\n---\n", 4, "personas lacks testing-specialist", "add what is missing"),
    (f"{HEAD}quality_gates: [deploy]\n---\n", 4, "'deploy', which is no stage", "expected some of investigation"),
    (f"{HEAD}quality_gates:\n  implement_fix: 5\n---\n", 4, "quality_gates = {", "mapping from stages"),
    (f"{HEAD}stages:\n- name: a\n  persona: backend\n---\n", 4, "its stages differ", "another workflow_name"),
    (
        "---\nhypertool_enabled: true\nworkflow_name: y\nstages:\n- name: a\n  persona: nope\n---\n",
        6,
        "unknown persona",
        "[personas.nope]",
    ),
    (f"{HEAD}apm_enabled: 1\n---\n", 4, "apm_enabled = 1", "true or false"),
    (f"{HEAD}? [a]\n: 1\n---\n", 4, "a key must be a plain text", "name: value"),
    (f"{HEAD}<<: {{token_budget: 9}}\n---\n", 4, "a key must be a plain text", "name: value"),
    (f"{HEAD}t\u043eken_budget: 5\n---\n", 4, "unknown key 't\\u043eken_budget'", "'token_budget'"),
    (f"{HEAD}version: 1\ntoken_budget: {'9' * 5000}\n---\n", 5, "cannot be a number", "in quotes"),
    (f"{HEAD}token_budget: 0x{'f' * 5000}\n---\n", 4, "a number with too many digits", "a whole number"),
    (f"{HEAD}version: 2026-13-45\n---\n", 4, "'2026-13-45' cannot be a number or a date", "in quotes"),
    (f"{HEAD}token_budget: 1:30:00\n---\n", 4, "a number only in some readers", "digits 0 to 9"),
    (f"{HEAD}token_budget: 0777\n---\n", 4, "a number only in some readers", "digits 0 to 9"),
    (f"{HEAD}token_budget: .nan\n---\n", 4, "token_budget = nan", "a whole number"),
    (f"{HEAD}backoff_seconds: 1e999\n---\n", 4, "backoff_seconds = '1e999'", "from 0 to 3600"),
    ("---\nhypertool_enabled: true\nworkflow_name: on\n---\n", 3, "workflow_name = True", "in quotes"),
    ("---\nhypertool_enabled: true\nworkflow_name: 2026-11-26\n---\n", 3, "datetime.date(2026", "in quotes"),
    (f"{HEAD}description: a\x07b\n---\n", 4, "the character U+0007", "remove it"),
    (f'{HEAD}description: "\\ud800"\n---\n', 4, "half a surrogate pair", "the character itself"),
    (f"{HEAD}description: a\u202eb\n---\n", 4, "'a\\u202eb'", "that can be seen"),
    (f"{HEAD}personas: [obs, obs, backend, testing]\n---\n", 4, "names 'obs' twice", "keep one"),
    (f"{HEAD}quality_gates: [implement_fix, implement_fix]\n---\n", 4, "names 'implement_fix' twice", "keep one"),
    (f"{HEAD}---\n\n{HEAD}---\n", 6, "a second front matter", "merge it into the first"),
    (f"{HEAD}quality_gates:\n  implement_fix: make 'x\n---\n", 5, 'gate = "make \'x"', "as /bin/sh would take it"),
    (f"{HEAD}...\nversion: 1\n---\n", 5, "not valid YAML", "correct it"),
]


@pytest.mark.parametrize(
    ("text", "line", "reason", "remedy"), TOML, ids=[f"{n}-{m[2][:30]}" for n, m in enumerate(TOML)]
)
def test_broken_toml_names_line_and_remedy(tmp_path: Path, text: str, line: int, reason: str, remedy: str) -> None:
    """Lint names file, line and remedy of each mistake; a strict load refuses with the same line."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    _, findings = check_files([path])
    assert findings, "lint found nothing"
    first = findings[0]
    assert (first.file, first.line) == (str(path), line)
    assert reason in first.reason
    assert remedy in first.remedy
    assert "\n" not in str(first)


@pytest.mark.parametrize("text", [one[0] for one in TOML])
def test_broken_toml_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What lint complains about, the command line and the exporter refuse."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(path))
    with pytest.raises(ConfigError, match=re.escape(f"{path}:")):
        load_catalogue()


@pytest.mark.parametrize(
    ("text", "line", "reason", "remedy"), YAML, ids=[f"{n}-{m[2][:30]}" for n, m in enumerate(YAML)]
)
def test_broken_front_matter_names_line(tmp_path: Path, text: str, line: int, reason: str, remedy: str) -> None:
    """Lint of a prompt file names file, line and remedy of each mistake."""
    path = tmp_path / "mine.prompt.md"
    path.write_text(text)
    findings = _lint(path)
    assert findings, "lint found nothing"
    assert findings[0]["line"] == line
    assert reason in findings[0]["reason"]
    assert remedy in findings[0]["remedy"]


def _lint(path: Path) -> list[dict[str, Any]]:
    from hypertool.cli.workflow_lint import lint_prompt

    return [found._asdict() for found in lint_prompt(path, load_catalogue())]


def test_commands_are_linted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Lint has the shell read a gate, without running it, and names placeholders that nothing replaces."""
    path = tmp_path / "mine.toml"
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(path))
    path.write_text(X + """gate = 'test -e $(echo "{{ a }}")'\nagent = 'a {prompt} {"json": {id}} {other}'\n""")
    assert main(["workflow", "lint"]) == 0
    path.write_text(f"{X}gate = 'touch {tmp_path}/ran; if true'\nagent = 'claude -p {{promt}}'\n")
    capsys.readouterr()
    assert main(["workflow", "lint"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in said] == [f"{path}:6", f"{path}:5"]
    assert "{promt} is no placeholder; did you mean {prompt}?" in said[0]
    assert "as /bin/sh would take it" in said[1]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"---\nname: \xff\n---\n", b"\0" * 10, b"---\n" + b"a" * 1_100_000, b"---\n" + b"[" * 4000 + b"\n---\n"]
)
def test_hostile_prompt_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """No UTF-8, no text, too large, nested too deeply: one finding, no exception."""
    path = tmp_path / "mine.md"
    path.write_bytes(content)
    (finding,) = _lint(path)
    assert finding["file"] == str(path)


def test_prompt_pipe_does_not_block(tmp_path: Path) -> None:
    """A named pipe in place of a file is refused at once."""
    import os

    os.mkfifo(tmp_path / "pipe.md")
    assert "not a regular file" in _lint(tmp_path / "pipe.md")[0]["reason"]


PLAN = """---
hypertool_enabled: true
workflow_type: augment
workflow_name: feature_implementation
name: feature
description: builds a feature
version: 1.0
personas: [backend, frontend-engineer, testing]
token_budget: 5300
apm_enabled: true
quality_gates:
  testing_validation: make test
argument-hint: what
model: any
---
# Body
"""


def test_keys_of_the_plan_are_accepted() -> None:
    """The planned front matter, and the keys that agents read, are without a finding; gates come from the mapping."""
    prompt = parse_prompt(PLAN, "p.md")
    workflow, findings = check_prompt(prompt, load_catalogue())
    assert findings == []
    assert workflow is not None
    assert (workflow.token_budget, workflow.stages[2].gate, workflow.stages[0].tokens) == (5300, "make test", 800)
    assert (prompt.body, prompt.body_line, prompt.line(("quality_gates",))) == ("# Body\n", 16, 11)


# The schema and the check


def _validator(schema: dict[str, Any]) -> jsonschema.protocols.Validator:
    """JSON Schema's patterns are ECMA's, where `$` is the end; in Python it also stands before a last newline."""

    def pattern(_: Any, expected: str, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
        if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", expected), value):
            yield jsonschema.ValidationError("pattern")

    base = jsonschema.Draft202012Validator
    base.check_schema(schema)
    return jsonschema.validators.extend(base, {"pattern": pattern})(schema)


NAMES = st.sampled_from(
    ["a", "bug_fix", "x.y-z", "-a", "other", "A B", "a\n", "a\u2028b", "a\x85", "", "é", "n" * 100, "n" * 101]
)
VALUES = st.one_of(
    st.integers(-2, 3),
    st.sampled_from([10**12, 10**12 + 1, 5.0, 1.5, math.nan, math.inf, True, False, None, [], {}, "\0", " ", "true"]),
    NAMES,
    st.sampled_from(["stop", "retry", "warn", "block", "1.0.0"]),
)


def _table(kind: Any) -> st.SearchStrategy[Any]:
    keys = [*kind.fields, "tokns"]
    return st.fixed_dictionaries({}, optional={key: _value(kind, key) for key in keys})


def _value(kind: Any, key: str) -> st.SearchStrategy[Any]:
    field = kind.fields.get(key)
    inner = getattr(field.kind, "item", None) if field is not None else None
    if inner is not None and hasattr(inner, "fields"):
        stage = st.fixed_dictionaries({"name": NAMES, "persona": NAMES}, optional={"tokens": VALUES, "gate": VALUES})
        return st.one_of(VALUES, st.lists(st.one_of(stage, VALUES), max_size=3))
    if inner is not None:
        return st.one_of(VALUES, st.lists(VALUES, max_size=3))
    if key == "quality_gates":
        return st.one_of(VALUES, st.lists(VALUES, max_size=3), st.dictionaries(NAMES, VALUES, max_size=3))
    return VALUES


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=st.one_of(VALUES, st.dictionaries(NAMES, st.one_of(VALUES, _table(WORKFLOWS.table)), max_size=2)))
def test_toml_schema_and_check_agree(document: Any) -> None:
    """The published schema accepts exactly what the check of the keys accepts."""
    accepted = _TOML_VALIDATOR.is_valid({"workflows": document})
    assert accepted == (not WORKFLOWS.problems(document, ("workflows",)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=st.one_of(VALUES, _table(FRONT_MATTER)))
def test_front_matter_schema_and_check_agree(document: Any) -> None:
    """The same for the front matter of prompt files."""
    assert _PROMPT_VALIDATOR.is_valid(document) == (not FRONT_MATTER.problems(document, ()))


_TOML_VALIDATOR = _validator(json.loads(schemas.CONFIGURATION.read_text()))
_PROMPT_VALIDATOR = _validator(json.loads(schemas.FRONT_MATTER.read_text()))


def test_schemas_are_up_to_date() -> None:
    """The published files are what the tables give; `make generate` writes them."""
    for path, text in schemas.files().items():
        assert path.read_text() == text


def test_schema_accepts_the_shipped_personas() -> None:
    """The package's own file of personas is valid."""
    from hypertool.domain.personas import default_file
    from hypertool.domain.toml_files import TomlFile

    _TOML_VALIDATOR.validate(TomlFile(default_file()).document)


# Merging


def test_later_file_changes_single_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package workflow keeps its stages where a file only changes on_fail; the user's file comes last."""
    from hypertool.domain import personas

    host, own = tmp_path / "host.toml", tmp_path / "config" / "hypertool" / "hypertool.toml"
    own.parent.mkdir(parents=True)
    host.write_text(f"[workflows.bug_fix]\non_fail = 'retry'\ntoken_budget = 9000\n{X}")
    own.write_text("[workflows.bug_fix]\ntoken_budget = 5000.0\n[workflows.x]\non_fail = 'continue'\n")
    monkeypatch.setattr(personas, "HOST_FILE", host)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("HYPERTOOL_CONFIG")
    found = load_catalogue().workflows
    assert (found["bug_fix"].on_fail, found["bug_fix"].token_budget) == ("retry", 5000)
    assert [stage.name for stage in found["bug_fix"].stages] == ["investigation", "implement_fix", "testing_validation"]
    assert (found["x"].on_fail, found["x"].stages[0].persona) == ("continue", "backend-engineer")


def test_library_goes_on_without_a_bad_workflow(tmp_path: Path) -> None:
    """A broken workflow is one warning of the library, and the defaults are used."""
    host = Host(tmp_path)
    host.config.write_text("[workflows.x]\nstages = 5\n")
    done = host.python("""
        from hypertool import get_persona_metrics
        print(sorted(get_persona_metrics().catalogue.workflows))
    """)
    assert done.stdout == "['bug_fix', 'feature_implementation', 'incident_response', 'package_release']\n"
    assert done.stderr.count("hypertool.toml:2: [workflows.x]: stages = 5") == 1
    assert len(done.stderr.splitlines()) == 1
    refused = host.hypertool("exporter", HYPERTOOL_LISTEN="127.0.0.1:0")
    assert (refused.returncode, "hypertool.toml:2:" in refused.stderr) == (1, True)


def test_key_lines_of_every_notation() -> None:
    """Headers, arrays of tables, inline tables, dotted and quoted keys, strings over several lines."""
    text = (
        '# [a]\n"q.k" = 1\na.b = """\n[no]\n"""\n[t . u]\nx = [ { y = 1 }, # ]\n  { y = 2 },\n]\n'
        "[[l]]\nz = '''\n[[l]]\n'''\n[[l]]\nz = 1\n[l.m]\nw = 2\n"
    )
    lines = key_lines(text)
    assert lines["q.k",] == 2
    assert lines["a", "b"] == 3
    assert (lines["t", "u"], lines["t", "u", "x", 1, "y"]) == (6, 8)
    assert (lines["l", 0, "z"], lines["l", 1, "z"], lines["l", 1, "m", "w"]) == (11, 15, 17)
    assert ("no",) not in lines


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[]{}=.,\"'\n# ab\\", max_size=40))
def test_key_lines_end_on_any_text(text: str) -> None:
    """The scanner ends on any text, and names lines that exist."""
    for line in key_lines(text).values():
        assert 1 <= line <= text.count("\n") + 1


# Prompt files beside the configuration

OWN = "---\nhypertool_enabled: true\nworkflow_name: own\nstages:\n- {name: a, persona: backend}\n---\n"


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of prompt files of a configuration that declares `ship_it`."""
    path = tmp_path / "mine.toml"
    path.write_text("[workflows.ship_it]\n" + STAGE.replace(".x.", ".ship_it."))
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(path))
    (tmp_path / "mine.d").mkdir()
    return tmp_path / "mine.d"


def test_prompt_file_beside_the_configuration(beside: Path) -> None:
    """It declares its workflow, or adds to one that is declared; others' files and disabled ones do nothing."""
    (beside / "own.prompt.md").write_text(OWN)
    (beside / "ship.md").write_text("---\nhypertool_enabled: true\nworkflow_name: ship_it\ntoken_budget: 7\n---\n")
    (beside / "off.md").write_text(OWN.replace("true", "false").replace(": own", ": spare"))
    (beside / "README.txt").write_text("no prompt file")
    (beside / ".own.md.swp").write_text("---")
    found = load_catalogue().workflows
    assert [stage.persona for stage in found["own"].stages] == ["backend-engineer"]
    assert found["own"].where == f"{beside}/own.prompt.md:3"
    assert (found["ship_it"].token_budget, [stage.name for stage in found["ship_it"].stages]) == (7, ["a"])
    assert "spare" not in found


def test_broken_prompt_file_spares_the_rest(beside: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Commands and service refuse it with its line; the library leaves it out, and keeps personas and workflows."""
    (beside / "a.md").write_text("---\nhypertool_enabled: true\nworkflow_name: nothing\n---\n")
    (beside / "own.md").write_text(OWN)
    (beside / "pipe.md").symlink_to(beside / "gone")
    with pytest.raises(ConfigError, match=re.escape(f"{beside}/a.md:3: workflow_name = 'nothing' is not declared")):
        load_catalogue()
    found = load_catalogue(strict=False).workflows
    assert {"own", "ship_it"} <= found.keys()
    assert "going on without this prompt file" in caplog.text


def test_too_many_prompt_files_are_refused(beside: Path) -> None:
    """The folder is not read beyond a hundred files."""
    for number in range(101):
        (beside / f"{number}.md").write_text("no front matter")
    with pytest.raises(ConfigError, match="more than 100 prompt files"):
        load_catalogue()
    assert load_catalogue(strict=False).workflows.keys() >= {"ship_it"}
