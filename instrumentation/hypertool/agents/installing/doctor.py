"""Checks each link between an agent and the numbers, changes nothing, and says how to repair a broken one."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping

from ...domain.instruments import AGENTS
from ...errors import HypertoolError
from ...runtime.light_typing import NamedTuple
from ...store.directory import locate
from ..behind_gateway import broken_base
from ..ledger import location
from ..ledger.ledger import Ledger
from ..reading.registry import reader
from . import files, jsonc, plans, serving, tools
from .install import installed
from .plans import Plan

PROGRAMS = {
    "claude-code": "claude",
    "codex": "codex",
    "gemini-cli": "gemini",
    "copilot-cli": "copilot",
    "cline": "cline",
    "auggie": "auggie",
    "opencode": "opencode",
    "qwen-code": "qwen",
    "aider": "aider",
}
# Known limits of an agent that its files do not show.
_NOTES = {
    "codex": "Codex runs hooks only when they are switched on and trusted: start codex, type /hooks, and accept them",
    "auggie": "Auggie runs hooks only where its server allows them; the service counts its sessions all the same",
    "opencode": "opencode has no hooks: the service counts its sessions, the gateway stops it at a budget",
    "aider": "Aider has no hooks and estimates while it streams: use --no-stream and --analytics-log",
}
LATE_SECONDS = 120.0
# How long the doctor waits for a server that it tries; what agents are told to wait is in `tools`.
_TRIAL_SECONDS = 20.0


class Finding(NamedTuple):
    """One link of the chain: whether it works, what was found, and how to repair it (empty if it works)."""

    agent: str
    link: str
    holds: bool
    seen: str
    remedy: str = ""


def present(agent: str, home: str, environment: Mapping[str, str]) -> bool:
    """Whether this user has the agent on this host: its program is on the PATH, or it has sessions."""
    if shutil.which(PROGRAMS[agent], path=environment.get("PATH")) is not None:
        return True
    return next(iter(reader(agent).locations(home, dict(environment))), None) is not None


def examine(
    names: list[str], home: str, project: str, environment: Mapping[str, str], listen: tuple[str, int]
) -> Iterator[Finding]:
    """Every link of those agents, and those that all agents share (agent `all`)."""
    yield from _shared(listen)
    for agent in names:
        yield from _agent(agent, home, project, environment)


def _shared(listen: tuple[str, int]) -> Iterator[Finding]:
    directory = locate()
    if directory.note is None:
        yield Finding("all", "store", True, str(directory.path))
    else:
        yield Finding("all", "store", False, str(directory.path), directory.note)
    try:
        Ledger().close()
        yield Finding("all", "ledger", True, str(location.directory() / "ledger.db"))
    except HypertoolError as error:
        yield Finding("all", "ledger", False, str(location.directory()), str(error))
    try:
        socket.create_connection(listen, timeout=0.5).close()
        yield Finding("all", "endpoint", True, f"{listen[0]}:{listen[1]} answers")
    except OSError as error:
        yield Finding(
            "all",
            "endpoint",
            False,
            f"{listen[0]}:{listen[1]}: {error.strerror or error}",
            "start the service: `systemctl start hypertool-exporter`, or `hypertool exporter` by hand",
        )


def _agent(agent: str, home: str, project: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    program = shutil.which(PROGRAMS[agent], path=environment.get("PATH"))
    yield Finding(agent, "program", program is not None, program or f"no `{PROGRAMS[agent]}` on the PATH",
                  "" if program else "install the agent, or add its folder to the PATH")  # fmt: skip
    if agent in plans.HOOKED:
        yield from _hooks(agent, home, project, environment)
    else:
        yield Finding(agent, "hooks", True, _NOTES[agent])
    yield from _tools(agent, home, project, environment)
    found = broken_base(agent, environment)
    if found is not None:
        variable, wrong, remedy = found
        yield Finding(agent, "gateway", not wrong, f"{variable}: {wrong or 'its calls go through the gateway'}", remedy)
    yield _sessions(agent, home, environment)


def _hooks(agent: str, home: str, project: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    found: dict[str, str] = {}
    for scope in plans.SCOPES:
        plan = plans.plan(agent, scope, home, project, environment)
        try:
            here = installed(plan)
        except HypertoolError as error:
            yield Finding(agent, f"hooks ({scope})", False, plan.path, f"mend the file: {error}")
            continue
        found = {**here, **found}
        if here and set(here) != set(plan.events):
            missing = ", ".join(event for event in plan.events if event not in here)
            yield Finding(agent, f"hooks ({scope})", False, f"{plan.path} lacks {missing}", _install(agent, scope))
        if here:
            yield from _switched_off(plan)
    if not found:
        yield Finding(agent, "hooks", False, "not installed", _install(agent, "user"))
        return
    for command in sorted({_program_of(command) for command in found.values()}):
        runs = os.access(command, os.X_OK)
        yield Finding(agent, "hook program", runs, command, "" if runs else _install(agent, "user"))
    yield Finding(agent, "hooks", True, _NOTES.get(agent, f"{len(found)} events"))


def _tools(agent: str, home: str, project: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the MCP server in the agent's settings starts; nothing where none is installed."""
    for scope in plans.SCOPES:
        place = tools.place(agent, scope, home, project, environment)
        try:
            command = serving.installed(place) if place is not None else []
            chosen = serving.chosen_by_repository(place) if place is not None else []
        except HypertoolError as error:
            yield Finding(agent, f"tools ({scope})", False, place.path if place else "", f"mend the file: {error}")
            continue
        if command and scope == "project" and not _own_program(command[0], environment.get("PATH")):
            # Anybody may have written this file: agents ask before they run what a repository names, and so do we.
            note = "another program than this hypertool, which a repository may name; it is not started here"
            remedy = f"{note}: look at {command[0]}, or run `hypertool agents install {agent} --mcp --scope project`"
            yield Finding(agent, f"tools ({scope})", False, " ".join(command), remedy)
        elif command and chosen:
            seen = f"{place.path if place else ''} sets {', '.join(chosen)} of our server"
            yield Finding(agent, f"tools ({scope})", False, seen, "a repository may not choose that: take it out")
        elif command:
            wrong = _not_served(command, environment.get("PATH"))
            remedy = f"{wrong}; or take the tools out: `hypertool agents uninstall {agent} --mcp`" if wrong else ""
            yield Finding(agent, f"tools ({scope})", not wrong, " ".join(command), remedy)


