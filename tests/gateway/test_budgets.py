"""Budgets at the gateway: whose a call is, what is refused, and that no call is counted twice."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypertool.agents.calls import AgentCall, Tokens
from hypertool.agents.ledger.attribution import Attribution
from hypertool.agents.reading.read import Reading
from hypertool.cli import main
from hypertool.domain.instruments import AGENT_BLOCKED, AGENT_CALLS, AGENT_TOKENS, LLM_REQUESTS, TOKENS
from hypertool.gateway import server
from hypertool.gateway.books import Books
from hypertool.service.addresses import Address
from tests.agents import homes, ledgers
from tests.agents.ledgers import counted, open_ledger, remaining
from tests.gateway.answers import chat, chat_tokens
from tests.gateway.conftest import Start
from tests.gateway.upstreams import Asked, Connection, serving
from tests.support.hypertool_host import wait_until

CHAT = "/openai/v1/chat/completions"
CLAUDE = {"User_Agent": "claude-cli/2.1.332 (external, cli)", "X_Claude_Code_Session_Id": "s-1"}
ASK = {"model": "gpt-4.1", "max_tokens": 1230}


class Numbered:
    """Answers call n with `chat(n)`."""

    def __init__(self) -> None:
        self.served = 0
        self.lock = threading.Lock()

    def __call__(self, asked: Asked, connection: Connection) -> None:
        with self.lock:
            self.served += 1
            n = self.served
        connection.head()
        for event in chat(n):
            connection.chunk(event)
        connection.end()


def budget(monkeypatch: pytest.MonkeyPatch, folder: Path, window: str, tokens: int) -> None:
    config = folder / "hypertool.toml"
    config.write_text(f'[personas.backend-engineer]\ntokens = {tokens}\nwindow = "{window}"\non_exceed = "block"\n')
    monkeypatch.setenv("HYPERTOOL_CONFIG", str(config))


@pytest.mark.parametrize(
    ("window", "provider"),
    [("run", "openai"), ("hour", "openai"), ("day", "openai"), ("run", "anthropic"), ("run", "gemini")],
)
def test_no_call_is_served_past_the_limit(
    window: str, provider: str, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call overspends; the next ones get 402 with budget, use, reset and who can raise it, in the dialect."""
    budget(monkeypatch, tmp_path, window, 1000)
    answers = Numbered()
    path = {"anthropic": "/v1/messages", "gemini": "/v1beta/models/gpt-4.1:streamGenerateContent"}
    with serving(answers) as upstream:
        gateway = start(upstream.url)
        url = f"/p/backend/{provider}{path.get(provider, '/v1/chat/completions')}"
        assert gateway.post(url, ASK)[0] == 200
        refused = [gateway.post(url, ASK) for _ in range(3)]
        gateway.end()
    assert answers.served == 1
    assert [status for status, _, _ in refused] == [402] * 3
    error = json.loads(refused[0][1])["error"]
    for part in (f"the token budget of backend-engineer is 1000 a {window}", "1233 used", "full again", "can raise it"):
        assert part in error["message"]
    assert error.get("type", error.get("status")) in ("insufficient_quota", "billing_error", "FAILED_PRECONDITION")
    assert refused[0][2]["x-should-retry"] == "false"
    assert counted(AGENT_BLOCKED.key, "other", "backend-engineer") == 3
    assert counted(LLM_REQUESTS.key, "backend-engineer", "gpt-4.1", "blocked") == 3
    assert remaining() == 1000 - 1233


