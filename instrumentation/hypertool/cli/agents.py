"""`hypertool agents`: which coding agents are here, whether their hooks are installed, and what arrives from them."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from ..agents.installing import plans
from ..agents.installing.doctor import Finding, examine, last_seen, present
from ..agents.installing.install import Result, install, installed, uninstall
from ..domain.instruments import AGENTS
from ..errors import HypertoolError
from ..runtime.settings import LISTEN, LISTEN_DEFAULT
from ..runtime.workspace import find_workspace
from ..service.addresses import parse_address
from .output import UsageProblem, complain, print_json, print_table


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
    return os.path.expanduser("~")


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
        scopes = []
        for scope in plans.SCOPES if agent in plans.HOOKED else ():
            try:
                if installed(plans.plan(agent, scope, _home(), _project(), os.environ)):
                    scopes.append(scope)
            except HypertoolError:
                scopes.append(f"{scope}: unreadable")
        rows.append((agent, present(agent, _home(), os.environ), agent in plans.HOOKED, scopes, seen.get(agent)))
    if json:
        print_json(
            {
                "agents": [
                    {"agent": agent, "present": here, "hooks_possible": possible, "hooks": scopes, "last_seen": at}
                    for agent, here, possible, scopes, at in rows
                ]
            }
        )
        return 0
    print_table(
        ("agent", "here", "hooks", "last heard of"),
        [
            (
                agent,
                "yes" if here else "no",
                ", ".join(scopes) or ("none" if possible else "unsupported (the service reads its sessions)"),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if at else "never",
            )
            for agent, here, possible, scopes, at in rows
        ],
    )
    return 0


def _doctor(names: list[str], json: bool) -> int:
    chosen = names or [agent for agent in AGENTS if present(agent, _home(), os.environ)]
    address = parse_address(LISTEN.read() or LISTEN_DEFAULT, LISTEN.name)
    findings = list(examine(chosen, _home(), _project(), os.environ, (address.host, address.port)))
    broken = [finding for finding in findings if not finding.holds]
    if json:
        print_json({"healthy": not broken, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            print(_line(finding))
        if not chosen:
            print("no coding agent found for this user")
    return 1 if broken else 0


def _line(finding: Finding) -> str:
    mark = "ok  " if finding.holds else "FAIL"
    return f"{mark}  {finding.agent}: {finding.link}: {finding.seen}" + (
        f"\n      -> {finding.remedy}" if finding.remedy else ""
    )


def _change(action: str, names: list[str], arguments: argparse.Namespace) -> int:
    scope, check = str(arguments.scope), bool(arguments.check)
    chosen = names or [agent for agent in plans.HOOKED if action == "uninstall" or present(agent, _home(), os.environ)]
    results, problems = [], []
    for agent in chosen:
        if agent not in plans.HOOKED:
            results.append(Result(agent, "", False, "has no hooks: the service reads its sessions"))
            continue
        plan = plans.plan(agent, scope, _home(), _project(), os.environ)
        try:
            results.append(install(plan, program(), check) if action == "install" else uninstall(plan, check))
        except HypertoolError as error:
            problems.append((agent, str(error)))
    if arguments.json:
        print_json(
            {
                "scope": scope,
                "check": check,
                "changed": any(result.changed for result in results),
                "results": [result._asdict() for result in results],
                "problems": [{"agent": agent, "problem": problem} for agent, problem in problems],
            }
        )
    else:
        for result in results:
            print(f"{result.agent}: {result.what}" + (f" ({result.path})" if result.path else ""))
        if not chosen:
            print("no coding agent found for this user; name one to install its hooks anyway")
        for agent, problem in problems:
            complain(f"hypertool agents: {agent}", problem)
    return 1 if problems else 0
