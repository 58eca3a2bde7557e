"""Prompt and persona files: what is written for each agent, and that nothing of a person's is lost."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from hypertool.cli import main
from hypertool.domain.front_matter import check_prompt, parse_prompt
from hypertool.domain.personas import Catalogue, check_files, load_catalogue
from hypertool.domain.workflows import WORKFLOWS
from hypertool.errors import ConfigError
from hypertool.prompts import marks
from hypertool.prompts.source import prompts
from hypertool.prompts.targets import TARGETS, File, files_for
from tests.support.odd_places import put_pipe_or_folder

# A token of such a text has about 4 characters, and never fewer than 3 on average: 1,500 tokens.
LONGEST = 4500
BUDGETS = {"feature_implementation": 5300, "bug_fix": 5500, "package_release": 5300}
OWN = """
[personas.architect]
tokens = 9000
tools = ["read", "search"]
servers = ["tickets"]
restricted_paths = ["deploy/**"]

[workflows.ship_it]
on_fail = "retry"
retries = 3
[[workflows.ship_it.stages]]
name = "plan"
persona = "architect"
chatmode = "planning"
prompt = "Write `PLAN.md` with \\"$(id)\\" and {{ braces }}."
gate = "test -s PLAN.md && grep -q 'it''s' PLAN.md"
[[workflows.ship_it.stages]]
name = "build"
persona = "backend"
"""


def package() -> Catalogue:
    return check_files(())[0]


def every_file(catalogue: Catalogue) -> list[File]:
    return files_for(None, prompts(catalogue), list(catalogue.personas.values()))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """A configuration with a workflow and a persona of one's own."""
    config = tmp_path / "hypertool.toml"
    config.write_text(OWN)
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    return load_catalogue()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty folder to write into."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def exported(project: Path, *more: str) -> int:
    return main(["workflow", "export", "--all", "--into", str(project), *more])


