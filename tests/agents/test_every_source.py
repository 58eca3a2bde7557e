"""Real clients with one of our sources on, or all at once, whatever becomes of the session: every call once, exact."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from pathlib import Path

import pytest

from tests.agents.gateways import Gateway
from tests.agents.real_clients import kill, run, start
from tests.agents.watching import GATEWAY, HANG, HOOK, OTLP, SERVICE, SOURCES, Watched, until_begun
from tests.support.fake_models import FakeModels

AGENT = {"description": "work", "prompt": "Work", "subagent_type": "general-purpose"}
Run = Callable[[Watched, Path, Path], str]


def prompt(watched: Watched, programs: Path, project: Path) -> str:
    """One prompt with a tool."""
    done = run(watched.client, watched.models, programs, project, **watched.environment)
    return f"{done.stdout[-500:]} {done.stderr[-500:]}"


def subagent(watched: Watched, programs: Path, project: Path) -> str:
    """A sub-agent, which uses a tool."""
    watched.models.pending([[("Agent", AGENT)], "echo one"])
    return prompt(watched, programs, project)


def subagents(watched: Watched, programs: Path, project: Path) -> str:
    """Two sub-agents at once."""
    watched.models.pending([[("Agent", AGENT), ("Agent", AGENT)], "echo one", "echo two"])
    return prompt(watched, programs, project)


RESUMED = {
    "claude-code": ["claude", "-p", "--continue", "And again"],
    "codex": ["codex", "exec", "resume", "--last", "--skip-git-repo-check", "And again"],
    "copilot-cli": ["copilot", "--continue", "-p", "And again", "--allow-all-tools"],
    "auggie": ["auggie", "-c", "-p", "And again"],
    "gemini-cli": ["gemini", "--resume", "latest", "-p", "And again", "--yolo", "-m", "gemini-2.5-pro"],
    "opencode": ["opencode", "run", "--continue", "And again"],
}


def resumed(watched: Watched, programs: Path, project: Path) -> str:
    """A second prompt in the same session, which repeats nothing of the first one."""
    said = prompt(watched, programs, project)
    before = len(watched.models.served)
    watched.client = watched.client._replace(command=RESUMED[watched.agent])
    said += prompt(watched, programs, project)
    assert len(watched.models.served) > before, said
    return said


def retried(watched: Watched, programs: Path, project: Path) -> str:
    """The first call is answered with 529, and made again."""
    watched.models.refuse_first = 1
    said = prompt(watched, programs, project)
    assert len(watched.models.asked) == len(watched.models.served) + 1, said
    return said


def _ended_by(number: signal.Signals, watched: Watched, programs: Path, project: Path) -> str:
    watched.models.pending([HANG])
    process = start(watched.client, watched.models, programs, project, **watched.environment)
    try:
        until_begun(project)
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=60)
    finally:
        kill(process)
    return f"{process.returncode} {out[-500:]} {err[-500:]}"


def cancelled(watched: Watched, programs: Path, project: Path) -> str:
    """SIGINT while a tool runs."""
    return _ended_by(signal.SIGINT, watched, programs, project)


def killed(watched: Watched, programs: Path, project: Path) -> str:
    """SIGKILL while a tool runs."""
    return _ended_by(signal.SIGKILL, watched, programs, project)


# Every way a session of Claude Code goes with all sources on, and with each alone where that one can know of it: OTLP
# events are lost at a kill. `test_real_clients.py` has the service alone.
CASES: list[tuple[str, Run, tuple[str, ...]]] = [
    *(("claude-code", one, SOURCES) for one in (prompt, subagent, subagents, resumed, retried, cancelled, killed)),
    *(("claude-code", one, (HOOK,)) for one in (subagents, cancelled, killed)),
    *(("claude-code", one, (OTLP,)) for one in (subagents, retried)),
    *(("claude-code", one, (GATEWAY,)) for one in (subagents, retried, killed)),
    *(("codex", one, SOURCES) for one in (resumed, retried, cancelled, killed)),
    *(("copilot-cli", one, SOURCES) for one in (resumed, cancelled, killed)),
    *(("gemini-cli", one, SOURCES) for one in (resumed, killed)),
    *(("cline", one, SOURCES) for one in (prompt, killed)),
    *(("opencode", one, SOURCES) for one in (prompt, killed)),
    # It sends no events, and speaks a protocol that our gateway does not.
    *(("auggie", one, (HOOK, SERVICE)) for one in (resumed, cancelled, killed)),
    # Two of them, where one knows what the other does not: the router's calls, a call's end, its id.
    ("gemini-cli", prompt, (HOOK, OTLP)),
    ("gemini-cli", prompt, (OTLP, GATEWAY)),
    ("copilot-cli", prompt, (OTLP,)),
    ("copilot-cli", prompt, (HOOK, GATEWAY)),
    ("codex", prompt, (GATEWAY,)),
    ("cline", prompt, (HOOK, GATEWAY)),
]
EVERY = os.environ.get("HYPERTOOL_TEST_EVERY_COMBINATION") == "1"
"""Whether to run all combinations of sources with each of four more agents, which takes a quarter of an hour."""
# Codex's hooks wait for a person's trust, its events for its configuration file; Cline has no events. Copilot writes
# the usage of a prompt after its last hook, and Gemini's events are taken for what its file lacks: the router's calls.
_ALONE = {("codex", HOOK), ("codex", OTLP), ("cline", OTLP), ("copilot-cli", HOOK), ("gemini-cli", OTLP)}
if EVERY:
    for agent in ("codex", "copilot-cli", "gemini-cli", "cline"):
        for size in range(1, len(SOURCES)):
            for on in combinations(SOURCES, size):
                useful = [source for source in on if (agent, source) not in _ALONE]
                if useful and (agent, prompt, on) not in CASES:
                    CASES.append((agent, prompt, on))


@pytest.fixture
def watched(
    request: pytest.FixtureRequest,
    gateway: Callable[[FakeModels], Gateway],
    models: FakeModels,
    programs: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Watched]:
    agent, sources = request.param
    watched = Watched(agent, sources, models, programs, project, gateway, monkeypatch)
    yield watched
    watched.close()


@pytest.mark.parametrize(
    ("watched", "scenario"),
    [
        pytest.param((agent, on), one, id=f"{agent}-{one.__name__}-{'all' if on == SOURCES else '+'.join(on)}")
        for agent, one, on in CASES
    ],
    indirect=["watched"],
)
def test_every_call_counts_once(watched: Watched, scenario: Run, programs: Path, project: Path) -> None:
    """Ledger, metrics, budget and what the server reported agree to the token, whichever sources are on."""
    told = scenario(watched, programs, project)
    watched.settle()
    watched.assert_exact(told)


def test_cases_cover_pairs_of_sources() -> None:
    """Of Claude Code, every two sources are on in every situation, and each is on without the other in some."""
    on = [(scenario, set(sources)) for agent, scenario, sources in CASES if agent == "claude-code"]
    on += [(scenario, {SERVICE}) for scenario in (prompt, subagents, resumed, retried, killed)]  # test_real_clients.py
    scenarios = {prompt, subagent, subagents, resumed, retried, cancelled, killed}
    for one, other in permutations(SOURCES, 2):
        assert {scenario for scenario, sources in on if {one, other} <= sources} == scenarios
        assert any(one in sources and other not in sources for _, sources in on), f"{one} without {other}"
