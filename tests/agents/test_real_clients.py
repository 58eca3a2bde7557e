"""Real coding agents from npm against a model server of ours: every figure to the token, and budgets that stop them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hypertool import get_persona_metrics
from hypertool.cli import main
from hypertool.domain.instruments import AGENT_BLOCKED, AGENT_CALLS, AGENT_TOKENS, TOKENS
from hypertool.service.agent_sessions import AgentSessions
from tests.agents.hooking import HYPERTOOL
from tests.agents.ledgers import counted
from tests.support.fake_models import FakeModels
from tests.support.hypertool_host import wait_until

CLIENTS = Path(__file__).with_name("clients")
# Program to where it is in node_modules; Node 22 is one of them, because older ones cannot run them all.
PROGRAMS = {
    "node": "node-linux-*/bin/node",
    "claude": "@anthropic-ai/claude-code-linux-*[!l]/claude",
    "codex": ".bin/codex",
    "copilot": ".bin/copilot",
    "gemini": ".bin/gemini",
    "cline": "@cline/cli-linux-*/bin/cline",
}
INSTALL_SECONDS = 400
RUN_SECONDS = 120


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clients' programs; skipped where npm is missing or does not deliver them."""
    given = os.environ.get("HYPERTOOL_TEST_CLIENTS")  # a folder with their programs, `node` too
    if given:
        return Path(given)
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed (package npm); the real clients come from it")
    modules = CLIENTS / "node_modules"
    if not (modules / ".package-lock.json").exists():
        # Without install scripts: what the clients need is in their packages.
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(
                command, cwd=CLIENTS, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not deliver the clients within {INSTALL_SECONDS} s")
        if done.returncode:
            pytest.skip(f"npm does not deliver the clients here: {done.stderr.strip()[-300:]}")
    folder = tmp_path_factory.mktemp("programs")
    for name, pattern in PROGRAMS.items():
        for found in sorted(modules.glob(pattern))[:1]:
            (folder / name).symlink_to(found)
    return folder


class Client(NamedTuple):
    """How one agent is run without an account: its command, its variables, its files, and what it reports beside."""

    command: list[str]
    environment: Callable[[str], dict[str, str]]
    prepare: Callable[[Path, str], None] = lambda home, url: None
    settings: tuple[str, ...] = ()  # a command that sets it up; {url} is the server's
    cache_write: bool = False
    reasoning_beside: bool = False


def _codex_files(home: Path, url: str) -> None:
    folder = home / ".codex"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(
        f'model = "gpt-5"\nmodel_provider = "fake"\n[model_providers.fake]\nname = "fake"\nbase_url = "{url}/v1"\n'
        'wire_api = "responses"\nenv_key = "FAKE_KEY"\n'
    )


def _gemini_files(home: Path, _url: str) -> None:
    folder = home / ".gemini"
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text('{"security": {"auth": {"selectedType": "gemini-api-key"}}}\n')


AGENTS = {
    "claude-code": Client(
        ["claude", "-p", "Say hello", "--allowedTools", "Bash"],
        lambda url: {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "none",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
        cache_write=True,
    ),
    "codex": Client(
        ["codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "Say hello"],
        lambda url: {"FAKE_KEY": "none"},
        _codex_files,
    ),
    "copilot-cli": Client(
        ["copilot", "-p", "Say hello", "--allow-all-tools"],
        lambda url: {
            "COPILOT_OFFLINE": "true",
            "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
            "COPILOT_MODEL": "gpt-4.1",
            "COPILOT_PROVIDER_API_KEY": "none",
        },
    ),
    "gemini-cli": Client(
        ["gemini", "-p", "Say hello", "--yolo", "-m", "gemini-2.5-pro"],
        lambda url: {"GEMINI_API_KEY": "none", "GOOGLE_GEMINI_BASE_URL": url, "GEMINI_CLI_TRUST_WORKSPACE": "true"},
        _gemini_files,
        reasoning_beside=True,
    ),
    "cline": Client(
        ["cline", "Say hello"],
        lambda url: {},
        settings=("cline", "auth", "-p", "openai-compatible", "-k", "none", "-m", "gpt-4.1", "-b", "{url}/v1"),
    ),
}


@pytest.fixture
def project(home: Path) -> Iterator[Path]:
    """A workspace in the home; what clients leave running for it (Cline's hub) ends with the test."""
    project = home / "project"
    (project / ".git").mkdir(parents=True)
    yield project
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(project) in (process / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture
def models() -> Iterator[FakeModels]:
    """The model server: one tool call, then text."""
    with FakeModels(commands=["echo one"]) as server:
        yield server


def set_up(client: Client, models: FakeModels, programs: Path, project: Path) -> None:
    """What the client needs before it can be run, and before hooks are installed."""
    client.prepare(project.parent, models.url)
    if client.settings:
        command = [part.format(url=models.url) for part in client.settings]
        done = run(client._replace(command=command), models, programs, project)
        assert done.returncode == 0, done.stdout + done.stderr


def start(
    client: Client, models: FakeModels, programs: Path, project: Path, **environment: str
) -> subprocess.Popen[str]:
    """Begin the client's command in the project; skipped where the client does not exist for this machine."""
    if not (programs / client.command[0]).exists():
        pytest.skip(f"npm delivers no {client.command[0]} for this machine")
    return subprocess.Popen(
        [str(programs / client.command[0]), *client.command[1:]],
        cwd=project,
        env={
            **os.environ,
            "PATH": f"{programs}:{HYPERTOOL.parent}:{os.environ['PATH']}",
            **client.environment(models.url),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL the client and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def run(
    client: Client, models: FakeModels, programs: Path, project: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The client's command, to its end."""
    process = start(client, models, programs, project, **environment)
    try:
        out, err = process.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    return subprocess.CompletedProcess(client.command, process.returncode, out, err)


def until(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what, 60)


@pytest.mark.parametrize("hooked", [True, False], ids=["hooks and service", "service"])
@pytest.mark.parametrize("agent", AGENTS)
def test_real_client_counts_to_the_token(
    agent: str, hooked: bool, models: FakeModels, programs: Path, project: Path
) -> None:
    """One prompt with a tool: ledger, metrics and what the server reported agree, whichever sources are on."""
    client = AGENTS[agent]
    set_up(client, models, programs, project)
    if hooked:
        assert main(["agents", "install", agent]) == 0
    done = run(client, models, programs, project, HYPERTOOL_PERSONA="backend-engineer")
    assert models.served, done.stdout + done.stderr
    AgentSessions(str(project.parent), {}).round()
    said = f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
    assert counted(AGENT_CALLS.key, agent) == len(models.served), said
    assert counted(AGENT_TOKENS.key, agent) == models.tokens(client.cache_write, client.reasoning_beside)
    if hooked and agent != "codex":  # Codex asks a person to trust its hooks
        assert counted(TOKENS.key, "backend-engineer") == counted(TOKENS.key)


def test_real_client_retries_count_once(models: FakeModels, programs: Path, project: Path) -> None:
    """A call that was refused with 529 and made again is one call."""
    models.refuse_first = 1
    run(AGENTS["claude-code"], models, programs, project)
    AgentSessions(str(project.parent), {}).round()
    assert len(models.asked) == len(models.served) + 1
    assert counted(AGENT_TOKENS.key) == models.tokens(True)


@pytest.mark.parametrize("agent", ["claude-code", "gemini-cli", "cline"])
def test_real_client_stops_at_its_budget(
    agent: str, programs: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a budget that blocks, no call is made after the one that overspent it."""
    config = tmp_path / "hypertool.toml"
    config.write_text('[personas.backend-engineer]\ntokens = 1500\non_exceed = "block"\n')
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    with FakeModels(commands=["echo one", "echo two", "echo three", "echo four"]) as models:
        set_up(AGENTS[agent], models, programs, project)
        assert main(["agents", "install", agent]) == 0
        done = run(AGENTS[agent], models, programs, project, HYPERTOOL_PERSONA="backend-engineer")
        said = f"{models.asked} {done.stdout[-500:]} {done.stderr[-500:]}"
        assert len(models.served) == 2, said
    assert counted(AGENT_BLOCKED.key, agent, "backend-engineer") >= 1


def test_real_client_is_refused_at_the_prompt(
    programs: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workspace whose budget of the day is used up: Copilot CLI makes no call at all."""
    config = tmp_path / "hypertool.toml"
    config.write_text('[personas.backend-engineer]\ntokens = 100\nwindow = "day"\non_exceed = "block"\n')
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    assert main(["agents", "install", "copilot-cli"]) == 0
    metrics = get_persona_metrics()
    metrics.record_token_usage("backend-engineer", "default", "gpt-4.1", 100)
    metrics.flush()
    served = []
    for _ in range(3):  # A hook that a busy machine holds up for seconds lets the prompt pass, and says so.
        with FakeModels() as models:
            run(AGENTS["copilot-cli"], models, programs, project, HYPERTOOL_PERSONA="backend-engineer")
            served.append(len(models.served))
        if not served[-1]:
            return
    pytest.fail(f"the prompt was never refused: {served} calls in three runs")


def test_real_client_killed_in_the_middle(models: FakeModels, programs: Path, project: Path) -> None:
    """SIGKILL while a tool runs: what the server has answered until then is counted."""
    models.pending(["python3 -c 'import time; time.sleep(60)'"])
    client = AGENTS["claude-code"]
    process = start(client, models, programs, project)
    try:
        until(lambda: list(project.parent.glob(".claude/projects/*/*.jsonl")) and models.served, "the first call")
        session = next(iter(project.parent.glob(".claude/projects/*/*.jsonl")))
        until(lambda: b'"tool_use"' in session.read_bytes(), "the tool call in the session's file")
    finally:
        kill(process)
    AgentSessions(str(project.parent), {}).round()
    assert models.served
    assert counted(AGENT_TOKENS.key, "claude-code") == models.tokens(True)


def test_real_client_resumed_session(programs: Path, project: Path) -> None:
    """A second prompt in the same session repeats nothing of the first one."""
    with FakeModels() as models:
        run(AGENTS["claude-code"], models, programs, project)
        again = AGENTS["claude-code"]._replace(command=["claude", "-p", "--continue", "And again"])
        run(again, models, programs, project)
        forked = AGENTS["claude-code"]._replace(command=["claude", "-p", "--continue", "--fork-session", "Once more"])
        run(forked, models, programs, project)
        AgentSessions(str(project.parent), {}).round()
        assert len(models.served) == 3
        assert (counted(AGENT_CALLS.key), counted(AGENT_TOKENS.key)) == (3, models.tokens(True))


@pytest.mark.parametrize("hooked", [True, False], ids=["hooks and service", "service"])
def test_real_client_subagents_are_their_personas(hooked: bool, programs: Path, project: Path) -> None:
    """Two sub-agents at once, called like personas: each one's calls are that persona's, the rest the session's."""
    folder = project / ".claude" / "agents"
    folder.mkdir(parents=True)
    names = ("backend-engineer", "testing-specialist")
    for name in names:
        (folder / f"{name}.md").write_text(f"---\nname: {name}\ndescription: {name}\n---\nWork.\n")
    if hooked:
        assert main(["agents", "install", "claude-code"]) == 0
    both = [("Agent", {"description": name, "prompt": "Work", "subagent_type": name}) for name in names]
    with FakeModels(commands=[both]) as models:
        run(AGENTS["claude-code"], models, programs, project, HYPERTOOL_PERSONA="data-scientist")
        AgentSessions(str(project.parent), {}).round()
        assert counted(AGENT_TOKENS.key) == models.tokens(True)
        assert counted(AGENT_CALLS.key) == len(models.served)
    assert [counted(AGENT_CALLS.key, "claude-code", name) for name in names] == [1, 1]
    rest = counted(AGENT_CALLS.key, "claude-code", "data-scientist" if hooked else "unknown")
    assert rest == counted(AGENT_CALLS.key) - 2 >= 2