def head(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert isinstance(found, dict)
    return found


def commands(text: str) -> list[list[str]]:
    """The command lines of a file's code blocks."""
    blocks = [part.split("\n```")[0] for part in text.split("```bash\n")[1:]]
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("file", every_file(package()), ids=lambda file: file.path)
def test_file_is_short_and_valid(file: File) -> None:
    """Each file is paid for at every run, and its front matter is YAML with a description."""
    assert len(marks.marked(file.text)) <= LONGEST
    assert head(file.text)["description"]


@pytest.mark.parametrize("name", BUDGETS)
def test_prompt_has_the_declared_stages(name: str) -> None:
    """Switches and gates are those of the declared workflow, in its order; the persona is left at the end."""
    prompt = next(prompt for prompt in prompts(package()) if prompt.workflow.name == name)
    texts = {target.path: target.prompt(prompt) for target in TARGETS if target.prompt is not None}
    assert len(texts) >= 5
    for text in texts.values():
        said = commands(text)
        switches = [line for line in said if line[:2] == ["tta-persona", "switch"]]
        gates = [line[: line.index("--")] for line in said if line[:2] == ["hypertool", "gate"]]
        stages = WORKFLOWS[name].stages
        assert switches == [["tta-persona", "switch", s.persona, "--chatmode", s.chatmode] for s in stages]
        assert gates == [
            f"hypertool gate --quiet --workflow {name} --stage {s.name} --persona {s.persona}".split() for s in stages
        ]
        assert said[-1] == ["tta-persona", "end"]


@pytest.mark.parametrize("name", BUDGETS)
def test_plan_file_is_a_declared_prompt(name: str) -> None:
    """The original plan's file has every key, its budget, and passes `hypertool workflow lint`."""
    stem = name.replace("_", "-")
    (file,) = [f for f in every_file(package()) if f.path.endswith(f"workflows/{stem}-hypertool.prompt.md")
               and (f.path.startswith(".cline") == (name == "bug_fix"))]  # fmt: skip
    keys = head(file.text)
    assert {"workflow_type", "version", "apm_enabled", "personas", "quality_gates"} <= keys.keys()
    assert (keys["hypertool_enabled"], keys["token_budget"]) == (True, BUDGETS[name])
    checked = check_prompt(parse_prompt(file.text, file.path), package())
    assert checked.findings == []
    assert checked.workflow is not None
    assert all(stage.gate for stage in checked.workflow.stages)


def test_own_workflow_and_persona(own: Catalogue) -> None:
    """A declared workflow is written with its gates, texts and retries; a stage without a gate says what to replace."""
    files = {file.path: file.text for file in every_file(own)}
    text = files[".agents/skills/ship-it-hypertool/SKILL.md"]
    assert "at most 3 times" in text
    assert 'Write `PLAN.md` with "$(id)" and {{ braces }}.' in text
    gates = [line[line.index("--") + 1 :] for line in commands(text) if line[0] == "hypertool"]
    assert gates == [["sh", "-c", "test -s PLAN.md && grep -q 'it''s' PLAN.md"], ["COMMAND"]]
    assert head(files[".claude/agents/architect.md"])["tools"] == "Read, Grep, Glob, mcp__tickets"
    assert head(files[".github/agents/architect.agent.md"])["tools"] == ["read", "search", "tickets/*"]
    permission = head(files[".opencode/agents/architect.md"])["permission"]
    assert permission == {"edit": "deny", "bash": "deny", "webfetch": "deny"}
    assert "`deploy/**`" in files[".qwen/agents/architect.md"]


def test_opencode_refuses_restricted_paths() -> None:
    """The one agent whose persona file can forbid changes to paths gets that rule."""
    text = next(f.text for f in every_file(package()) if f.path == ".opencode/agents/backend-engineer.md")
    assert head(text)["permission"]["edit"] == {"*": "allow", "frontend/**": "deny", ".github/workflows/**": "deny"}


def test_workflows_of_one_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`a_b` and `a-b` would overwrite each other's files."""
    config = tmp_path / "hypertool.toml"
    stage = '{name = "one", persona = "backend"}'
    config.write_text(f"[workflows.a_b]\nstages = [{stage}]\n[workflows.a-b]\nstages = [{stage}]\n")
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    with pytest.raises(ConfigError, match=r"hypertool.toml:3.*'a_b' and 'a-b'"):
        prompts(load_catalogue())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('tools = ["hammer"]', "expected one of read, search"),
        ('tools = "read"', "a list"),
        ('servers = ["a b"]', "letters, digits"),
        ('restricted_paths = ["../x"]', "without '..'"),
        ('restricted_paths = ["/etc"]', "in the project"),
        ('restricted_paths = ["a`id`"]', "quotes"),
        ('description = "two\\nlines"', "one line"),
    ],
)
def test_wrong_persona_keys(line: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a persona file could not say is refused with file and line."""
    config = tmp_path / "hypertool.toml"
    config.write_text(f"[personas.backend-engineer]\n{line}\n")
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    with pytest.raises(ConfigError, match=r"hypertool.toml:2.*") as raised:
        load_catalogue()
    assert reason in str(raised.value)


# Writing


def test_export_is_idempotent(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time nothing is written; --check says so, and sees what is missing."""
    assert exported(project, "--check") == 1
    assert list(project.iterdir()) == []
    assert exported(project) == 0
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()}
    assert len(before) == len(every_file(package()))
    assert exported(project) == 0
    assert exported(project, "--check") == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list(project.rglob("*.hypertool"))
    assert "47 of 47 files up to date" in capsys.readouterr().out


