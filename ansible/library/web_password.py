#!/usr/bin/python
# Generates the password of Prometheus, Alertmanager and Alloy once, and writes it for each program that needs it.
from __future__ import annotations

import grp
import os
import secrets

from ansible.module_utils.hypertool import paths, web_access
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.frame import Module
from ansible.module_utils.hypertool.host import group_exists

DOCUMENTATION = r"""
module: web_password
short_description: Generate the password of the web services and write it where it is needed
description:
  - Loopback is not private. Any user of the host and any page in a browser can reach it, so Prometheus,
    Alertmanager and Alloy ask for a password. It is generated once and never shown.
  - In the folder of O(path) it also writes C(web.yml) (the bcrypt hash, for C(--web.config.file)), and for root
    C(netrc) (for curl) and C(amtool.yml) (for C(amtool --http.config.file)).
options:
  path:
    description: The file of the password.
    type: path
    default: /etc/hypertool/secrets/web_password
  group:
    description: The group of the services.
    type: str
    default: prometheus
  copies:
    description: Copies for programs of other groups, each with C(path) and C(group).
    type: list
    elements: dict
    default: []
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Generate the password of the web services
  web_password:
    copies: [{path: /etc/alloy/secrets/web_password, group: alloy}]
"""

RETURN = r"""
written:
  description: Files that were (in check mode - would be) written.
  returned: always
  type: list
"""


class Access:
    def __init__(self, module):
        self.module = module
        self.folder = os.path.dirname(module.params["path"])
        self.written = []

    def gid(self, group):
        """The id of a group; None in check mode if the package that creates the group is not installed yet."""
        if not group_exists(group):
            if self.module.check_mode:
                return None
            raise HostError(f"group {group} does not exist on this host; expected its package to be installed first")
        return grp.getgrnam(group).gr_gid

    def make_folder(self, path, gid):
        with paths.folder(path, make=not self.module.check_mode, private=os.geteuid() == 0) as fd:
            if paths.differs(os.fstat(fd), os.geteuid(), gid, 0o750):
                self.written.append(path)
                if not self.module.check_mode:
                    paths.set_attributes(fd, os.geteuid(), gid, 0o750)

    def write(self, path, text, gid, mode=0o640):
        with paths.parent(path) as (fd, name):
            facts = paths.facts_of(name, fd)
            same = facts is not None and not paths.differs(facts, os.geteuid(), gid, mode)
            if same and paths.read_text_at(fd, name, path) == text:
                return
            self.written.append(path)
            if not self.module.check_mode:
                paths.write_text_at(fd, name, path, text, os.geteuid(), gid, mode)

    def hashed(self, password):
        """The configuration with the password's hash; kept if its hash matches, because a new one would differ."""
        path = os.path.join(self.folder, "web.yml")
        try:
            now = paths.read_text(path)
        except FileNotFoundError:
            now = ""
        found = now.strip().rpartition(" ")[2].strip('"')
        if found and web_access.matches(password, found):
            return now
        return f'# Written by Ansible.\nbasic_auth_users:\n  {web_access.USER}: "{web_access.bcrypt(password)}"\n'

    def bring_about(self):
        path, user = self.module.params["path"], web_access.USER
        gid = self.gid(self.module.params["group"])
        password = web_access.password(path) or secrets.token_urlsafe(24)
        try:
            if gid is not None:
                self.make_folder(self.folder, gid)
                self.write(path, password + "\n", gid)
                self.write(os.path.join(self.folder, "web.yml"), self.hashed(password), gid)
                netrc = "".join(
                    f"machine {name} login {user} password {password}\n" for name in ("127.0.0.1", "localhost")
                )
                self.write(os.path.join(self.folder, "netrc"), netrc, 0, 0o600)
                amtool = f"basic_auth:\n  username: {user}\n  password_file: {path}\n"
                self.write(os.path.join(self.folder, "amtool.yml"), amtool, 0, 0o600)
            for copy in self.module.params["copies"]:
                group = self.gid(copy["group"])
                if group is not None:
                    self.make_folder(os.path.dirname(copy["path"]), group)
                    self.write(copy["path"], password + "\n", group)
        except FileNotFoundError as absent:
            # In check mode on a new host the folders do not exist yet.
            self.written.append(str(absent.filename))


def main():
    module = Module(
        argument_spec={
            "path": {"type": "path", "default": web_access.PASSWORD_FILE, "no_log": False},
            "group": {"type": "str", "default": "prometheus"},
            "copies": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    access = Access(module)
    try:
        access.bring_about()
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(access.written), written=access.written)


if __name__ == "__main__":
    main()
