"""How real coding agents are run: their programs from npm, and each one's command, variables and files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.agents.hooking import HYPERTOOL
from tests.support.fake_augment import session
from tests.support.fake_models import FakeModels
from tests.support.hypertool_host import wait_until

CLIENTS = Path(__file__).with_name("clients")
# Where each program is in node_modules. Node 22 is among them, because older ones cannot run every agent.
PROGRAMS = {
    "node": "node-linux-*/bin/node",
    "auggie": ".bin/auggie",
    "claude": "@anthropic-ai/claude-code-linux-*[!l]/claude",
    "codex": ".bin/codex",
    "copilot": ".bin/copilot",
    "gemini": ".bin/gemini",
    "cline": "@cline/cli-linux-*/bin/cline",
    "opencode": "opencode-linux-*/bin/opencode",
    "qwen": ".bin/qwen",
}
INSTALL_SECONDS = 400
RUN_SECONDS = 120


def find_programs(folder: Path) -> Path:
    """The folder with links to the clients' programs; skipped where npm is missing or does not deliver them."""
    given = os.environ.get("HYPERTOOL_TEST_CLIENTS")  # a folder with their programs, `node` too
    if given:
        return Path(given)
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed (package npm); the real clients come from it")
    modules = CLIENTS / "node_modules"
    made, wanted = modules / ".package-lock.json", CLIENTS / "package-lock.json"
    if not made.exists() or made.stat().st_mtime < wanted.stat().st_mtime:
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
    around: tuple[str, ...] = ()  # a command that runs it


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


def _opencode_files(home: Path, url: str) -> None:
    folder = home / ".config" / "opencode"
    folder.mkdir(parents=True, exist_ok=True)
    options = {"baseURL": f"{url}/v1", "apiKey": "none"}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"gpt-4.1": {}}}
    document = {"provider": {"fake": provider}, "model": "fake/gpt-4.1", "permission": "allow", "autoupdate": False}
    (folder / "opencode.json").write_text(json.dumps(document))


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
    # Without an account: its server is the double of `tests/support/fake_augment.py`.
    "auggie": Client(
        ["auggie", "-p", "Say hello"],
        lambda url: {"AUGMENT_SESSION_AUTH": session(url), "AUGMENT_DISABLE_AUTO_UPDATE": "1"},
        cache_write=True,
    ),
    # With a title of ours it makes no call for one, which its database would not have.
    "opencode": Client(["opencode", "run", "--title", "Hello", "Say hello"], lambda url: {}, _opencode_files),
    "qwen-code": Client(
        ["qwen", "-p", "Say hello", "--yolo", "--auth-type", "openai", "-m", "qwen3-coder-plus"],
        lambda url: {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"{url}/v1"},
    ),
}


def profile(home: Path, programs: Path) -> str:
    """A shell's start file, for `BASH_ENV`: some agents' shells set the path anew."""
    path = home / ".profile"
    path.write_text(f'export PATH="{programs}:{HYPERTOOL.parent}:/usr/bin:/bin"\n')
    return str(path)


def set_up(client: Client, models: FakeModels, programs: Path, project: Path, url: str = "") -> Client:
    """What the client needs before it can be run, and before hooks are installed; its calls go to `url`, if given."""
    client.prepare(project.parent, url or models.url)
    if client.settings:
        command = [part.format(url=url or models.url) for part in client.settings]
        done = run(client._replace(command=command), models, programs, project)
        assert done.returncode == 0, done.stdout + done.stderr
    return client


def start(
    client: Client, models: FakeModels, programs: Path, project: Path, **environment: str
) -> subprocess.Popen[str]:
    """Begin the client's command in the project; skipped where the client does not exist for this machine."""
    if not (programs / client.command[0]).exists():
        pytest.skip(f"npm delivers no {client.command[0]} for this machine")
    return subprocess.Popen(
        [*client.around, str(programs / client.command[0]), *client.command[1:]],
        cwd=project,
        env={
            **os.environ,
            "PWD": str(project),  # opencode's workspace is what the shell says, not where it runs.
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
