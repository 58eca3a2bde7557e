"""The environment that `hypertool run` gives an agent's command, and the count after its end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from ..domain.instruments import AGENTS
from ..runtime.settings import LISTEN, LISTEN_DEFAULT, TRACES_ENDPOINT
from ..runtime.tcp_sockets import listening_users
from ..sinks.otlp import handed_on
from .ledger import database
from .ledger.attribution import Attribution
from .ledger.ledger import Ledger
from .reading.read import read_file
from .reading.registry import reader

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
    made.setdefault("AIDER_ANALYTICS_LOG", str(database.directory() / "aider.jsonl"))
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


def take_in(command: str, started: float, whose: Attribution, environment: Mapping[str, str]) -> int:
    """Count what the command's agent has written since it `started`; sessions without a binding get this one.

    Returns the number of new calls. A command that is not a known agent may have started any of them.
    """
    name = os.path.basename(command)
    agents = (COMMANDS[name],) if name in COMMANDS else AGENTS
    ledger = Ledger()
    new = 0
    try:
        for agent in agents:
            for path in _changed(agent, started, environment):
                new += _take_in(ledger, agent, path, started, whose)
    finally:
        ledger.close()
    return new


def _changed(agent: str, started: float, environment: Mapping[str, str]) -> Iterator[str]:
    for path in reader(agent).locations(os.path.expanduser("~"), dict(environment)):
        try:
            if os.lstat(path).st_mtime >= started - 1:
                yield path
        except OSError:
            continue


def _take_in(ledger: Ledger, agent: str, path: str, started: float, whose: Attribution) -> int:
    new, more = 0, True
    while more:
        reading = read_file(reader(agent), path, ledger.position)
        more = reading.more
        if reading.position is None and not reading.unrecognised:
            return new
        with ledger.writing():
            for session in {call.session for call in reading.calls if call.at >= started - 1 and call.session}:
                if ledger.binding(agent, session, ledger.now()) is None:
                    ledger.bind(agent, session, whose, started)
            new += ledger.ingest(agent, reading, "session_file", "", whose)
    return new
