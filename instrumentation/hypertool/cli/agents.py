"""`hypertool agents`: which coding agents are here, whether their hooks are installed, and what arrives from them."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..agents.installing import plans, serving, tools
from ..agents.installing.applying import Result
from ..agents.installing.doctor import Finding, examine, last_seen, present
from ..agents.installing.install import install, installed, uninstall
from ..domain.instruments import AGENTS
from ..errors import HypertoolError
from ..runtime.home import own_home
from ..runtime.settings import LISTEN, LISTEN_DEFAULT
from ..runtime.workspace import find_workspace
from ..service.addresses import parse_address
from .output import UsageProblem, complain, print_json, print_table, say, visible


def agents(arguments: argparse.Namespace) -> int:
    """List agents; install, uninstall or examine their hooks."""
    words = list(arguments.words)
    action = words.pop(0) if words and words[0] in ("install", "uninstall", "doctor") else "list"
    for name in words:
        if name not in AGENTS:
            raise UsageProblem(f"unknown agent {name!r:.60}, expected one of {', '.join(AGENTS)}")
    if action == "list":
        return _list(words or list(AGENTS), arguments.json)
    if action == "doctor":
        return _doctor(words, arguments.json)
    return _change(action, words, arguments)


def _home() -> str:
    return own_home()


def _project() -> str:
    return str(find_workspace())


def program() -> str:
    """The absolute path of the running command, for hooks to call."""
    here = Path(sys.argv[0])
    if here.name == "hypertool" and here.exists():
        return str(here.absolute())
    found = Path(sys.executable).with_name("hypertool")
    return str(found) if found.exists() else shutil.which("hypertool") or "hypertool"


def _list(names: list[str], json: bool) -> int:
    seen = last_seen()
    rows = []
    for agent in names:
        hooks, served = [], []
        for scope in plans.SCOPES:
            hooks += _scope(_hooks, agent, scope)
            served += _scope(_served, agent, scope)
        here, possible = present(agent, _home(), os.environ), agent in plans.HOOKED
        rows.append((agent, here, possible, hooks, served, seen.get(agent)))
    if json:
        keys = ("agent", "present", "hooks_possible", "hooks", "tools", "last_seen")
        print_json({"agents": [dict(zip(keys, row, strict=True)) for row in rows]})
        return 0
    print_table(
        ("agent", "here", "hooks", "tools", "last heard of"),
        [
            (
                agent,
                "yes" if here else "no",
                ", ".join(hooks) or ("none" if possible else "unsupported (the service reads its sessions)"),
                ", ".join(served) or "none",
                time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if at else "never",
            )
            for agent, here, possible, hooks, served, at in rows
        ],
    )
    return 0


def _scope(look: Callable[[str, str], object], agent: str, scope: str) -> list[str]:
    try:
        return [scope] if look(agent, scope) else []
    except HypertoolError:
        return [f"{scope}: unreadable"]


def _hooks(agent: str, scope: str) -> object:
    return agent in plans.HOOKED and installed(plans.plan(agent, scope, _home(), _project(), os.environ))


def _served(agent: str, scope: str) -> object:
    place = tools.place(agent, scope, _home(), _project(), os.environ)
    return place is not None and serving.installed(place)


def _doctor(names: list[str], json: bool) -> int:
    chosen = names or [agent for agent in AGENTS if present(agent, _home(), os.environ)]
    address = parse_address(LISTEN.read() or LISTEN_DEFAULT, LISTEN.name)
    findings = list(examine(chosen, _home(), _project(), os.environ, (address.host, address.port)))
    broken = [finding for finding in findings if not finding.holds]
    if json:
        print_json({"healthy": not broken, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            say(_line(finding))
        if not chosen:
            say("no coding agent found for this user")
    return 1 if broken else 0


def _line(finding: Finding) -> str:
    mark = "ok  " if finding.holds else "FAIL"
    return f"{mark}  {finding.agent}: {finding.link}: {visible(finding.seen)}" + (
        f"\n      -> {visible(finding.remedy)}" if finding.remedy else ""
    )


def _change(action: str, names: list[str], arguments: argparse.Namespace) -> int:
    check = bool(arguments.check)
    possible = AGENTS if arguments.mcp else plans.HOOKED
    chosen = names or [agent for agent in possible if action == "uninstall" or present(agent, _home(), os.environ)]
    results: list[Result] = []
    problems = []
    for agent in chosen:
        for step in _steps(action, agent, arguments):
            try:
                results.append(step())
            except HypertoolError as error:
                problems.append((agent, str(error)))
    if arguments.json:
        print_json(
            {
                "scope": arguments.scope,
                "check": check,
                "changed": any(result.changed for result in results),
                "results": [result._asdict() for result in results],
                "problems": [{"agent": agent, "problem": problem} for agent, problem in problems],
            }
        )
    else:
        for result in results:
            what = f"tools {result.what}" if result.part == "tools" else result.what
            say(f"{result.agent}: {what}" + (f" ({result.path})" if result.path else ""))
        if not chosen:
            say("no coding agent found for this user; name one to install its hooks anyway")
        for agent, problem in problems:
            complain(f"hypertool agents: {agent}", problem)
    return 1 if problems else 0


def _steps(action: str, agent: str, arguments: argparse.Namespace) -> Iterator[Callable[[], Result]]:
    """Install hooks, and with `--mcp` the tools; uninstall both where they are, with `--mcp` the tools alone."""
    scope, check = str(arguments.scope), bool(arguments.check)
    place = tools.place(agent, scope, _home(), _project(), os.environ)
    if action == "install":
        yield lambda: _install_hooks(agent, scope, check)
        if arguments.mcp:
            yield (
                lambda: (
                    serving.install(place, program(), check)
                    if place is not None
                    else Result(agent, "", False, f"have no settings in that scope ({scope})", "tools")
                )
            )
        return
    # In the reverse order, so that the folders that the hooks were first to need are empty by then.
    if place is not None and (arguments.mcp or _scope(_served, agent, scope)):
        yield lambda: serving.uninstall(place, check)
    if not arguments.mcp:
        yield lambda: _uninstall_hooks(agent, scope, check)
        yield from _left_behind(agent, scope, check)


def _left_behind(agent: str, scope: str, check: bool) -> Iterator[Callable[[], Result]]:
    """Uninstall the user's hooks also where they are from a time before a variable moved the agent's folder."""
    if agent in plans.HOOKED and scope == "user":
        usual = plans.plan(agent, scope, _home(), _project(), {})
        now = plans.plan(agent, scope, _home(), _project(), os.environ)
        with contextlib.suppress(HypertoolError):
            if usual.path != now.path and installed(usual):
                yield lambda: uninstall(usual, check)


def _install_hooks(agent: str, scope: str, check: bool) -> Result:
    if agent not in plans.HOOKED:
        return Result(agent, "", False, "has no hooks: the service reads its sessions")
    return install(plans.plan(agent, scope, _home(), _project(), os.environ), program(), check)


def _uninstall_hooks(agent: str, scope: str, check: bool) -> Result:
    if agent not in plans.HOOKED:
        return Result(agent, "", False, "has no hooks: the service reads its sessions")
    return uninstall(plans.plan(agent, scope, _home(), _project(), os.environ), check)
