# Whether a unit runs the files on disk; also correct on hosts that sleep or whose clocks are set.
from __future__ import annotations

import json
import os
import tempfile
import time

from ansible.module_utils.hypertool.host import unit_properties

# Cleared by a reboot, which also restarts every unit.
NOTES = "/run/hypertool-install"
# systemd makes this link when it starts a unit, so that its time and the files' times come from the same clock.
STARTED = "/run/systemd/units/invocation:{}"


def _signature(path):
    """Device, inode and change time of a file; compared for equality only, never for order."""
    found = os.lstat(path)
    return [found.st_dev, found.st_ino, found.st_ctime_ns]


def _signatures(paths):
    return {path: _signature(path) for path in paths if os.path.lexists(path)}


def _note(unit):
    return os.path.join(NOTES, unit + ".json")


def _invocation(module, unit):
    return unit_properties(module, unit, "InvocationID").get("InvocationID", "")


def note_start(module, unit, paths):
    """Record the current state of these paths as what the unit runs."""
    os.makedirs(NOTES, mode=0o755, exist_ok=True)
    handle, staged = tempfile.mkstemp(dir=NOTES)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump({"invocation": _invocation(module, unit), "files": _signatures(paths)}, stream)
    os.replace(staged, _note(unit))


def _noted(module, unit):
    """The recorded state of the files at the unit's current start; empty if that start was not recorded."""
    try:
        with open(_note(unit), encoding="utf-8") as handle:
            note = json.load(handle)
    except (OSError, ValueError):
        return {}
    return note["files"] if note["invocation"] and note["invocation"] == _invocation(module, unit) else {}


def _started_at(module, unit):
    """Seconds since the epoch at which the unit started, by the clock of that time."""
    try:
        return os.lstat(STARTED.format(unit)).st_mtime
    except OSError:
        shown = unit_properties(module, unit, "ActiveEnterTimestampMonotonic").get("ActiveEnterTimestampMonotonic")
        return time.time() - (time.monotonic() - int(shown or 0) / 1e6)


def changed_since_start(module, unit, paths):
    """Whether one of the paths changed after the unit's start; a rename counts as a change, a missing path does not."""
    now, noted = _signatures(paths), _noted(module, unit)
    if any(path in noted and noted[path] != found for path, found in now.items()):
        return True
    unknown = [found[2] / 1e9 for path, found in now.items() if path not in noted]
    return max(unknown, default=0.0) > _started_at(module, unit)
