# Reads the state of a host: users, groups, units, and the last lines of a unit's journal.
from __future__ import annotations

import grp
import pwd
import time


def user_exists(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def group_exists(name):
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def unit_properties(module, unit, *names):
    """Current properties of a unit from systemd; LoadState is `not-found` for a unit that is not installed."""
    _, out, _ = module.run_command(["systemctl", "show", unit, "--property=" + ",".join(names)])
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def wait_for_unit(module, unit, ask, timeout, restarts=None):
    """None once the unit is active and `ask()` returns no complaint, else a description of its state.

    With `restarts`, that many automatic restarts end the wait early.
    """
    deadline = time.monotonic() + timeout
    names = ("ActiveState", "SubState", "NRestarts")
    before = int(unit_properties(module, unit, "NRestarts").get("NRestarts") or 0)
    while True:
        complaint = ask()
        now = unit_properties(module, unit, *names)
        if now.get("ActiveState") == "active" and not complaint:
            return None
        again = int(now.get("NRestarts") or 0) - before
        gave_up = now.get("ActiveState") == "failed" or (restarts is not None and again >= restarts)
        if gave_up or time.monotonic() > deadline:
            state = f"{now.get('ActiveState')} ({now.get('SubState')})"
            return f"it is {state}, {now.get('NRestarts')} restarts by itself; {complaint or 'it answers'}"
        time.sleep(0.1)


def journal_tail(module, unit, lines=15):
    _, out, _ = module.run_command(
        ["journalctl", "--unit", unit, "--lines", str(lines), "--no-pager", "--output", "cat"]
    )
    return out.strip() or "(the journal has no line of it)"
