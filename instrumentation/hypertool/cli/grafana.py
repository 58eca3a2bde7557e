"""`hypertool grafana`: dashboards and rules into Grafana, Grafana Cloud and Mimir."""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
from pathlib import Path

from ..errors import ConfigError
from ..grafana import rulers, sources
from ..grafana.client import Client, Credential
from ..grafana.problems import PushProblem
from ..grafana.push import Choice, Push, Report, Wanted
from ..grafana.steps import Step
from ..runtime.light_typing import Any
from ..runtime.settings import GRAFANA_TOKEN, GRAFANA_URL, RULER_TENANT, RULER_TOKEN, RULER_URL, RULER_USER, Setting
from .output import UsageProblem, complain, print_json, say

_KEPT, _DIFFERENT = 5, 6
_TOKEN_BYTES = 1 << 16
_PROGRAM = "hypertool grafana"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
#: What Mimir takes; `|` would name several tenants, and rules are written to one.
_TENANT = re.compile(r"[A-Za-z0-9!_.*'()-]{1,150}")
_DONE = {"create": "created", "update": "updated", "delete": "deleted"}


def run(arguments: argparse.Namespace) -> int:
    """Push, compare or prune; the exit codes are in the help of the command."""
    push = None
    choice = Choice(
        write=arguments.action != "diff",
        put=arguments.action != "prune",
        prune=arguments.prune or arguments.action == "prune",
        force=arguments.force,
        prove_seconds=float(arguments.prove),
    )
    try:
        push = _push(arguments, choice)
        report = push.run()
    except PushProblem as error:
        _show(arguments, choice, push.report if push else None, str(error))
        return error.code
    _show(arguments, choice, report, None)
    if not choice.write and report.pending(choice):
        return _DIFFERENT
    return _KEPT if report.kept() else 0


def _push(arguments: argparse.Namespace, choice: Choice) -> Push:
    """Read the files and say hello to the server. Raises UsageProblem, ConfigError, PushProblem."""
    for option, value in (("--folder", arguments.folder), ("--namespace", arguments.namespace)):
        if value is not None and not _NAME.fullmatch(value):
            raise UsageProblem(f"{option} {value!r:.60}: expected 1 to 40 letters, digits, - and _")
    url = _needed("--url", arguments.url, GRAFANA_URL)
    where = arguments.rules or ("ruler" if arguments.ruler_url or RULER_URL.read() else "none")
    token = _token("--token-file", arguments.token_file, GRAFANA_TOKEN)
    client = _client(arguments, url, Credential(token))
    folder = Path(arguments.__dict__["from"]) if arguments.__dict__["from"] else None
    wanted = Wanted(sources.dashboards(folder), folder=arguments.folder)
    ruler, needs = _ruler(arguments, where, client)
    if ruler is not None:
        wanted.groups = sources.groups(sources.Links(url, arguments.runbook_url or ""), folder)
    return Push(client, wanted, choice, ruler, needs)


def _client(arguments: argparse.Namespace, url: str, credential: Credential) -> Client:
    return Client(url, credential, ca_file=arguments.ca_file, plain_http=arguments.plain_http)


def _ruler(
    arguments: argparse.Namespace, where: str, client: Client
) -> tuple[rulers.Ruler | None, tuple[tuple[str, str], ...]]:
    """The ruler, and the permissions that its use takes in Grafana."""
    namespace = arguments.namespace or ("hypertool-alerts" if where == "grafana" else "hypertool")
    if where == "none":
        return None, ()
    if where == "ruler":
        url = _needed("--ruler-url", arguments.ruler_url, RULER_URL)
        user = arguments.ruler_user or RULER_USER.read()
        token = _token("--ruler-token-file", arguments.ruler_token_file, RULER_TOKEN, needed=False)
        # Without a token the user is the tenant of a Mimir that has no gateway in front of it.
        tenant = arguments.ruler_tenant or RULER_TENANT.read() or ("" if token else user)
        if tenant and not _TENANT.fullmatch(tenant):
            raise UsageProblem(f"the tenant {tenant!r:.60}: expected 1 to 150 letters, digits and any of !-_.*'()")
        headers = {"X-Scope-OrgID": tenant} if tenant else {}
        direct = Client(
            url,
            Credential(token, user if token else ""),
            headers=headers,
            ca_file=arguments.ca_file,
            plain_http=arguments.plain_http,
        )
        return rulers.Ruler(direct, rulers.mimir(), namespace), ()
    uid = arguments.data_source
    if not uid:
        raise UsageProblem(f"--rules {where} needs --data-source UID: the Prometheus data source that has the metrics")
    if where == "grafana":
        needs = (*((action, "") for action in _MANAGED), ("datasources:query", f"datasources:uid:{uid}"))
        return rulers.Ruler(client, rulers.grafana_managed(uid), namespace), needs
    external = tuple((f"alert.rules.external:{verb}", f"datasources:uid:{uid}") for verb in ("read", "write"))
    return rulers.Ruler(client, rulers.data_source(uid), namespace), external


