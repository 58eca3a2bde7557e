#!/usr/bin/python
# Creates a system user with its group and folders, and adds the users that may write to them to the group.
from __future__ import annotations

import grp
import os
import pwd

from ansible.module_utils.hypertool import paths
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.frame import settled_module
from ansible.module_utils.hypertool.host import group_exists, user_exists
from ansible.module_utils.hypertool.shared_folders import SharedFolder

DOCUMENTATION = r"""
module: service_account
short_description: Create a system user, its folders, and the members of its group
description:
  - Creates each folder, or corrects its owner, group and mode. Every folder on the way is opened without following
    links. A link, a FIFO or a file in the place of a folder is an error that names it, before anything is changed.
options:
  name:
    description: The user, and its group of the same name.
    type: str
    required: true
  home:
    description: Its home folder in the user database. It is not created.
    type: path
    required: true
  folders:
    description:
      - Folders, parents first, each with C(path), C(owner) (default root), C(group) and C(mode).
      - With C(contents), the files in it belong to owner and group of the folder as well. Without it, only a folder
        that an uninstallation gave to root is given back to the group, with what is in it.
      - With C(legacy), a list of names, files of these names (of an older store) become root's, readable by the group.
        They are written anew, so that a process that has one of them open no longer writes it.
      - With C(obsolete), a list of names, files of these names in it are removed.
    type: list
    elements: dict
    default: []
  members:
    description: Existing users that join the group.
    type: list
    elements: str
    default: []
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Create the account of the services
  service_account:
    name: hypertool
    home: /var/lib/hypertool
    folders:
      - {path: /var/lib/hypertool, group: hypertool, mode: "2750"}
      - {path: /var/lib/hypertool/live, owner: hypertool, group: hypertool, mode: "3770"}
"""

RETURN = r"""
done:
  description: What was (in check mode - would be) done, one text each.
  returned: always
  type: list
"""


class Account:
    def __init__(self, module):
        self.module = module
        self.name = module.params["name"]
        self.done = []

    def do(self, text, action, *arguments):
        self.done.append(text)
        if not self.module.check_mode:
            action(*arguments)

    def command(self, *argv):
        self.module.run_command(list(argv), check_rc=True)

    def make_user(self):
        if user_exists(self.name):
            return
        group = ["--gid", self.name] if group_exists(self.name) else ["--user-group"]
        argv = ["useradd", "--system", *group, "--no-create-home", "--home-dir", self.module.params["home"]]
        self.do(f"created user {self.name}", self.command, *argv, "--shell", "/usr/sbin/nologin", self.name)

    def make_folder(self, wanted):
        owner, group = wanted.get("owner", "root"), wanted["group"]
        if not (user_exists(owner) and group_exists(group)):
            # Only in check mode: the user does not exist yet.
            self.done.append(f"create {wanted['path']}")
            return
        ids = pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
        folder = SharedFolder(wanted["path"], *ids, int(wanted["mode"], 8), self.module.check_mode)
        self.done += folder.bring_about(
            wanted.get("contents", False), wanted.get("legacy", []), wanted.get("obsolete", [])
        )
        for warning in folder.warnings:
            self.module.warn(warning)

    def join(self, member):
        try:
            user = pwd.getpwnam(member)
        except KeyError:
            self.module.fail_json(
                msg=f"user {member!r} does not exist on this host, so it cannot join the group {self.name}; "
                "create it first, or take it out of the list"
            )
        group = grp.getgrnam(self.name) if group_exists(self.name) else None
        if group is None or (member not in group.gr_mem and user.pw_gid != group.gr_gid):
            text = f"added {member} to group {self.name}"
            self.do(text, self.command, "usermod", "--append", "--groups", self.name, member)

    def bring_about(self):
        folders = self.module.params["folders"]
        for folder in folders:
            # Refuse a link in place of a folder before anything is changed.
            paths.is_folder(folder["path"])
        self.make_user()
        for folder in folders:
            self.make_folder(folder)
        for member in self.module.params["members"]:
            self.join(member)


def main():
    module = settled_module(
        {
            "name": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "folders": {"type": "list", "elements": "dict", "default": []},
            "members": {"type": "list", "elements": "str", "default": []},
        }
    )
    os.umask(0o077)
    account = Account(module)
    try:
        account.bring_about()
    except HostError as error:
        module.fail_json(msg=str(error), done=account.done)
    result = {"changed": bool(account.done), "done": account.done}
    if account.done:
        result["diff"] = {"before": "", "after": "".join(f"{text}\n" for text in account.done)}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
