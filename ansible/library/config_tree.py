#!/usr/bin/python
# Brings a directory of configuration files to a wanted content: stage, validate, swap, reload, put back if refused.
from __future__ import annotations

DOCUMENTATION = r"""
module: config_tree
short_description: Stage, validate, swap and reload a directory of configuration files
description:
  - Writes the whole tree beside the live one, runs the validation commands on it, and only then replaces the files
    that differ, each atomically. A running unit is told to reload; when it refuses, the old files are put back.
options:
  path:
    description: The directory.
    type: path
    required: true
  files:
    description: Content by path below O(path).
    type: dict
    required: true
  owner:
    description: Owner of the files and folders.
    type: str
    default: root
  group:
    description: Group of the files and folders.
    type: str
    default: root
  mode:
    description: Mode of the files.
    type: str
    default: "0644"
  folder_mode:
    description: Mode of the folders.
    type: str
    default: "0755"
  keep:
    description: Patterns of files below O(path) that are not ours and stay when pruning.
    type: list
    elements: str
    default: []
  prune:
    description: Remove files below O(path) that are not in O(files). Without it only the named files are looked at.
    type: bool
    default: true
  create_only:
    description: Leave files that exist already as they are.
    type: bool
    default: false
  validate:
    description: Commands, C({tree}) is the staged directory; a C(*) in an argument is expanded.
    type: list
    elements: list
    default: []
  validate_environment:
    description: Environment of these commands; C({tree}) is the staged directory.
    type: dict
    default: {}
  reload_url:
    description: Asked with POST after a change, if O(reload_unit) is running. Its answer is the verdict.
    type: str
  reload_unit:
    description: The unit that reads these files.
    type: str
  restart_files:
    description: Files whose change needs a restart of the unit; when it is due, there is no reload.
    type: list
    elements: path
    default: []
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Configure Prometheus
  config_tree:
    path: /etc/hypertool/prometheus
    files:
      prometheus.yml: "{{ lookup('ansible.builtin.file', 'prometheus.yml') }}"
    validate:
      - [promtool, check, config, "{tree}/prometheus.yml"]
    reload_url: http://127.0.0.1:9090/-/reload
    reload_unit: prometheus.service
"""

RETURN = r"""
changed_files:
  description: Files that were (in check mode - would be) written or removed.
  returned: always
  type: list
reloaded:
  description: Whether the unit read the new files.
  returned: always
  type: bool
"""

import fnmatch
import glob
import os
import shutil
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url

from ansible.module_utils.hypertool_host import changed_since_start, group_exists, journal_tail, unit_properties

STAGE_PREFIX = ".hypertool-stage-"
RELOAD_SECONDS = 30


class Tree:
    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.root = self.params["path"]
        self.parent = os.path.dirname(self.root)
        # Present while files are newer than what the unit has read: an interrupted run is finished by the next.
        self.pending = os.path.join(self.parent, f".{os.path.basename(self.root)}.reload-pending")

    def live(self):
        """Content by relative path of what is below the directory now."""
        if not self.params["prune"]:
            return self.read(name for name in self.params["files"] if os.path.exists(os.path.join(self.root, name)))
        found = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                relative = os.path.relpath(os.path.join(folder, name), self.root)
                if relative in self.params["files"] or not any(fnmatch.fnmatch(relative, p) for p in self.params["keep"]):
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
                    self.module.warn(f"{argv[0]} is not installed yet: the configuration was not validated in this check")
                    continue
                self.module.fail_json(msg=f"{argv[0]} is not on this host, so {self.root} cannot be validated; nothing was changed")
            environment = {key: value.replace("{tree}", stage) for key, value in self.params["validate_environment"].items()}
            rc, out, err = self.module.run_command(argv, environ_update=environment)
            if rc != 0:
                shown = (out + err).replace(stage, self.root).strip()
                self.module.fail_json(msg=f"{argv[0]} refuses the new {self.root}; the files in use were not touched.\n{shown}")

    def set_attributes(self, path, mode):
        """Owner, group and mode; True if one of them was not as wanted."""
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
        """Ask the unit to read its files again; None if it did, else what it answered."""
        deadline = time.monotonic() + RELOAD_SECONDS
        while True:
            response, info = fetch_url(self.module, self.params["reload_url"], method="POST", timeout=RELOAD_SECONDS)
            if info["status"] == 200:
                return None
            if info["status"] > 0 or time.monotonic() > deadline:
                body = response.read().decode(errors="replace") if response else info.get("body", "")
                return f"{info['status']} {info['msg']} {body}".strip()
            time.sleep(0.2)  # It is running but does not listen yet: ask again until the deadline.

    def to_be_reloaded(self):
        unit = self.params["reload_unit"]
        if not unit or unit_properties(self.module, unit, "ActiveState").get("ActiveState") != "active":
            return False
        return not changed_since_start(self.module, unit, self.params["restart_files"])


def difference(before, after, changed):
    return [
        {"before_header": name, "after_header": name, "before": before.get(name, ""), "after": after.get(name, "")}
        for name in changed
    ]


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0644"},
            "folder_mode": {"type": "str", "default": "0755"},
            "prune": {"type": "bool", "default": True},
            "create_only": {"type": "bool", "default": False},
            "keep": {"type": "list", "elements": "str", "default": []},
            "validate": {"type": "list", "elements": "list", "default": []},
            "validate_environment": {"type": "dict", "default": {}},
            "reload_url": {"type": "str"},
            "reload_unit": {"type": "str"},
            "restart_files": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    tree, wanted = Tree(module), module.params["files"]
    before = tree.live()
    written = sorted(name for name, content in wanted.items() if before.get(name) != content)
    if module.params["create_only"]:
        written = [name for name in written if name not in before]
    removed = sorted(set(before) - set(wanted))
    pending = os.path.exists(tree.pending)
    missing = [folder for folder in tree.folders() if not os.path.isdir(folder)]
    result = {"changed": bool(written or removed or missing or pending), "changed_files": written + removed, "reloaded": False}
    if not module.check_mode:
        for folder in missing:
            os.makedirs(folder, mode=0o755, exist_ok=True)
    if result["changed_files"]:
        result["diff"] = difference(before, wanted, result["changed_files"])
        stage = tree.stage()
        try:
            tree.validate(stage)
            if not module.check_mode:
                with open(tree.pending, "w", encoding="utf-8"):
                    pass
                tree.swap(stage, written, removed)
        finally:
            shutil.rmtree(stage)
    if module.check_mode and not os.path.isdir(tree.root):
        module.exit_json(**result)
    for folder in tree.folders():
        result["changed"] |= os.path.isdir(folder) and tree.set_attributes(folder, module.params["folder_mode"])
    for name in set(wanted) - set(written):
        result["changed"] |= tree.set_attributes(os.path.join(tree.root, name), module.params["mode"])
    if module.check_mode:
        module.exit_json(**result)
    if (result["changed_files"] or pending) and tree.to_be_reloaded():
        refusal = tree.reload()
        if refusal:
            tree.restore(before, result["changed_files"])
            module.fail_json(msg=(
                f"{module.params['reload_unit']} refuses the new configuration ({refusal}); the files that were in use were put "
                f"back.\nIts last lines:\n{journal_tail(module, module.params['reload_unit'])}"))
        result["reloaded"] = True
    if os.path.exists(tree.pending):
        os.unlink(tree.pending)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