@pytest.mark.parametrize("window", ["run", "day"])
def test_calls_at_once_overshoot_by_one(
    window: str, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 12 calls at once only those are served that had tokens reserved: three fit, the last one may overspend."""
    budget(monkeypatch, tmp_path, window, 3000)
    answers = Numbered()
    with serving(answers) as upstream:
        gateway = start(upstream.url)
        with ThreadPoolExecutor(12) as clients:
            got = list(clients.map(lambda _: gateway.post("/p/backend/openai/v1/chat/completions", ASK)[0], range(12)))
        gateway.end()
    assert got.count(200) == answers.served == 3
    assert got.count(402) == 9
    assert counted(TOKENS.key, "backend-engineer") == sum(map(chat_tokens, range(1, 4)))


def test_reset_lets_calls_pass_again(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`budget --reset` reaches a running gateway; so does a budget that was raised in the file."""
    budget(monkeypatch, tmp_path, "day", 1000)
    with serving(Numbered()) as upstream:
        gateway = start(upstream.url)
        url = "/p/backend/openai/v1/chat/completions"
        assert [gateway.post(url, ASK)[0] for _ in range(2)] == [200, 402]
        assert main(["budget", "--persona", "backend-engineer", "--reset"]) == 0
        assert [gateway.post(url, ASK)[0] for _ in range(2)] == [200, 402]
        budget(monkeypatch, tmp_path, "day", 100_000)
        deadline = time.monotonic() + 20
        while (status := gateway.post(url, ASK)[0]) == 402 and time.monotonic() < deadline:
            pass
        assert status == 200


def test_whose_a_call_is(start: Start) -> None:
    """Path, header, binding: a session keeps its binding; without a name it is `unknown`; a wrong name is reported."""
    ledger = open_ledger()
    with ledger.writing():
        ledger.bind("claude-code", "s-1", Attribution("data-scientist"), 0.0)
    ledger.close()
    with serving(Numbered()) as upstream:
        gateway = start(upstream.url)
        gateway.post(CHAT)
        gateway.post("/p/tta-testing-specialist" + CHAT)
        gateway.post(CHAT, X_Hypertool_Persona="devops-engineer")
        gateway.post("/p/backend-engineer" + CHAT, **CLAUDE)
        status, body, _ = gateway.post("/p/plumber" + CHAT)
        gateway.end()
    assert (status, "unknown persona 'plumber'" in body.decode()) == (404, True)
    names = ("unknown", "testing-specialist", "devops-engineer", "data-scientist")
    assert [counted(TOKENS.key, name) for name in names] == [chat_tokens(n) for n in range(1, 5)]
    assert all("x-hypertool-persona" not in asked.headers for asked in upstream.asked)
    assert counted(AGENT_CALLS.key, "claude-code", "data-scientist", "gateway") == 1


class ToldBefore(Numbered):
    """While it answers call n, the agent's session file has told of it: the service is faster than the gateway."""

    def __init__(self, agent: str, keys: bool) -> None:
        super().__init__()
        self.agent, self.keys = agent, keys

    def __call__(self, asked: Asked, connection: Connection) -> None:
        n = self.served + 1
        key = f"chatcmpl-{n}" if self.keys else f"file-{n}"
        told = AgentCall(self.agent, "s-1", (key,), time.time(), "m", Tokens(chat_tokens(n) - 200 - n, output=200 + n))
        ledger = open_ledger()
        with ledger.writing():
            ledger.ingest(self.agent, Reading([told], [], None), "session_file", "", Attribution())
        ledger.close()
        super().__call__(asked, connection)


@pytest.mark.parametrize("window", ["run", "day"])
@pytest.mark.parametrize(
    ("agent", "headers"),
    [("opencode", {"User_Agent": "opencode/1.18"}), ("claude-code", {**CLAUDE, "X_Claude_Code_Agent_Id": "a-1"})],
)
def test_file_that_is_read_first_keeps_the_persona(
    agent: str, headers: dict[str, str], window: str, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that the service counts before the gateway is of the base URL's persona, so that its budget holds."""
    budget(monkeypatch, tmp_path, window, 1000)
    with serving(ToldBefore(agent, agent == "claude-code")) as upstream:
        gateway = start(upstream.url)
        asked = [gateway.post("/p/backend-engineer" + CHAT, ASK, **headers)[0] for _ in range(2)]
        gateway.end()
    assert asked == [200, 402]
    assert counted(TOKENS.key, "backend-engineer") == counted(TOKENS.key) == chat_tokens(1)
    assert counted(AGENT_CALLS.key, agent, "backend-engineer", "session_file") == 1


def test_claim_is_for_its_agent_and_its_time(start: Start) -> None:
    """What other agents do, or the same one long before or bound otherwise, does not become the base URL's persona."""
    ledger = open_ledger()
    with ledger.writing():
        ledger.bind("opencode", "bound", Attribution("data-scientist"), 0.0)
    with serving(Numbered()) as upstream:
        gateway = start(upstream.url)
        gateway.post("/p/backend-engineer" + CHAT, User_Agent="opencode/1.18")
        for n, (agent, session, age) in enumerate(
            [("cline", "s", 0), ("opencode", "old", 1000), ("opencode", "bound", 0), ("opencode", "new", 0)]
        ):
            with ledger.writing():
                told = AgentCall(agent, session, (f"k{n}",), time.time() - age, "m", Tokens(10**n))
                ledger.ingest(agent, Reading([told], [], None), "session_file", "", Attribution())
        gateway.end()
    ledger.close()
    assert counted(TOKENS.key, "unknown") == 11
    assert counted(TOKENS.key, "data-scientist") == 100
    assert counted(TOKENS.key, "backend-engineer") == 1000 + chat_tokens(1)


def test_switch_in_mid_session_divides(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session begins as its base URL says; after `tta-persona switch` in it, its calls are the new persona's."""
    with serving(Numbered()) as upstream:
        gateway = start(upstream.url)
        gateway.post("/p/backend-engineer" + CHAT, **CLAUDE)
        monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "s-1")
        # The binding is written when the first call has been counted.
        deadline = time.monotonic() + 20
        while not counted(AGENT_CALLS.key) and time.monotonic() < deadline:
            pass
        assert main(["switch", "testing-specialist"]) == 0
        gateway.post("/p/backend-engineer" + CHAT, **CLAUDE)
        gateway.end()
    assert counted(TOKENS.key, "backend-engineer") == chat_tokens(1)
    assert counted(TOKENS.key, "testing-specialist") == chat_tokens(2)


@contextlib.contextmanager
def within(monkeypatch: pytest.MonkeyPatch, slow_reader_seconds: float, upstream: str) -> Iterator[int]:
    """A gateway in this process, with another deadline for slow readers; gives its port."""
    monkeypatch.setattr(server, "SLOW_READER_SECONDS", slow_reader_seconds)
    monkeypatch.setenv("HYPERTOOL_GATEWAY_OPENAI", upstream)
    loop = asyncio.new_event_loop()
    runs = threading.Thread(target=loop.run_forever)
    runs.start()
    try:
        with ThreadPoolExecutor(1) as thread:
            gateway = server.Gateway(Address("127.0.0.1", 0), Books(), thread)
            asyncio.run_coroutine_threadsafe(gateway.start(), loop).result(30)
            yield gateway.address.port
            asyncio.run_coroutine_threadsafe(gateway.stop(5), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        runs.join(30)
        loop.close()


def test_client_that_reads_nothing_is_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It holds neither the provider's connection, nor memory, nor a budget for longer than the deadline."""
    budget(monkeypatch, tmp_path, "day", 1000)
    ended: list[int] = []

    def answer(asked: Asked, connection: Connection) -> None:
        connection.head()
        if b"quick" in asked.body:
            connection.chunk(b"".join(chat(1)))
            connection.end()
            return
        with contextlib.suppress(OSError):
            for _ in range(1 << 14):  # A gibibyte, which nobody reads.
                connection.chunk(bytes(1 << 16))
        ended.append(connection.written)

    def ask(port: int) -> tuple[int, bytes]:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(client):
            client.request("POST", "/p/backend-engineer" + CHAT, json.dumps({**ASK, "user": "quick"}))
            got = client.getresponse()
            return got.status, got.read()

    with serving(answer) as upstream, within(monkeypatch, 2.0, upstream.url) as port:
        with socket.create_connection(("127.0.0.1", port), 30) as silent:
            raw = json.dumps(ASK).encode()
            head = f"POST /p/backend-engineer{CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n\r\n"
            silent.sendall(head.encode() + raw)
            wait_until(lambda: upstream.asked, "the provider to be asked", 30)
            assert ask(port)[0] == 402, "the stream holds what is left of the budget"
            wait_until(lambda: ended, "the provider's connection to be closed", 30)
            assert ended[0] < 64 << 20
        wait_until(lambda: ask(port)[0] == 200, "the budget to be free again", 30)


# Once, whichever source is first


def gateway_call(agent: str, key: str, tokens: Tokens, at: float, session: str = "") -> Reading:
    return Reading([AgentCall(agent, session, (key,), at, "m", tokens)], [], None)


@pytest.mark.parametrize("first", ["gateway", "session file"])
@pytest.mark.parametrize(
    ("agent", "known"),
    [
        ("claude-code", True),
        ("codex", True),
        ("copilot-cli", True),
        ("copilot-cli", False),
        ("gemini-cli", True),
        ("gemini-cli", False),
        ("cline", False),
    ],
)
def test_gateway_and_session_file_count_once(agent: str, known: bool, first: str, tmp_path: Path) -> None:
    """Each call of a recorded session is counted once, by id or by its figures, also where the client is not known."""
    homes.install(tmp_path, agent)
    ledger = open_ledger()
    ledgers.take_in(ledger, agent, tmp_path)
    rows = ledger.connection.execute(
        "SELECT c.session, c.at, c.input, c.cache_read, c.cache_write, c.output, c.reasoning, min(k.key) "
        "FROM calls c JOIN keys k ON k.call = c.id GROUP BY c.id"
    ).fetchall()
    assert rows
    calls, tokens = counted(AGENT_CALLS.key), counted(AGENT_TOKENS.key)
    shared = agent in ("claude-code", "codex", "copilot-cli") and known

    def through_the_gateway() -> None:
        for session, at, *figures, key in rows:
            named = key if shared else "chatcmpl-" + key
            output = figures[3] + figures[4]  # the provider's answer tells no reasoning apart, or the file does not
            seen = Tokens(figures[0] + figures[1], 0, figures[2], output, 0)
            with ledger.writing():
                ledger.ingest(
                    agent if known else "other",
                    gateway_call(agent if known else "other", named, seen, at + 2, session),
                    "gateway",
                    "",
                    Attribution(),
                )

    if first == "gateway":
        for table in ("calls", "keys", "positions", "accounts"):
            ledger.connection.execute(f"DELETE FROM {table}")
        through_the_gateway()
        ledgers.take_in(ledger, agent, tmp_path)
        assert (counted(AGENT_CALLS.key), counted(AGENT_TOKENS.key)) == (2 * calls, 2 * tokens)
    else:
        through_the_gateway()
        assert (counted(AGENT_CALLS.key), counted(AGENT_TOKENS.key)) == (calls, tokens)
    through_the_gateway()
    ledgers.take_in(ledger, agent, tmp_path)
    assert ledger.connection.execute("SELECT count(*) FROM calls").fetchone() == (len(rows),)
    ledger.close()


def test_two_equal_calls_are_two(tmp_path: Path) -> None:
    """Two calls with the same figures pair with two calls of the other side, not both with one."""
    ledger = open_ledger()
    for at in (1000.0, 1010.0):
        with ledger.writing():
            ledger.ingest(
                "cline", gateway_call("other", f"g{at}", Tokens(10, output=2), at), "gateway", "", Attribution()
            )
    for at in (1001.0, 1011.0, 1012.0):
        with ledger.writing():
            told = gateway_call("cline", f"f{at}", Tokens(10, output=2), at, "s")
            ledger.ingest("cline", told, "session_file", "", Attribution())
    sources = [row[0] for row in ledger.connection.execute("SELECT source FROM calls ORDER BY at")]
    assert sources == ["gateway+session_file", "gateway+session_file", "session_file"]
    ledger.close()
