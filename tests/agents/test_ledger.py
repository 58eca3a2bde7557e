"""Each call of an agent is counted once, and ledger, metrics and budgets agree, whatever is killed in between."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypertool.agents.calls import AgentCall, Tokens
from hypertool.agents.ledger import database, location, tending
from hypertool.agents.ledger.attribution import Attribution
from hypertool.agents.ledger.batch import Batch
from hypertool.agents.ledger.ledger import Ledger
from hypertool.agents.ledger.usage import total, usage
from hypertool.agents.reading.read import Reading
from hypertool.domain.instruments import AGENT_CALLS, AGENT_TOKENS, TOKENS
from hypertool.domain.personas import load_catalogue
from hypertool.store import batches
from hypertool.store.directory import StateDirectory
from hypertool.store.store import Store
from tests.agents import homes
from tests.agents.ledgers import BACKEND, counted, open_ledger, remaining, stored, take_in

# Agent to calls and tokens of the recorded session, main agent and sub-agents together.
FIGURES = {
    "claude-code": (6, 6 * 1237 + 4 * 21),
    "codex": (4, 4 * 1230 + 3 * 10),
    "copilot-cli": (5, 5 * 1230 + 3 * 15),
    "gemini-cli": (3, 3 * 1235 + 4 * 9),
    "cline": (2, 2 * 1230 + 3 * 3),
    "auggie": (3, 3 * 1237 + 4 * 6),
}

OLD = 1795650000.0 - 100 * 86400


@pytest.fixture(params=FIGURES)
def agent(request: pytest.FixtureRequest, home: Path) -> str:
    """An agent whose recorded session is in the home."""
    homes.install(home, request.param)
    return str(request.param)


def call(number: int, *, at: float = 1795650000.0, session: str = "s1", tokens: int = 100, **more: object) -> AgentCall:
    made = AgentCall("codex", session, (f"resp_{number}",), at + number, "gpt-5", Tokens(input=tokens))
    return made._replace(**more)  # type: ignore[arg-type]


def count(ledger: Ledger, *calls: AgentCall, default: Attribution = BACKEND, source: str = "session_file") -> int:
    with ledger.writing():
        return ledger.ingest(calls[0].agent, Reading(list(calls), [], None), source, "project", default)


def test_ledger_metrics_and_file_agree(agent: str, home: Path) -> None:
    """Ledger, the agents' metrics and the six metrics have the recorded session's calls and tokens, to the token."""
    calls, tokens = FIGURES[agent]
    ledger = open_ledger()
    assert take_in(ledger, agent, home) == calls
    assert total(usage(ledger, 0.0, "agent"))[1] == calls
    assert total(usage(ledger, 0.0, "agent")).total == tokens
    assert counted(AGENT_CALLS.key, agent) == calls
    assert counted(AGENT_TOKENS.key, agent) == tokens
    assert counted(TOKENS.key, "backend-engineer") == tokens


def test_reading_again_counts_nothing(agent: str, home: Path) -> None:
    """The same files by other processes, with or without the positions, by any source: nothing is counted twice."""
    calls, tokens = FIGURES[agent]
    take_in(open_ledger(), agent, home)
    ledger = open_ledger()
    assert take_in(ledger, agent, home) == 0
    ledger.connection.execute("DELETE FROM positions")
    assert take_in(ledger, agent, home) == 0
    ledger.connection.execute("DELETE FROM positions")
    assert take_in(ledger, agent, home, source="otlp") == 0
    assert (counted(AGENT_CALLS.key), counted(AGENT_TOKENS.key)) == (calls, tokens)


def test_forked_session_counts_once(home: Path) -> None:
    """A session that was forked or resumed into another file repeats its history under the same ids."""
    path = homes.install(home, "claude-code")[0]
    fork = path.with_name("00000000-0000-0000-0000-000000000000.jsonl")
    fork.write_text(path.read_text().replace(homes.CLAUDE_SESSION, fork.stem))
    assert take_in(open_ledger(), "claude-code", home) == FIGURES["claude-code"][0]


def test_any_shared_id_is_the_same_call() -> None:
    """A source that knows one of a call's ids only (Claude Code's telemetry: the request's) repeats that call."""
    ledger = open_ledger()
    first = call(1)._replace(keys=("msg_1", "req_1"))
    assert count(ledger, first) == 1
    assert count(ledger, first._replace(keys=("req_1",)), source="otlp") == 0
    assert count(ledger, first._replace(keys=("req_1", "other")), source="otlp") == 0
    assert count(ledger, first._replace(keys=("other",)), source="gateway") == 0


