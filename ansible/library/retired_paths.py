#!/usr/bin/python
# Uninstalls a role's files and empty folders, and deletes its data or makes root its owner.
from __future__ import annotations

from ansible.module_utils.hypertool import paths, walks
from ansible.module_utils.hypertool.frame import Module, answer_with

DOCUMENTATION = r"""
module: retired_paths
short_description: Remove a role's files, and delete its data or hand them over to root
description:
  - Removes files and folders, then folders that nothing else uses, and deletes data or gives them to root, because the
    user that owns them may be removed.
  - No link is followed, wherever it is. A link in place of a data folder is an error that names it, and below a data
    folder links and files with a second name (hard links) keep their owner.
options:
  files:
    description: Files, links and folders (with all that is in them) to remove.
    type: list
    elements: path
    default: []
  folders:
    description: Folders to remove if they are empty then.
    type: list
    elements: path
    default: []
  data:
    description: Folders that hold data.
    type: list
    elements: path
    default: []
  purge:
    description: Delete O(data) instead of keeping them.
    type: bool
    default: false
  hand_over:
    description: Give O(data) that stay to root.
    type: bool
    default: true
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Remove what the role installed
  retired_paths:
    files: [/etc/hypertool/prometheus]
    data: [/var/lib/prometheus/hypertool]
"""

RETURN = r"""
removed:
  description: Paths that were (in check mode - would be) removed.
  returned: always
  type: list
kept:
  description: Folders of O(data) that stay.
  returned: always
  type: list
"""


def empty_folders(module):
    """The removed folders of `folders`; in check mode it is not known whether they would be empty."""
    return [path for path in module.params["folders"] if not module.check_mode and walks.remove_empty(path)]


def hand_over(module, kept):
    """Make root the owner; returns the paths that had another owner."""
    given = []
    for path in kept:
        done = walks.HandOver(0, 0, module.check_mode).whole(path)
        if done.left_alone:
            module.warn(
                f"{path}: files that have a second name elsewhere keep their owner: {', '.join(done.left_alone[:5])}"
            )
        if done.given:
            given.append(path)
    return given


def retire(module):
    params = module.params
    # Refuse a link in place of data before anything is removed.
    data = [path for path in params["data"] if paths.is_folder(path)]
    going = [path for path in params["files"] if paths.exists(path)] + (data if params["purge"] else [])
    kept = [] if params["purge"] else data
    if not module.check_mode:
        for path in going:
            walks.remove(path)
    going += empty_folders(module)
    given = hand_over(module, kept) if params["hand_over"] else []
    result = {"changed": bool(going or given), "removed": going, "kept": kept}
    if result["changed"]:
        lines = [f"{path}\n" for path in going] + [f"{path}, of its service's user\n" for path in given]
        result["diff"] = {"before": "".join(lines), "after": "".join(f"{path}, of root\n" for path in given)}
    return result


def main():
    module = Module(
        argument_spec={
            "files": {"type": "list", "elements": "path", "default": []},
            "folders": {"type": "list", "elements": "path", "default": []},
            "data": {"type": "list", "elements": "path", "default": []},
            "purge": {"type": "bool", "default": False},
            "hand_over": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    answer_with(retire, module)


if __name__ == "__main__":
    main()
