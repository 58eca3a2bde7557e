#!/usr/bin/python
# Makes a system user with its group, its folders, and the users that may write into them.
from __future__ import annotations

import grp
import os
import pwd
import stat

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.hypertool.host import group_exists, user_exists

DOCUMENTATION = r"""
module: service_account
short_description: Make a system user, its folders, and the members of its group
description:
  - One round trip for what would be a dozen. A folder that an uninstallation kept for root is given back to the group
    with all that is in it.
options:
  name:
    description: The user, and its group of the same name.
    type: str
    required: true
  home:
    description: Its home folder in the user database. It is not made.
    type: path
    required: true
  folders:
    description: Folders to make, of user root, each with C(path), C(group) and C(mode).
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
- name: Make the account of the services
  service_account:
    name: hypertool
    home: /var/lib/hypertool
    folders:
      - {path: /var/lib/hypertool, group: hypertool, mode: "2770"}
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
        self.do(f"user {self.name}", self.command, *argv, "--shell", "/usr/sbin/nologin", self.name)

    def give(self, path, gid):
        """Hand a tree to the group; links themselves, never what they point to."""
        os.chown(path, 0, gid)
        for folder, folders, files in os.walk(path):
            for name in folders + files:
                os.lchown(os.path.join(folder, name), -1, gid)

    def make_folder(self, path, group, mode):
        wanted = int(mode, 8)
        if not os.path.isdir(path):
            self.do(f"folder {path}", self.create, path, group, wanted)
            return
        now = os.stat(path)
        if not group_exists(group):
            self.done.append(f"group of {path}")
            return
        gid = grp.getgrnam(group).gr_gid
        if now.st_gid != gid or now.st_uid != 0:
            self.do(f"{path} given to root and group {group}", self.give, path, gid)
        # A change of owner may clear the bit that hands the group down.
        if stat.S_IMODE(os.stat(path).st_mode) != wanted:
            self.do(f"mode of {path}", os.chmod, path, wanted)

    @staticmethod
    def create(path, group, mode):
        os.makedirs(path, exist_ok=True)
        os.chown(path, 0, grp.getgrnam(group).gr_gid)
        os.chmod(path, mode)

    def join(self, member):
        try:
            user = pwd.getpwnam(member)
        except KeyError:
            self.module.fail_json(
                msg=f"user {member!r} does not exist on this host, so it cannot join the group {self.name}; "
                "make it first, or take it out of the list"
            )
        group = grp.getgrnam(self.name) if group_exists(self.name) else None
        if group is None or (member not in group.gr_mem and user.pw_gid != group.gr_gid):
            self.do(f"{member} joins {self.name}", self.command, "usermod", "--append", "--groups", self.name, member)


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "folders": {"type": "list", "elements": "dict", "default": []},
            "members": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    account = Account(module)
    account.make_user()
    for folder in module.params["folders"]:
        account.make_folder(folder["path"], folder["group"], folder["mode"])
    for member in module.params["members"]:
        account.join(member)
    result = {"changed": bool(account.done), "done": account.done}
    if account.done:
        result["diff"] = {"before": "", "after": "".join(f"{text}\n" for text in account.done)}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