def test_ids_of_agents_do_not_clash() -> None:
    """The same id of two agents is two calls."""
    ledger = open_ledger()
    assert count(ledger, call(1)) == 1
    assert count(ledger, call(1)._replace(agent="cline")) == 1


def test_later_telling_adds_the_difference(home: Path) -> None:
    """A message that was read while it was being written counts its final usage, once."""
    ledger = open_ledger()
    count(ledger, call(1, tokens=10))
    assert count(ledger, call(1, tokens=110)) == 0
    assert count(ledger, call(1, tokens=50)) == 0
    assert count(ledger, call(1, tokens=999), source="otlp") == 0
    assert total(usage(ledger, 0.0, "agent")).total == 110
    assert (counted(AGENT_TOKENS.key), counted(AGENT_CALLS.key)) == (110, 1)


def test_session_is_one_run(home: Path) -> None:
    """A session's calls, told of by many processes, use up one budget; overspending is counted once."""
    now = open_ledger()._now()
    for number in range(3):
        count(open_ledger(), call(number, at=now - 10, tokens=900))
    assert remaining() == 2000 - 2700
    assert counted("exc", "backend-engineer") == 1


def test_least_left_of_active_sessions_shows(home: Path) -> None:
    """Of two active sessions the gauge shows the one with the least left; one that ended leaves it to the other."""
    ledger = open_ledger()
    now = ledger._now()
    count(ledger, call(1, at=now - 10, session="a", tokens=1500))
    count(ledger, call(2, at=now - 10, session="b", tokens=300))
    assert remaining() == 500
    with ledger.writing():
        ledger.end_session("codex", "a")
    assert remaining() == 1700


def test_old_session_does_not_hold_a_budget(home: Path) -> None:
    """A session whose last call is long ago is history: the budget that the next run starts with is full."""
    count(open_ledger(), call(1, at=1795650000.0 - 86400, tokens=5000))
    assert remaining() == 2000


def test_subagents_share_the_sessions_run(home: Path) -> None:
    """A sub-agent called like a persona, or like an alias, uses that persona's budget."""
    ledger = open_ledger()
    now = ledger._now()
    count(ledger, call(1, at=now - 9, tokens=10, subagent="tta-testing-specialist"))
    count(ledger, call(2, at=now - 9, tokens=20, subagent="worker"))
    assert [(row.name, row.total) for row in usage(ledger, 0.0, "persona")] == [
        ("backend-engineer", 20),
        ("testing-specialist", 10),
    ]
    assert remaining("testing-specialist") == 1490


def test_binding_holds_from_its_own_time(home: Path) -> None:
    """Calls before a switch keep the persona before it, also when they are read after it."""
    ledger = open_ledger()
    with ledger.writing():
        ledger.bind("codex", "s1", Attribution("backend-engineer", "bug-fix"), 1795650000.0)
        ledger.bind("codex", "s1", Attribution("testing-specialist", "bug-validation"), 1795650002.5)
        ledger.bind("codex", "s2", Attribution("data-scientist", "default"), 1795650000.0)
    count(ledger, *(call(number) for number in (1, 2, 3, 4)), call(5, session="s2"), default=Attribution())
    count(ledger, call(-1), default=Attribution())
    rows = {(key[1], key[2]): value for key, value in stored().counters.items() if key[0] == TOKENS.key}
    assert rows == {
        ("backend-engineer", "bug-fix"): 200,
        ("testing-specialist", "bug-validation"): 200,
        ("data-scientist", "default"): 100,
        ("unknown", "default"): 100,
    }


def test_reset_refills_a_session(home: Path) -> None:
    """A reset fills the budget of a running session; calls made before it do not use the new one."""
    ledger = open_ledger()
    now = ledger._now()
    count(ledger, call(1, at=now - 100, tokens=1900))
    assert ledger.left("codex", "s1", "backend-engineer") == 100
    Store.locate().reset_budget("backend-engineer")
    assert ledger.left("codex", "s1", "backend-engineer") == 2000
    assert remaining() == 2000
    count(ledger, call(2, at=now - 50, tokens=500))
    assert ledger.left("codex", "s1", "backend-engineer") == 2000
    count(ledger, call(3, at=now + 5, tokens=500))
    assert ledger.left("codex", "s1", "backend-engineer") == 1500