def _program_of(command: str) -> str:
    """The first word of a command line; all of it where its quotes are open."""
    try:
        return next(iter(shlex.split(command)), command)
    except ValueError:
        return command


def _own_program(command: str, path: str | None) -> bool:
    """Whether that command is the program that is running now, by whichever name."""
    program = shutil.which(command, path=path)
    own = os.path.join(os.path.dirname(sys.executable), "hypertool")
    return program is None or os.path.realpath(program) in (os.path.realpath(sys.argv[0]), os.path.realpath(own))


def _not_served(command: list[str], path: str | None) -> str:
    """Why that MCP server does not start and end with its input; empty if it does. Takes about a second."""
    import subprocess

    program = shutil.which(command[0], path=path)
    if program is None:
        return f"{command[0]} is not there: `hypertool agents install --mcp` writes where it is now"
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it does not start: {error}"
    said = " ".join(done.stderr.split())
    return f"it ends with {done.returncode}: {said:.300}" if done.returncode else ""


def _switched_off(plan: Plan) -> Iterator[Finding]:
    """A setting in the same file that stops the agent from running any hooks."""
    if plan.shape != "settings":
        return
    document = jsonc.parse((files.read(plan.path) or b"{}").decode("utf-8", "replace")).plain()
    configured = document.get("hooksConfig") if isinstance(document, dict) else None
    off = isinstance(document, dict) and document.get("disableAllHooks") is True
    if isinstance(configured, dict) and configured.get("enabled") is False:
        off = True
    if off:
        yield Finding(
            plan.agent, "hooks switched on", False, plan.path, "remove `disableAllHooks` or `hooksConfig.enabled` there"
        )


def _install(agent: str, scope: str) -> str:
    return f"`hypertool agents install {agent}" + (" --scope project`" if scope == "project" else "`")


def _sessions(agent: str, home: str, environment: Mapping[str, str]) -> Finding:
    """Whether the agent's latest calls have arrived in the ledger."""
    newest = 0.0
    for path in reader(agent).locations(home, dict(environment)):
        try:
            newest = max(newest, os.lstat(path).st_mtime)
        except OSError:
            continue
    seen = last_seen().get(agent, 0.0)
    if not newest:
        return Finding(agent, "sessions", True, "no sessions yet")
    if seen >= newest - LATE_SECONDS:
        return Finding(agent, "sessions", True, f"counted {_ago(seen)}")
    return Finding(
        agent,
        "sessions",
        False,
        f"written {_ago(newest)}, counted {_ago(seen) if seen else 'never'}",
        f"{_install(agent, 'user')}, or run the service as this user; `hypertool usage --read` counts them now",
    )


def last_seen() -> dict[str, float]:
    """The last time each agent's files were read or it sent an event, in seconds since the epoch."""
    if not location.exists():
        return {}
    try:
        ledger = Ledger()
    except HypertoolError:
        return {}
    try:
        rows = ledger.connection.execute("SELECT agent, max(at) FROM heard GROUP BY agent").fetchall()
        return {str(agent): float(at) for agent, at in rows if agent in AGENTS}
    finally:
        ledger.close()


def _ago(at: float) -> str:
    seconds = max(0, int(time.time() - at))
    for length, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            count = seconds // length
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"