def test_export_for_one_agent(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the files that it reads, and the plan's."""
    assert main(["workflow", "export", "--agent", "auggie", "--into", str(project), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["files"]
    folders = {"/".join(file["path"].split("/")[:2]) for file in found}
    assert folders == {".agents/skills", ".augment/agents", ".augment/commands", ".augment/workflows", ".claude/agents"}
    assert {file["state"] for file in found} == {"new"}


def test_edited_file_stays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a person has changed, or made, is not overwritten, and then nothing is written at all."""
    exported(project)
    edited = project / ".claude/agents/backend-engineer.md"
    edited.write_text(edited.read_text().replace("You are", "You were"))
    foreign = project / ".augment/commands/bug-fix-hypertool.md"
    foreign.write_bytes(b"\xff mine")
    gone = project / ".qwen/agents/data-scientist.md"
    gone.unlink()
    assert exported(project) == 1
    said = capsys.readouterr().err
    assert "backend-engineer.md was edited since" in said
    assert "bug-fix-hypertool.md exists and is not ours" in said
    assert "You were" in edited.read_text()
    assert not gone.exists()
    assert exported(project, "--force") == 0
    assert exported(project, "--check") == 0


def stale(project: Path) -> list[Path]:
    """Files of workflows and personas that are gone: two as they were written, one edited since, and one not ours."""
    found = []
    for path in (".agents/skills/gone-hypertool/SKILL.md", ".claude/agents/gone.md", ".qwen/agents/edited.md"):
        found.append(project / path)
        found[-1].parent.mkdir(parents=True, exist_ok=True)
        found[-1].write_bytes(marks.marked("---\nname: gone\n---\n\nGone.\n"))
    found[-1].write_bytes(found[-1].read_bytes().replace(b"Gone.", b"Mine."))
    found.append(project / ".claude/agents/mine.md")
    found[-1].write_text("Mine.\n")
    return found


def test_stale_files_are_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of ours without a workflow or persona fail --check; exporting names them, and they stay."""
    exported(project)
    files = stale(project)
    assert exported(project, "--check") == 1
    capsys.readouterr()
    assert exported(project) == 0
    out = capsys.readouterr().out
    for file in files[:3]:
        assert f"  {file.relative_to(project)}\n" in out
    assert "mine.md" not in out
    assert "47 of 47 files up to date" in out
    assert all(file.exists() for file in files)


def test_prune_removes_only_ours(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--prune removes unedited stale files, with a skill's empty folder; with --check it takes nothing."""
    exported(project)
    files = stale(project)
    assert exported(project, "--prune", "--check") == 1
    assert all(file.exists() for file in files)
    assert exported(project, "--prune") == 0
    assert [file.exists() for file in files] == [False, False, True, True]
    assert not files[0].parent.exists()
    files[2].unlink()
    assert exported(project, "--check") == 0


def test_prune_follows_no_link_out(project: Path, tmp_path: Path) -> None:
    """A folder of ours that is a link to another place is not looked into."""
    exported(project)
    outside = tmp_path / "outside"
    (project / ".qwen/agents").rename(outside)
    (project / ".qwen/agents").symlink_to(outside)
    victim = outside / "gone.md"
    victim.write_bytes(marks.marked("---\nname: gone\n---\n\nGone.\n"))
    exported(project, "--prune")
    assert victim.exists()


def test_older_file_is_renewed(project: Path) -> None:
    """A file of an earlier version, unedited, is written again; so is one that git gave other line ends."""
    exported(project)
    file = project / ".claude/agents/backend-engineer.md"
    wanted = file.read_bytes()
    file.write_bytes(marks.marked("---\nname: x\n---\n\nOlder.\n"))
    assert exported(project, "--check") == 1
    assert exported(project) == 0
    assert file.read_bytes() == wanted
    file.write_bytes(wanted.replace(b"\n", b"\r\n"))
    assert exported(project, "--check") == 0


@pytest.mark.parametrize("where", ["folder", "file"])
def test_link_that_leads_out(where: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is read or written outside the folder, whatever links lie in it."""
    outside = tmp_path / "outside"
    (outside / "agents").mkdir(parents=True)
    victim = outside / "agents" / "backend-engineer.md"
    victim.write_text("mine\n")
    if where == "folder":
        (project / ".claude").symlink_to(outside)
    else:
        (project / ".claude/agents").mkdir(parents=True)
        (project / ".claude/agents/backend-engineer.md").symlink_to(victim)
    assert exported(project, "--force") == 1
    assert "leads out of" in capsys.readouterr().err
    assert victim.read_text() == "mine\n"
    assert [path for path in outside.rglob("*") if path.is_file()] == [victim]


def test_link_inside_is_followed(project: Path) -> None:
    """`.claude/skills` is often a link to `.agents/skills`: both have the same text."""
    (project / ".claude").mkdir()
    (project / ".claude/skills").symlink_to("../.agents/skills")
    (project / ".agents/skills").mkdir(parents=True)
    assert exported(project) == 0
    assert exported(project, "--check") == 0
    assert (project / ".claude/skills").is_symlink()


@pytest.mark.parametrize("odd", ["fifo", "folder", "huge"])
def test_odd_file_in_the_way(odd: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe does not hang the command, a huge file is not read."""
    place = project / ".claude/agents/backend-engineer.md"
    if not put_pipe_or_folder(odd, place):
        with place.open("wb") as file:
            file.truncate(1 << 30)
    assert exported(project, "--force") == 1
    assert ".claude/agents/backend-engineer.md" in capsys.readouterr().err


def test_list_says_who_reads_what(capsys: pytest.CaptureFixture[str]) -> None:
    """Also which file no agent loads by itself."""
    assert main(["workflow", "export", "--list", "--json"]) == 0
    readers = {file["path"]: file["readers"] for file in json.loads(capsys.readouterr().out)["files"]}
    assert readers[".claude/skills/bug-fix-hypertool/SKILL.md"] == ["claude-code"]
    assert readers[".augment/workflows/feature-implementation-hypertool.prompt.md"] == []


@pytest.mark.parametrize("words", [[], ["--agent", "nobody"], ["--all", "--agent", "codex"]])
def test_wrong_use_of_export(words: list[str]) -> None:
    """No agent named, or all and one: exit code 2."""
    assert main(["workflow", "export", *words]) == 2


# MCP settings


def test_mcp_settings_keep_the_rest(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Comments, other servers and other settings stay byte for byte; the content before is kept."""
    gemini = project / ".gemini/settings.json"
    gemini.parent.mkdir()
    before = '{\n  // mine\n  "theme": "dark",\n  "mcpServers": {"other": {"command": "x"}}\n}\n'
    gemini.write_text(before)
    codex = project / ".codex/config.toml"
    codex.parent.mkdir()
    codex.write_text('model = "gpt-5" # mine\n')
    assert exported(project, "--mcp", "--json") == 0
    files = {file["path"]: file for file in json.loads(capsys.readouterr().out)["files"]}
    assert Path(files[".gemini/settings.json"]["backup"]).read_text() == before
    kept = "".join(line for line in gemini.read_text().splitlines(True) if "// mine" in line or "theme" in line)
    assert kept == '  // mine\n  "theme": "dark",\n'
    assert '"other": {"command": "x"}' in gemini.read_text()
    assert codex.read_text().startswith('model = "gpt-5" # mine\n\n[mcp_servers.hypertool]\n')
    shared = json.loads((project / ".mcp.json").read_text())
    assert shared == {"mcpServers": {"hypertool": {"command": "hypertool", "args": ["mcp"]}}}
    assert exported(project, "--mcp", "--check") == 0


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (".mcp.json", b'{"mcpServers": '),
        (".mcp.json", b"[]"),
        (".mcp.json", b'{"mcpServers": 3}'),
        (".gemini/settings.json", b"\xff\xfe"),
        (".codex/config.toml", b"model = "),
        (".codex/config.toml", b'[mcp_servers.hypertool]\ncommand = "mine"\n'),
    ],
)
def test_odd_mcp_settings_stay(path: str, content: bytes, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not understood is left alone, and named."""
    (project / path).parent.mkdir(exist_ok=True)
    (project / path).write_bytes(content)
    assert exported(project, "--mcp") == 1
    assert path in capsys.readouterr().err
    assert (project / path).read_bytes() == content
