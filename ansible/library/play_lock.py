#!/usr/bin/python
# Lets only one play at a time change a host, and reports the play that holds the lock.
from __future__ import annotations

import json
import os
import tempfile
import time

from ansible.module_utils.hypertool.frame import Module
from ansible.module_utils.hypertool.surroundings import PLAY, settle

DOCUMENTATION = r"""
module: play_lock
short_description: Let one play at a time change a host
description:
  - The first task of a play takes the lock, its last one gives it back. Every module of ours in between renews it, so a
    lock that was not renewed for O(lost_after) seconds is of a play that has ended.
  - The action of the same name calls it, knows who plays, and whether another play of the same controller still runs.
options:
  holder:
    description: Who plays - C(id), C(controller), C(pid), C(user).
    type: dict
    required: true
  instead_of:
    description: The C(id) of a play that is known to be gone.
    type: str
    default: ""
  lost_after:
    description: Seconds without a step after which another play counts as gone.
    type: int
    default: 900
  state:
    description: Take it, or give it back.
    choices: [taken, released]
    default: taken
    type: str
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Take the lock, or fail where another play has it
  play_lock:
"""

RETURN = r"""
held_by:
  description: The play that works on the host already, with C(seconds) since its last step.
  returned: when it could not be taken
  type: dict
"""


def current():
    """The play that holds the lock, and the seconds since its last step; None without one."""
    try:
        with open(PLAY, encoding="utf-8") as handle:
            held = json.load(handle)
        # If the clock was set back since then, count 0 seconds.
        return {**held, "seconds": max(0, int(time.time() - os.stat(PLAY).st_mtime))}
    except (FileNotFoundError, ValueError):
        return None


def take(holder, instead_of, lost_after):
    """Take the lock: None if this play holds it now, else the play that does. Linking a complete file is atomic."""
    folder = os.path.dirname(PLAY)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    handle, staged = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(holder, stream)
        while True:
            try:
                os.link(staged, PLAY)
                return None
            except FileExistsError:
                held = current()
            if held and held["id"] == holder["id"]:
                return None
            if held and held["id"] != instead_of and held["seconds"] < lost_after:
                return held
            if os.path.exists(PLAY):
                os.unlink(PLAY)
    finally:
        os.unlink(staged)


def main():
    module = Module(
        argument_spec={
            "holder": {"type": "dict", "required": True},
            "instead_of": {"type": "str", "default": ""},
            "lost_after": {"type": "int", "default": 900},
            "state": {"choices": ["taken", "released"], "default": "taken"},
        },
        supports_check_mode=True,
    )
    holder = module.params["holder"]
    if module.check_mode:
        module.exit_json(changed=False)
    if module.params["state"] == "taken":
        held = take(holder, module.params["instead_of"], module.params["lost_after"])
        module.exit_json(changed=False, **({"held_by": held} if held else {}))
    held = current()
    if held and held["id"] == holder["id"]:
        os.unlink(PLAY)
    settle()
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