_MANAGED = (
    *("alert.rules:read", "alert.rules:create", "alert.rules:write", "alert.rules:delete"),
    "alert.provisioning.provenance:write",
)


def _needed(option: str, given: str | None, setting: Setting) -> str:
    value = given or setting.read()
    if not value:
        raise UsageProblem(f"no address: give {option}, or set {setting.name}")
    return value


def _token(option: str, path: str | None, setting: Setting, needed: bool = True) -> str:
    """The token from the file or the setting. Raises UsageProblem if there is none, ConfigError for the file."""
    if path is None:
        value = setting.read()
    else:
        try:
            value = _read(path)
        except OSError as error:
            raise ConfigError(f"{option} {path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{option} {path}: not text; expected one line with the token") from None
        if not value:
            raise ConfigError(f"{option} {path}: empty; expected one line with the token")
    if not value and needed:
        raise UsageProblem(f"no token: give {option}, or set {setting.name}")
    return value


def _read(path: str) -> str:
    if path == "-":
        return sys.stdin.buffer.read(_TOKEN_BYTES).decode().strip()
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            complain(_PROGRAM, f"{path}: every user of this machine can read the token; chmod it to 0600 or 0640")
        return file.read(_TOKEN_BYTES).decode().strip()


def _show(arguments: argparse.Namespace, choice: Choice, report: Report | None, failure: str | None) -> None:
    if failure is not None:
        complain(_PROGRAM, failure)
    if arguments.json:
        print_json(_document(choice, report, failure))
    elif report is not None:
        _print(choice, report, failure)


def _document(choice: Choice, report: Report | None, failure: str | None) -> dict[str, Any]:
    if report is None:
        return {"error": failure, "changed": False, "steps": [], "written": []}
    pending = report.pending(choice)
    server = report.server
    return {
        "error": failure,
        "changed": bool(report.written if choice.write else pending),
        "check": not choice.write,
        "version": server.version,
        "interface": server.api_version("dashboards") if server.dashboards else "legacy",
        "namespace": server.namespace,
        "steps": [_step(one) for one in report.steps if one in pending or not one.stale or one.why],
        "written": [_step(one) for one in report.written],
        "kept": [_step(one) for one in report.kept()],
        "proven": report.proven,
    }


def _step(one: Step) -> dict[str, str]:
    found = {"kind": one.kind, "name": one.name, "action": one.action}
    return {**found, **({"why": one.why} if one.why else {}), **({"diff": one.difference} if one.difference else {})}


def _print(choice: Choice, report: Report, failure: str | None) -> None:
    pending = report.pending(choice)
    for one in report.steps:
        if one in report.written:
            say(_line(_DONE[one.action], one))
        elif one in pending:
            say(_line(f"not {_DONE[one.action]}" if choice.write else f"would {one.action}", one))
            if one.difference and not choice.write:
                say("\n".join(f"    {line}" for line in one.difference.splitlines()))
        elif one.action == "keep" and one.why:
            say(_line("left alone", one))
        elif one.stale and one.changes:
            say(_line("prune would delete", one))
    same = sum(one.action == "unchanged" for one in report.steps)
    if failure is None:
        verb = "written" if choice.write else "to write"
        count = len(report.written if choice.write else pending)
        proof = f", {len(report.proven)} proven" if report.proven else ""
        say(f"{count} {verb}, {same} unchanged, {len(report.kept())} left alone{proof}")
    if report.kept() and failure is None and not choice.force:
        complain(_PROGRAM, "some things are edited or managed by others; --force overwrites what was edited")


def _line(verb: str, one: Step) -> str:
    return f"{verb} {one.kind} {one.name}" + (f" ({one.why})" if one.why else "")
