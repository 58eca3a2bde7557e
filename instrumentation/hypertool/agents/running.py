"""The environment that `hypertool run` gives an agent's command, and the count while it runs and after its end."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from ..domain.instruments import AGENTS
from ..runtime.settings import LISTEN, LISTEN_DEFAULT, TRACES_ENDPOINT
from ..runtime.tcp_sockets import listening_users
from ..sinks.otlp import handed_on
from . import runs
from .changes import Changed, changed
from .holding import Held
from .ledger import location
from .ledger.attribution import Attribution
from .ledger.ledger import Ledger
from .origins import SLACK_SECONDS, is_of, origin
from .reading.read import read_file
from .reading.registry import reader

EVERY_SECONDS = 2.0
HOLD_SECONDS = 0.5
"""How often it counts where a budget can end the command."""
COLLECTOR = ("127.0.0.1", 4318)
# The accounts of the collector's package and of the service; root and one's own user are trusted too.
SERVICE_ACCOUNTS = ("alloy", "hypertool")
# The commands that start each agent.
COMMANDS = {
    "claude": "claude-code",
    "codex": "codex",
    "gemini": "gemini-cli",
    "copilot": "copilot-cli",
    "cline": "cline",
    "auggie": "auggie",
    "opencode": "opencode",
    "qwen": "qwen-code",
    "aider": "aider",
}
AIDER_LOG = "AIDER_ANALYTICS_LOG"
KEEP_AIDER_SECONDS = 7 * 86400.0
_TELEMETRY = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_LOGS_EXPORTER": "otlp",
    "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
}


def environment_for(given: Mapping[str, str], whose: Attribution) -> dict[str, str]:
    """The environment of the command: binding, trace context, and telemetry if this host has a receiver.

    Where spans go is said a second time by TRACES_ENDPOINT: agents keep OTEL_* from what they start.

    Variables set by the user stay unchanged.
    """
    made = dict(given)
    for name, value in zip(("HYPERTOOL_PERSONA", "HYPERTOOL_CHATMODE", "HYPERTOOL_WORKFLOW"), whose, strict=True):
        if value and value != "unknown":
            made[name] = value
    made.setdefault("TRACEPARENT", f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01")
    if AIDER_LOG not in made:
        made[AIDER_LOG] = _aider_log()
    where = None if any(name.startswith("OTEL_EXPORTER_") for name in given) else _receiver()
    if where is not None:
        for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": where, **_TELEMETRY}.items():
            made.setdefault(name, value)
        if whose.persona != "unknown":
            attribute = f"hypertool.persona={whose.persona}"
            before = given.get("OTEL_RESOURCE_ATTRIBUTES")
            made["OTEL_RESOURCE_ATTRIBUTES"] = f"{before},{attribute}" if before else attribute
    spans_to = handed_on(made)
    if spans_to is not None:
        made.setdefault(TRACES_ENDPOINT.name, spans_to)
    return made


def _aider_log() -> str:
    """A log of this run's own: what Aider writes does not say which run it is of."""
    folder = location.directory() / "aider"
    with contextlib.suppress(OSError):  # Aider does not make the folder, and then writes nothing.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in folder.glob("*.jsonl"):
            if time.time() - old.lstat().st_mtime > KEEP_AIDER_SECONDS:
                old.unlink()
    return str(folder / f"{time.time_ns()}-{os.getpid()}.jsonl")


def _receiver() -> str | None:
    """The telemetry receiver of this host: the collector, else our own service, else None.

    Any user may listen on these ports while they are free: only one that belongs to this host's services, or to the
    user, gets an agent's telemetry.
    """
    host, _, port = (LISTEN.read() or LISTEN_DEFAULT).rpartition(":")
    for address in (COLLECTOR, (host.strip("[]"), port)):
        try:
            users = listening_users(address[0], int(address[1]))
        except ValueError:
            continue
        if users and users <= _trusted_users():
            return f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}"
    return None


def _trusted_users() -> set[int]:
    from pwd import getpwnam

    trusted = {0, os.geteuid()}
    for name in SERVICE_ACCOUNTS:
        with contextlib.suppress(KeyError):
            trusted.add(getpwnam(name).pw_uid)
    return trusted


