#!/usr/bin/python
# Applies the wanted content to a directory of configuration files: stage, validate, swap, reload, roll back if refused.
from __future__ import annotations

import os
import re
import shutil

from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.host import journal_tail
from ansible.module_utils.hypertool.tree import Tree

DOCUMENTATION = r"""
module: config_tree
short_description: Stage, validate, swap and reload a directory of configuration files
description:
  - Writes the whole tree beside the live one, runs the validation commands on it, and only then replaces the files
    that differ, each atomically. A running unit reloads; if it refuses, the old files are restored.
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
  ours:
    description: With O(create_only), a regular expression. An existing file in which it is found is replaced.
    type: str
  validate:
    description: Commands, C({tree}) is the staged directory; a C(*) in an argument is expanded.
    type: list
    elements: list
    default: []
  validate_environment:
    description: Environment of these commands; C({tree}) is the staged directory.
    type: dict
    default: {}
  reload_status_url:
    description:
      - Metrics of O(reload_unit) with C(..._config_last_reload_successful) and C(..._success_timestamp_seconds). After
        a change C(systemctl reload) reloads the unit, if it is running, and these two are the verdict.
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
    reload_status_url: http://127.0.0.1:9090/metrics
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


def difference(before, after, changed):
    return [
        {"before_header": name, "after_header": name, "before": before.get(name, ""), "after": after.get(name, "")}
        for name in changed
    ]


def main():
    module = settled_module(
        {
            "path": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0644"},
            "folder_mode": {"type": "str", "default": "0755"},
            "prune": {"type": "bool", "default": True},
            "create_only": {"type": "bool", "default": False},
            "ours": {"type": "str"},
            "keep": {"type": "list", "elements": "str", "default": []},
            "validate": {"type": "list", "elements": "list", "default": []},
            "validate_environment": {"type": "dict", "default": {}},
            "reload_status_url": {"type": "str"},
            "reload_unit": {"type": "str"},
            "restart_files": {"type": "list", "elements": "path", "default": []},
        }
    )
    try:
        tree, wanted = Tree(module), module.params["files"]
    except HostError as error:
        module.fail_json(msg=str(error))
    before = tree.live()
    written = sorted(name for name, content in wanted.items() if before.get(name) != content)
    if module.params["create_only"]:
        ours = module.params["ours"]
        written = [name for name in written if name not in before or (ours and re.search(ours, before[name]))]
    removed = sorted(set(before) - set(wanted))
    if removed:
        module.warn(
            f"{'would remove' if module.check_mode else 'removes'} from {tree.root} what is not part of it any more: "
            f"{', '.join(removed)}. Files of your own belong into a folder conf.d."
        )
    pending = os.path.exists(tree.pending)
    missing = [folder for folder in tree.folders() if not os.path.isdir(folder)]
    result = {
        "changed": bool(written or removed or missing or pending),
        "changed_files": written + removed,
        "reloaded": False,
    }
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
            module.fail_json(
                msg=(
                    f"{module.params['reload_unit']} refuses the new configuration ({refusal}); what was in use "
                    f"was put back.\nIts last lines:\n{journal_tail(module, module.params['reload_unit'])}"
                )
            )
        result["reloaded"] = True
    if os.path.exists(tree.pending):
        os.unlink(tree.pending)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
