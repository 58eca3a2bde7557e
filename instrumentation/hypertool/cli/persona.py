"""The persona commands: switch, list, current, status, budget, end."""

from __future__ import annotations

import argparse
import os
import time

from ..domain.personas import Catalogue, Persona, load_catalogue
from ..errors import StoreUnavailable
from ..runtime.light_typing import TYPE_CHECKING
from ..runtime.workspace import find_workspace
from ..store.sessions import SavedSession, Sessions
from .output import UsageProblem, complain, label, listen, print_json, print_table, say

if TYPE_CHECKING:
    from pathlib import Path

    from ..agents.bindings import Session
    from ..agents.hooks.budgets import Standing
    from ..store.store import Store


def resolve(catalogue: Catalogue, name: str) -> Persona:
    """The persona with a typed name. Raises UsageProblem that lists the known ones."""
    try:
        return catalogue.resolve(name)
    except ValueError as error:
        raise UsageProblem(str(error)) from None


def _store() -> Store:
    from ..store.store import Store  # takes half of a command's start-up: only for those that read or write numbers

    return Store.locate()


def tell(*notes: str | None) -> None:
    """Print remarks, apart from the result, on stderr."""
    for note in notes:
        if note:
            complain("note", note)


def switch(arguments: argparse.Namespace) -> int:
    """Count the switch, close the previous session and remember the new one; all or nothing."""
    catalogue = load_catalogue()
    to = resolve(catalogue, arguments.name).name
    wanted = label("--chatmode", arguments.chatmode) if arguments.chatmode is not None else None
    store = _store()
    store.directory.ensure()
    workspace = find_workspace()
    sessions = Sessions(workspace)
    with sessions.held():
        before = sessions.read_held()
        mode = wanted or (before.chatmode if before else "default")
        origin = before.persona if before else "none"
        changed = before is None or (before.persona, before.chatmode) != (to, mode)
        if changed:
            with sessions.replaced_by(SavedSession(to, mode, time.time())):
                _record(before, to, mode)
    bound, note = _bind(catalogue, workspace, before, to, mode)
    if arguments.json:
        print_json(
            {
                "from": origin,
                "to": to,
                "chatmode": mode,
                "changed": changed,
                "switched": changed and origin != to,
                "store": str(store.path),
                **({"agent_session": {"agent": bound.agent, "session": bound.id}} if bound else {}),
                "notes": [one for one in (sessions.note, store.note, note) if one],
            }
        )
        return 0
    tell(sessions.note, store.note, note)
    say(
        f"{origin} -> {to} ({mode})"
        if changed and origin != to
        else f"{to}: chatmode {before.chatmode if before else mode} -> {mode}"
        if changed
        else f"already {to} ({mode})"
    )
    return 0


def _bind(
    catalogue: Catalogue, workspace: Path, before: SavedSession | None, to: str, mode: str
) -> tuple[Session | None, str | None]:
    """Bind the agent's session that this command runs in; returns it, or None and the error."""
    from ..agents.bindings import session_here, switch
    from ..agents.ledger.attribution import Attribution

    session = session_here(os.environ)
    try:
        former = Attribution(before.persona, before.chatmode) if before is not None else None
        switch(catalogue, workspace, session, former, Attribution(to, mode))
    except Exception as error:
        return None, f"the session of the agent is not bound to {to}: {error}"
    return session, None


def end(arguments: argparse.Namespace) -> int:
    """Close the active session under its own chatmode."""
    load_catalogue()
    store = _store()
    store.directory.ensure()
    sessions = Sessions(find_workspace())
    with sessions.held():
        before = sessions.read_held()
        if before is not None:
            with sessions.replaced_by(None):
                _record(before, None, before.chatmode)
    if arguments.json:
        print_json({"ended": _as_json(before), "notes": [n for n in (sessions.note, store.note) if n]})
        return 0
    tell(sessions.note, store.note)
    say(f"ended {before.persona} ({before.chatmode}) after {_length(before.seconds())}" if before else "none")
    return 0


def _record(before: SavedSession | None, to: str | None, mode: str) -> None:
    from ..metrics.collector import get_persona_metrics

    listen()  # The exception below reports what the library would log.
    metrics = get_persona_metrics()
    known = before is not None and metrics.catalogue.find(before.persona) is not None
    if before is not None and known:
        metrics.record_session(before.persona, before.chatmode, before.seconds())
    if to is not None:
        # A persona that is no longer configured cannot be a label; the next session starts from `none`.
        metrics.record_switch(before.persona if before is not None and known else "none", to, mode)
    if not metrics.flush():
        publisher = metrics.core.publisher
        reason = publisher.problem if publisher is not None else None
        raise StoreUnavailable(f"nothing was changed: {reason or 'the store refused it'}")