def test_day_budget_is_the_hosts(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets of window `day` get an agent's calls on the day that they were made."""
    config = tmp_path / "hypertool.toml"
    config.write_text('[personas.backend-engineer]\nwindow = "day"\n')
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))
    ledger = open_ledger()
    now = ledger._now()
    count(ledger, call(1, at=now - 1, tokens=300), call(2, at=now - 1, session="s2", tokens=300))
    count(ledger, call(3, at=now - 5 * 86400, tokens=7000))
    assert remaining() == 1400


class Killed(BaseException):
    """The process is gone here."""


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `step`-th thing that changes a file, from now on, is the last thing that is not done."""
    done = 0

    def counting(real: Callable[..., object], after: bool) -> Callable[..., object]:
        def call_(*arguments: object, **named: object) -> object:
            nonlocal done
            done += 1
            if done == step and not after:
                raise Killed
            result = real(*arguments, **named)
            done += after
            if done == step and after:
                raise Killed
            return result

        return call_

    monkeypatch.setattr(batches, "write_all", counting(batches.write_all, False))
    monkeypatch.setattr(batches, "stamp", counting(batches.stamp, False))
    monkeypatch.setattr(os, "rename", counting(counting(os.rename, False), True))
    real_transaction = database.transaction

    @contextlib.contextmanager
    def transaction(connection: sqlite3.Connection):  # type: ignore[no-untyped-def]
        nonlocal done
        done += 1
        if done == step:
            raise Killed
        with real_transaction(connection):
            yield
            done += 1
            if done == step:
                raise Killed
        done += 1
        if done == step:
            raise Killed

    monkeypatch.setattr(database, "transaction", transaction)


def fold_and_forget() -> None:
    """The exporter folds what there is, and again, so that the archive no longer lists the names of the first time."""
    for number in range(3):
        Store.locate().fold()
        batches.prepare(Store.locate().directory, f"{number:032x}", json.loads(Batch().data(time.time())))
        batches.complete(Store.locate().directory, f"{number:032x}")


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("step", range(1, 20))
def test_killed_anywhere_counts_once(step: int, fold: bool, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any step of counting and handing over, with the exporter folding meanwhile: each call counts once."""
    homes.install(home, "claude-code")
    first = open_ledger()
    with monkeypatch.context() as patch:
        kill_at(step, patch)
        with contextlib.suppress(Killed):
            take_in(first, "claude-code", home)
    first.close()
    if fold:
        fold_and_forget()
    ledger = open_ledger()
    take_in(ledger, "claude-code", home)
    with ledger.writing():
        pass
    Store.locate().fold()
    assert (counted(AGENT_CALLS.key), counted(AGENT_TOKENS.key)) == FIGURES["claude-code"]
    assert total(usage(ledger, 0.0, "agent")).total == FIGURES["claude-code"][1]


