"""The command `labels`: which undeclared names the host has admitted, who introduced them, and how to free some."""

from __future__ import annotations

import argparse
import pwd
import time

from ..domain.labels import LABELS, OTHER
from ..errors import StoreUnavailable
from ..store.admission import limit_of
from ..store.labels import Admitted
from ..store.store import Store
from .output import UsageProblem, print_json, print_table, say
from .persona import tell

NAMES = (*LABELS, "persona")


def labels(arguments: argparse.Namespace) -> int:
    """List the admitted names by label, or free one."""
    store = Store.locate()
    try:
        if arguments.free:
            return _free(store, arguments.free[0], arguments.free[1], arguments.json)
        admitted = store.labels.all()
    except OSError as error:
        raise store.directory.unavailable(error) from None
    used = {label: sum(entry.label == label for entry in admitted) for label in NAMES}
    if arguments.json:
        print_json(
            {
                "labels": {
                    label: {
                        "used": used[label],
                        "limit": limit_of(label),
                        "names": [_as_json(entry) for entry in admitted if entry.label == label],
                    }
                    for label in NAMES
                },
                "notes": [store.note] if store.note else [],
            }
        )
        return 0
    tell(store.note)
    print_table(("label", "used", "of"), [(label, used[label], limit_of(label)) for label in NAMES])
    if admitted:
        say()
        print_table(
            ("label", "name", "user", "since"),
            [(e.label, e.value, _user(e.user), _when(e.at)) for e in admitted if e.label in NAMES],
        )
    full = [label for label in NAMES if used[label] >= limit_of(label)]
    if full:
        say(
            f"\nfull: {', '.join(full)}; new names of it are counted as {OTHER}. "
            f"Free one that is no longer used: hypertool labels --free {full[0]} NAME"
        )
    return 0


def _free(store: Store, label: str, name: str, as_json: bool) -> int:
    if label not in NAMES:
        raise UsageProblem(f"unknown label {label!r:.60}, expected one of {', '.join(NAMES)}")
    if not store.labels.free(label, name):
        raise StoreUnavailable(
            f"{label} {name!r:.120} is not on the host's list; "
            "`hypertool labels` shows the list (declared names are not on it)"
        )
    if as_json:
        print_json({"freed": {"label": label, "name": name}})
    else:
        say(
            f"freed: {label} {name}; numbers of ended processes under that name stay, "
            "and a process that still uses it asks for it again"
        )
    return 0


def _as_json(entry: Admitted) -> dict[str, object]:
    return {"name": entry.value, "user": _user(entry.user), "since": entry.at or None}


def _user(user: int | None) -> str:
    if user is None:
        return "-"
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else "-"
