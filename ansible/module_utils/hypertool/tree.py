# A directory of configuration files: its content, a staged copy of the wanted content, validation, swap and reload.
from __future__ import annotations

import collections
import fnmatch
import glob
import os
import re
import shutil
import tempfile
import time

from ansible.module_utils.hypertool import paths, web_access
from ansible.module_utils.hypertool.host import group_exists, unit_properties
from ansible.module_utils.hypertool.unit_start import changed_since_start

STAGE_PREFIX = ".hypertool-stage-"
RELOAD_SECONDS = 30
RELOADED = re.compile(r"^\w+_config_last_reload_(successful|success_timestamp_seconds) (\S+)$", re.MULTILINE)
ReloadStatus = collections.namedtuple("ReloadStatus", "successful succeeded_at")


def reload_status(url):
    """The result of a unit's last reload according to its metrics; None while it does not answer."""
    try:
        with web_access.open_local(url, timeout=5) as answer:
            found = dict(RELOADED.findall(answer.read().decode("utf-8", "replace")))
        return ReloadStatus(float(found["successful"]) == 1, float(found["success_timestamp_seconds"]))
    except (OSError, KeyError):
        return None


class Tree:
    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.root = self.params["path"]
        self.parent = os.path.dirname(self.root)
        # The code below uses paths, which is safe only where root alone can replace them.
        paths.require_private(self.root)
        # Exists while files are newer than the unit's last reload: the next run finishes an interrupted one.
        self.pending = os.path.join(self.parent, f".{os.path.basename(self.root)}.reload-pending")

    def live(self):
        """The current content by relative path."""
        if not self.params["prune"]:
            return self.read(name for name in self.params["files"] if os.path.exists(os.path.join(self.root, name)))
        found = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                relative = os.path.relpath(os.path.join(folder, name), self.root)
                if relative in self.params["files"] or not any(
                    fnmatch.fnmatch(relative, p) for p in self.params["keep"]
                ):
                    found.append(relative)
        return self.read(found)

    def read(self, names):
        content = {}
        for name in names:
            with open(os.path.join(self.root, name), encoding="utf-8", errors="replace") as handle:
                content[name] = handle.read()
        return content

    def stage(self):
        for leftover in glob.glob(os.path.join(self.parent, STAGE_PREFIX + "*")):
            shutil.rmtree(leftover)
        stage = tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=self.parent if os.path.isdir(self.parent) else None)
        for relative, content in self.params["files"].items():
            path = os.path.join(stage, relative)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as handle:
                handle.write(content)
        return stage

    def validate(self, stage):
        for command in self.params["validate"]:
            argv = []
            for argument in command:
                argument = argument.replace("{tree}", stage)
                argv += sorted(glob.glob(argument)) if "*" in argument else [argument]
            if shutil.which(argv[0]) is None:
                if self.module.check_mode:
                    self.module.warn(
                        f"{argv[0]} is not installed yet: the configuration was not validated in this check"
                    )
                    continue
                self.module.fail_json(
                    msg=f"{argv[0]} is not on this host, so {self.root} cannot be validated; nothing was changed"
                )
            environment = {
                key: value.replace("{tree}", stage) for key, value in self.params["validate_environment"].items()
            }
            rc, out, err = self.module.run_command(argv, environ_update=environment)
            if rc != 0:
                shown = (out + err).replace(stage, self.root).strip()
                self.module.fail_json(
                    msg=f"{argv[0]} refuses the new {self.root}; the files in use were not touched.\n{shown}"
                )

    def set_attributes(self, path, mode):
        """Set owner, group and mode; True if one of them changed."""
        if self.module.check_mode and not group_exists(self.params["group"]):
            return False
        changed = self.module.set_owner_if_different(path, self.params["owner"], False)
        changed = self.module.set_group_if_different(path, self.params["group"], changed)
        return self.module.set_mode_if_different(path, mode, changed)

    def folders(self):
        wanted = {self.root}
        for relative in self.params["files"]:
            folder = os.path.dirname(os.path.join(self.root, relative))
            while folder not in wanted:
                wanted.add(folder)
                folder = os.path.dirname(folder)
        return sorted(wanted)

    def swap(self, stage, written, removed):
        for relative in written:
            source = os.path.join(stage, relative)
            self.set_attributes(source, self.params["mode"])
            os.replace(source, os.path.join(self.root, relative))
        for relative in removed:
            os.unlink(os.path.join(self.root, relative))

    def restore(self, before, changed):
        for relative in changed:
            path = os.path.join(self.root, relative)
            if relative not in before:
                os.unlink(path)
                continue
            handle, staged = tempfile.mkstemp(dir=self.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(before[relative])
            self.set_attributes(staged, self.params["mode"])
            os.replace(staged, path)

    def reload(self):
        """Make the unit reload its files; None if it succeeded, else what its metrics report."""
        unit, url = self.params["reload_unit"], self.params["reload_status_url"]
        before = reload_status(url)
        rc, out, err = self.module.run_command(["systemctl", "reload", unit])
        if rc:
            return f"systemctl reload: {(out + err).strip()}"
        deadline = time.monotonic() + RELOAD_SECONDS
        while True:
            now = reload_status(url)
            # The timestamp of the last success is the only value that changes with every success.
            if now and (not before or now.succeeded_at > before.succeeded_at):
                return None
            if now and before and before.successful and not now.successful:
                return "its last reload failed"
            if time.monotonic() > deadline:
                return f"no successful reload within {RELOAD_SECONDS} s"
            time.sleep(0.2)

    def to_be_reloaded(self):
        unit = self.params["reload_unit"]
        if not unit or unit_properties(self.module, unit, "ActiveState").get("ActiveState") != "active":
            return False
        return not changed_since_start(self.module, unit, self.params["restart_files"])
