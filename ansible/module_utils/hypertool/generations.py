# Generations of a configuration directory: complete, numbered and immutable; a link names the active one.
from __future__ import annotations

import filecmp
import os
import re
import shutil
import tempfile

from ansible.module_utils.hypertool import paths
from ansible.module_utils.hypertool.host import group_exists

ENVIRONMENT = "environment"
# The unit's drop-in that a generation ran with; hidden, because it is not part of the generation's content.
UNIT = ".drop-in"
STAGE_PREFIX = ".stage-"


def environment_text(variables):
    """An EnvironmentFile for systemd; every value is quoted, so that none of it is parsed as syntax."""
    lines = ["# Written by Ansible; read at a start of the unit. No secrets in here."]
    for name, value in sorted(variables.items()):
        escaped = re.sub(r'(["\\`$])', r"\\\1", str(value))
        lines.append(f'{name}="{escaped}"')
    return "\n".join(lines) + "\n"


def environment_variables(text):
    """The variables that systemd reads from that file."""
    pairs = re.findall(r'^(\w+)="(.*)"$', text, re.MULTILINE)
    return {name: re.sub(r'\\(["\\`$])', r"\1", value) for name, value in pairs}


class Generations:
    def __init__(self, module, root, group):
        self.module = module
        self.root = root
        paths.require_private(root)
        self.group = group
        self.folder = os.path.join(root, "generations")
        self.link = os.path.join(root, "current")
        # Exists during a swap and holds the generation to roll back to; the next run finishes an interrupted swap.
        self.pending = os.path.join(root, ".swap-pending")

    def numbers(self):
        names = os.listdir(self.folder) if os.path.isdir(self.folder) else []
        return sorted(int(name) for name in names if name.isdigit())

    def path(self, number):
        return os.path.join(self.folder, str(number))

    def current(self):
        if not os.path.islink(self.link):
            return None
        name = os.path.basename(os.readlink(self.link))
        return int(name) if name.isdigit() and os.path.isdir(self.path(name)) else None

    def before(self, number):
        return max((other for other in self.numbers() if other < number), default=None)

    def read(self, number):
        content = {}
        names = os.listdir(self.path(number)) if number is not None else []
        for name in sorted(name for name in names if name != UNIT):
            with open(os.path.join(self.path(number), name), encoding="utf-8", errors="replace") as handle:
                content[name] = handle.read()
        return content

    def stage(self, content):
        """Write the content beside the other generations, or elsewhere in check mode; the caller removes the folder."""
        if os.path.isdir(self.folder) and not self.module.check_mode:
            for name in os.listdir(self.folder):
                if name.startswith(STAGE_PREFIX):
                    shutil.rmtree(os.path.join(self.folder, name))
        stage = tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=None if self.module.check_mode else self.folder)
        for name, text in content.items():
            with open(os.path.join(stage, name), "w", encoding="utf-8") as handle:
                handle.write(text)
        return stage

    def give(self, path, mode):
        changed = self.module.set_owner_if_different(path, "root", False)
        changed = self.module.set_group_if_different(path, self.group, changed)
        return self.module.set_mode_if_different(path, mode, changed)

    def make_folders(self):
        """Create or correct the folders; True if one was not as wanted."""
        changed = False
        for path in (self.root, self.folder):
            if not os.path.isdir(path):
                changed = True
                if not self.module.check_mode:
                    os.makedirs(path)
            if os.path.isdir(path) and group_exists(self.group):
                changed |= self.give(path, "0750")
        return changed

    def add(self, stage):
        number = max(self.numbers(), default=0) + 1
        for name in os.listdir(stage):
            self.give(os.path.join(stage, name), "0640")
        self.give(stage, "0750")
        os.rename(stage, self.path(number))
        return number

    def point(self, number):
        """Activate a generation, or none; atomic."""
        if number is None:
            os.unlink(self.link)
            return
        staged = self.link + ".new"
        if os.path.lexists(staged):
            os.unlink(staged)
        os.symlink(os.path.join("generations", str(number)), staged)
        os.replace(staged, self.link)

    def mark(self, back_to):
        with open(self.pending, "w", encoding="utf-8") as handle:
            handle.write("" if back_to is None else str(back_to))

    def marked(self):
        """Whether a swap is unfinished, and the generation to roll back to."""
        if not os.path.exists(self.pending):
            return False, None
        with open(self.pending, encoding="utf-8") as handle:
            text = handle.read().strip()
        return True, int(text) if text.isdigit() and os.path.isdir(self.path(text)) else None

    def unmark(self):
        if os.path.exists(self.pending):
            os.unlink(self.pending)

    def keep_unit(self, number, drop_in):
        """Keep a copy of the drop-in that a generation runs well with."""
        if os.path.exists(drop_in):
            shutil.copyfile(drop_in, os.path.join(self.path(number), UNIT))

    def restore_unit(self, number, drop_in):
        """Restore the drop-in that a generation ran with; True if it differed."""
        kept = os.path.join(self.path(number), UNIT)
        if not os.path.exists(kept) or not os.path.exists(drop_in) or filecmp.cmp(kept, drop_in, shallow=False):
            return False
        shutil.copyfile(kept, drop_in + ".new")
        os.replace(drop_in + ".new", drop_in)
        return True

    def drop(self, number):
        shutil.rmtree(self.path(number))

    def prune(self, kept):
        """Remove the oldest generations; the active and the previous one always stay."""
        current = self.current()
        for number in self.numbers()[:-kept]:
            if number not in (current, self.before(current)):
                self.drop(number)
