"""`hypertool workflow export`: prompt and persona files for coding agents."""

from __future__ import annotations

import argparse
import os

from ..domain.instruments import AGENTS
from ..domain.personas import load_catalogue
from ..errors import HypertoolError
from ..prompts import mcp_settings
from ..prompts.export import Result, export
from ..prompts.source import prompts
from ..prompts.targets import File, files_for, places
from ..runtime.workspace import find_workspace
from .output import UsageProblem, complain, print_json, print_table, say

_DONE = {"new": "written", "changed": "written again", "same": "up to date", "removed": "removed"}
_STALE = {
    "stale": "of no workflow or persona any more (--prune removes it)",
    "stale_edited": "of no workflow or persona any more, and edited (remove it yourself)",
}
_CHECKED = {"new": "missing", "changed": "differs", "same": "up to date"}


def export_files(arguments: argparse.Namespace) -> int:
    """Write, compare or list the files; exit code 1 where one is refused, or differs with --check."""
    agents = _agents(arguments)
    catalogue = load_catalogue()
    files = files_for(agents, prompts(catalogue), list(catalogue.personas.values()))
    if arguments.list:
        return _list(files, arguments.json)
    into = arguments.into or str(find_workspace())
    results = export(files, into, arguments.force, arguments.check, places(agents), arguments.prune)
    refused = any(result.reason for result in results)
    servers = _servers(agents, into, arguments.check) if arguments.mcp and not refused else []
    refused = refused or any(result.state == "refused" for result in servers)
    states = {one.state for one in results} | {one.state for one in servers}
    different = arguments.check and states != {"same"}
    if arguments.json:
        print_json(
            {
                "into": os.path.realpath(into),
                "files": [_file(one) for one in results] + [one._asdict() for one in servers],
            }
        )
    else:
        _print(results, servers, arguments.check, into)
    return 1 if refused or different else 0


def _agents(arguments: argparse.Namespace) -> list[str] | None:
    if arguments.all == bool(arguments.agent):
        if arguments.list and not arguments.agent:
            return None
        raise UsageProblem("name agents with --agent NAME, or take --all; see `hypertool workflow export --help`")
    for name in arguments.agent or ():
        if name not in AGENTS:
            raise UsageProblem(f"unknown agent {name!r:.60}, expected one of {', '.join(AGENTS)}")
    return arguments.agent or None


def _list(files: list[File], json: bool) -> int:
    if json:
        print_json({"files": [{"path": f.path, "readers": list(f.readers), "start": f.start} for f in files]})
        return 0
    print_table(("file", "read by", "start"), [(f.path, ", ".join(f.readers) or "no agent", f.start) for f in files])
    return 0


def _servers(agents: list[str] | None, into: str, check: bool) -> list[mcp_settings.Result]:
    found: dict[str, mcp_settings.Result] = {}
    for agent in agents or mcp_settings.SETTINGS:
        try:
            result = mcp_settings.write(agent, into, check)
        except HypertoolError as error:
            path = mcp_settings.SETTINGS[agent]
            complain("hypertool workflow export", str(error))
            result = mcp_settings.Result(path, "refused")
        if result is not None:
            found.setdefault(result.path, result)
    return list(found.values())


def _file(result: Result) -> dict[str, object]:
    return {
        "path": result.file.path,
        "state": result.state,
        "readers": list(result.file.readers),
        "reason": result.reason,
    }


def _print(results: list[Result], servers: list[mcp_settings.Result], check: bool, into: str) -> None:
    said = _CHECKED if check else _DONE
    refused = [result for result in results if result.reason]
    for result in refused:
        complain("hypertool workflow export", result.reason)
    if refused and not check:
        complain("hypertool workflow export", f"nothing was written into {into}")
        return
    for result in results:
        if result.state in ("new", "changed", "removed"):
            say(f"{said[result.state]}  {result.file.path}")
        elif result.state in _STALE:
            say(f"{_STALE[result.state]}  {result.file.path}")
    for server in servers:
        if server.state in ("new", "changed"):
            kept = f" (before: {server.backup})" if server.backup else ""
            say(f"{said[server.state]}  {server.path}{kept}")
    wanted = [one.state for one in results if one.state not in _STALE and one.state != "removed"]
    wanted += [one.state for one in servers]
    same = wanted.count("same")
    say(f"{same} of {len(wanted)} files up to date" if check or same else f"all in {into}")