@contextlib.contextmanager
def counting(
    command: Sequence[str], started: float, whose: Attribution, environment: Mapping[str, str], hold: bool = True
) -> Iterator[Held]:
    """Count what the command's agent uses while the block runs, so that a kill of this process loses little.

    With `hold`, a budget that blocks ends the command that the block has begun, if its agent is one that no hook stops
    within a turn. Errors are left to the `take_in` after the end.
    """
    ended = threading.Event()
    held = Held(_agent(command[0]), command, started, whose)

    def count() -> None:
        seen: list[Changed] | None = None
        holds = None if hold and held.possible else False
        while not ended.wait(EVERY_SECONDS if holds is False else HOLD_SECONDS):
            with contextlib.suppress(Exception):
                if holds is None:  # asked again where the ledger could not be opened
                    holds = _with_ledger(held.wanted)
                stamps = list(_changed(_agents(command[0]), started, environment))
                if stamps != seen:
                    if stamps:
                        take_in(command, started, whose, environment)
                    seen = stamps
                    if holds:
                        _with_ledger(partial(held.check, files=[file.path for file in stamps]))

    _noting(lambda ledger: runs.note(ledger, _agent(command[0]), command, started, os.getcwd(), whose))
    thread = threading.Thread(target=count, name="hypertool-run", daemon=True)
    thread.start()
    try:
        yield held
    finally:
        ended.set()
        thread.join()
        held.close()
        _noting(runs.forget)


def _noting(change: Callable[[Ledger], None]) -> None:
    def noted(ledger: Ledger) -> bool:
        with ledger.writing():
            change(ledger)
        return True

    with contextlib.suppress(Exception):  # as with the count
        _with_ledger(noted)


def _with_ledger(use: Callable[[Ledger], bool]) -> bool:
    ledger = Ledger()
    try:
        return use(ledger)
    finally:
        ledger.close()


def take_in(
    command: Sequence[str], started: float, whose: Attribution, environment: Mapping[str, str], bound: bool = False
) -> int:
    """Count what the command's agent has written since it `started`; its sessions without a binding get this one.

    Its sessions are those that began since then in this process's directory (`origins.is_of`).

    Returns the number of new calls. A command that is not a known agent may have started any of them. With `bound`,
    only sessions count that are bound to the workflow already: for an agent that ended unseen, others may have begun.
    """
    ledger = Ledger()
    new = 0
    try:
        for file in _changed(_agents(command[0]), started, environment):
            new += _take_in(ledger, file, command, started, whose, bound)
    finally:
        ledger.close()
    return new


def _agents(command: str) -> Sequence[str]:
    agent = _agent(command)
    return (agent,) if agent else AGENTS


def _agent(command: str) -> str:
    return COMMANDS.get(os.path.basename(command), "")


def _changed(agents: Sequence[str], started: float, environment: Mapping[str, str]) -> Iterator[Changed]:
    return changed(os.path.expanduser("~"), environment, started - SLACK_SECONDS, {}, agents)


def _take_in(
    ledger: Ledger, file: Changed, command: Sequence[str], started: float, whose: Attribution, bound: bool
) -> int:
    new, more = 0, True
    while more:
        reading = read_file(reader(file.agent), file.path, ledger.position)
        more = reading.more
        if reading.position is None and not reading.unrecognised:
            return new
        with ledger.writing():
            for session in {
                call.session for call in reading.calls if call.at >= started - SLACK_SECONDS and call.session
            }:
                known = ledger.binding(file.agent, session, ledger.now())
                if bound and (known is None or known.workflow != whose.workflow):
                    return new
                found = origin(file.agent, file.path, session) if known is None else None
                if found is not None and is_of(command, started, os.getcwd(), found, file.agent):
                    ledger.bind(file.agent, session, whose, started - SLACK_SECONDS)
            runs.bind(ledger, file.agent, file.path, reading)
            new += ledger.ingest(file.agent, reading, "session_file", "", Attribution())
    return new
