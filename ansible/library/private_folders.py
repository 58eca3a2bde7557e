#!/usr/bin/python
# Ensures that only root can change the content of the folders that a play writes to.
from __future__ import annotations

from ansible.module_utils.hypertool import paths
from ansible.module_utils.hypertool.frame import Module

DOCUMENTATION = r"""
module: private_folders
short_description: Check that only root can change what is in certain folders
description:
  - Fails, and names the folder, where a folder or one above it belongs to another user, may be written by others, or
    is a link that is not root's own. An absent folder is fine, because root creates it. Changes nothing.
options:
  names:
    description: The folders.
    type: list
    elements: path
    required: true
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Check that only root writes where the roles do
  private_folders:
    names: [/etc/hypertool, /opt/hypertool]
"""

RETURN = r"""
"""


def complaint(folder):
    try:
        paths.require_private(folder)
    except paths.UnsafePath as error:
        return str(error)
    return ""


def main():
    module = Module(
        argument_spec={"names": {"type": "list", "elements": "path", "required": True}}, supports_check_mode=True
    )
    found = list(filter(None, map(complaint, module.params["names"])))
    if found:
        module.fail_json(msg="\n".join(dict.fromkeys(found)))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