def test_store_that_refuses_gets_it_later(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk of the store loses nothing: the ledger hands over with its next transaction."""
    ledger = open_ledger()
    with monkeypatch.context() as patch:
        patch.setattr(batches, "write_all", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        count(ledger, call(1))
    assert counted(AGENT_CALLS.key) == 0
    count(ledger, call(2))
    assert counted(AGENT_CALLS.key) == 2


@pytest.mark.parametrize("squat", ["prepare", "complete"])
def test_taken_name_of_a_batch_stops_nothing(squat: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another user took a batch's name, it gets a new one, and every call counts once."""
    ledger = open_ledger()
    count(ledger, call(1))
    taken: list[Path] = []
    for step in ("prepare", "complete"):
        real = getattr(batches, step)

        def take_first(
            directory: StateDirectory, batch: str, *more: object, real: Any = real, step: str = step
        ) -> None:
            if step == squat and not taken:
                taken.append(directory.live / (f".{batch}.ready" if step == "prepare" else f"{batch}.json"))
                taken[0].mkdir()
            real(directory, batch, *more)

        monkeypatch.setattr(batches, step, take_first)
    count(ledger, call(2))
    assert taken
    assert counted(AGENT_CALLS.key) == 2
    assert not ledger.connection.execute("SELECT * FROM outbox").fetchall()
    Store.locate().fold()
    count(ledger, call(3))
    assert counted(AGENT_CALLS.key) == 3


def test_refused_batch_leaves_the_others_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that the store refuses keeps no other one from it, and arrives later."""
    ledger = open_ledger()
    prepare = batches.prepare
    refused: set[str] = set()

    def refuse_first(directory: StateDirectory, batch: str, data: dict[str, Any]) -> None:
        if not refused:
            refused.add(batch)
        if batch in refused:
            raise OSError(5, "Input/output error")
        prepare(directory, batch, data)

    with monkeypatch.context() as patch:
        patch.setattr(batches, "prepare", refuse_first)
        for number in range(5):
            count(ledger, call(number))
        assert counted(AGENT_CALLS.key) == 4
    count(ledger, call(9))
    assert counted(AGENT_CALLS.key) == 6


def test_damaged_ledger_is_kept_aside(home: Path) -> None:
    """A ledger that is no database is kept under another name, and a new one begun."""
    path = location.directory() / "ledger.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    count(open_ledger(), call(1))
    assert counted(AGENT_CALLS.key) == 1
    assert len(list(path.parent.glob("ledger.corrupt-*.db"))) == 1


def test_processes_at_once_count_once(home: Path) -> None:
    """Eight processes that read the same sessions at the same time count each call once."""
    homes.install(home, "claude-code")
    open_ledger().close()
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            try:
                take_in(Ledger(load_catalogue(), seconds=20.0), "claude-code", home)
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert (counted(AGENT_CALLS.key), counted(AGENT_TOKENS.key)) == FIGURES["claude-code"]


def test_old_calls_become_days(home: Path) -> None:
    """Folding keeps the sums and forgets the calls; their ids are known for a year and more."""
    ledger = open_ledger()
    count(ledger, call(1, at=OLD), call(2, at=OLD), call(3))
    before = [usage(ledger, 0.0, by) for by in ("persona", "agent", "model", "day", "workspace")]
    tending.fold(ledger, OLD + 95 * 86400)
    assert ledger.connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)
    assert [usage(ledger, 0.0, by) for by in ("persona", "agent", "model", "day", "workspace")] == before
    assert count(ledger, call(1, at=OLD)) == 0


def test_cost_is_added_once(home: Path) -> None:
    """Calls get their cost outside of hooks; a call that grows later adds the difference."""
    ledger = open_ledger()
    claude = call(1)._replace(agent="claude-code", model="claude-opus-5-5")
    count(ledger, claude)
    tending.price(ledger)
    cost = counted("usd", "backend-engineer")
    assert cost > 0
    assert tending.price(ledger) == 0
    count(ledger, claude._replace(tokens=Tokens(input=200)))
    tending.price(ledger)
    assert counted("usd", "backend-engineer") == 2 * cost


def test_nothing_of_the_content_is_kept(home: Path) -> None:
    """Neither prompts nor answers nor paths of the sessions are in the ledger or the store."""
    for agent in homes.PLACES:
        for path in homes.install(home, agent):
            path.write_bytes(path.read_bytes().replace(b'"[cut]"', b'"SECRET-PROMPT"').replace(b"ann", b"SECRETUSER"))
        take_in(open_ledger(), agent, home)
    with open_ledger().connection as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = [path for path in Path(os.environ["HYPERTOOL_STATE_DIR"]).rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        for secret in (b"SECRET", b"All done", b"/home/", b"Say hello", str(home).encode()):
            assert secret not in path.read_bytes(), (path, secret)


def test_hooks_know_declared_workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger's copy of the configuration holds workflows too; what they declare takes no free place of a label."""
    path = tmp_path / "mine.toml"
    path.write_text("[workflows.mine]\nchatmode = 'shipping'\n[[workflows.mine.stages]]\nname = 's'\npersona = 'ds'\n")
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(path))
    for _ in range(2):  # from the files, then from the ledger
        ledger = open_ledger()
        assert ledger.catalogue.workflows == load_catalogue().workflows
        with ledger.writing():
            assert ledger.label("chatmode", "shipping") == "shipping"
        ledger.close()
    assert [entry.value for entry in Store.locate().labels.all()] == []