def list_personas(arguments: argparse.Namespace) -> int:
    """List every persona."""
    catalogue = load_catalogue()
    sessions = Sessions(find_workspace())
    active = sessions.read()
    tell(sessions.note)
    personas = sorted(catalogue.personas.values(), key=lambda persona: persona.name)
    if arguments.json:
        print_json(
            {
                "personas": [
                    {
                        "name": p.name,
                        "tokens": p.tokens,
                        "window": p.window,
                        "on_exceed": p.on_exceed,
                        "aliases": list(p.aliases),
                        "active": bool(active and active.persona == p.name),
                    }
                    for p in personas
                ]
            }
        )
        return 0
    print_table(
        ("", "persona", "tokens", "window", "past the limit", "aliases"),
        [
            (
                "*" if active and active.persona == p.name else "",
                p.name,
                p.tokens,
                p.window,
                p.on_exceed,
                ", ".join(p.aliases),
            )
            for p in personas
        ],
    )
    return 0


def current(arguments: argparse.Namespace) -> int:
    """Print the active persona, or `none`."""
    sessions = Sessions(find_workspace())
    active = sessions.read()
    tell(sessions.note)
    if arguments.json:
        print_json(_as_json(active) or {"persona": None, "chatmode": None, "since": None, "seconds": None})
    else:
        say(active.persona if active else "none")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Print persona, chatmode, budget, workspace and store."""
    catalogue = load_catalogue()
    if arguments.series:
        from .series import status_series

        return status_series(catalogue, arguments.json)
    if arguments.line or arguments.watch:
        from . import status_line

        return (status_line.watch if arguments.watch else status_line.print_line)(catalogue)
    workspace = find_workspace()
    sessions = Sessions(workspace)
    active = sessions.read()
    store = _store()
    budgets = store.read(catalogue).budgets
    left = budgets.get(active.persona) if active else None
    session, own, note = _own_session(catalogue)
    if arguments.json:
        print_json(
            {
                **(_as_json(active) or {"persona": None, "chatmode": None, "since": None, "seconds": None}),
                "budget": left._asdict() if left else None,
                **({"agent_session": _session_as_json(session, own)} if session else {}),
                "workspace": str(workspace),
                "store": str(store.path),
                "notes": [one for one in (sessions.note, store.note, note) if one],
            }
        )
        return 0
    tell(sessions.note, store.note, note)
    say(f"persona    {active.persona if active else 'none'}")
    if active:
        say(f"chatmode   {active.chatmode}")
        say(
            f"since      {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(active.since))}"
            f" ({_length(active.seconds())})"
        )
    if left:
        say(f"budget     {left.remaining} of {left.limit} tokens left ({left.window})")
    if session:
        of = f"{own.persona.name}, {own.left} of {own.limit} tokens left" if own else "without a persona"
        say(f"session    {session.agent}: {of}")
    say(f"workspace  {workspace}")
    say(f"store      {store.path}")
    return 0


def _own_session(catalogue: Catalogue) -> tuple[Session | None, Standing | None, str | None]:
    """The agent's session that this command runs in, and what its persona has left there; else the error."""
    from ..agents.bindings import session_here, standing_here

    session = session_here(os.environ)
    if session is None:
        return None, None, None
    try:
        return session, standing_here(catalogue, session), None
    except Exception as error:
        return session, None, f"the budget of this session is not known: {error}"


def _session_as_json(session: Session, own: Standing | None) -> dict[str, object]:
    known = {"persona": own.persona.name, "limit": own.limit, "remaining": own.left} if own else {}
    return {"agent": session.agent, "session": session.id, **known}


def budget(arguments: argparse.Namespace) -> int:
    """Print what is left of the budgets, after an optional reset."""
    catalogue = load_catalogue()
    chosen = (
        [resolve(catalogue, arguments.persona).name] if arguments.persona is not None else sorted(catalogue.personas)
    )
    store = _store()
    if arguments.reset:
        store.directory.ensure()
        for name in chosen:
            store.reset_budget(name)
    budgets = store.read(catalogue).budgets
    if arguments.json:
        print_json(
            {
                "budgets": {name: budgets[name]._asdict() for name in chosen},
                "reset": chosen if arguments.reset else [],
                "notes": [store.note] if store.note else [],
            }
        )
        return 0
    tell(store.note)
    if arguments.reset:
        say(f"reset: {', '.join(chosen)}; running processes follow within 2 s")
    print_table(
        ("persona", "left", "of", "window", "times exceeded"),
        [
            (name, budgets[name].remaining, budgets[name].limit, budgets[name].window, budgets[name].exceeded)
            for name in chosen
        ],
    )
    return 0


def _as_json(session: SavedSession | None) -> dict[str, object] | None:
    if session is None:
        return None
    return {**session._asdict(), "seconds": round(session.seconds(), 3)}


def _length(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, _ = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
