#!/usr/bin/python
# Adds a vendor's package repository to apt unless apt has that address already; removes the entry if apt refuses it.
from __future__ import annotations

import glob
import os
import re
import tempfile

from ansible.module_utils.hypertool.frame import settled_module

DOCUMENTATION = r"""
module: vendor_repository
short_description: Add a vendor's package repository without disturbing apt
description:
  - apt reads no source at all once two entries for one address name different keys. So an entry for O(uri) that is here
    already is used as it is, whatever its key, and an entry of ours for the same address is taken away.
  - After ours is written, apt has to read its sources, and this repository; else it is taken back and the module fails.
options:
  uri:
    description: The repository's address.
    type: str
    required: true
  path:
    description: Our entry, a file in C(/etc/apt/sources.list.d).
    type: path
    required: true
  content:
    description: What is in it.
    type: str
    default: ""
  extra:
    description: Other files of ours that go with the entry, such as its key.
    type: list
    elements: path
    default: []
  obsolete:
    description: Files of ours that older versions wrote.
    type: list
    elements: path
    default: []
  state:
    description: C(look) only says whether there is another entry for it.
    choices: [look, present, absent]
    default: present
    type: str
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Add Grafana's repository
  vendor_repository:
    uri: https://apt.grafana.com
    path: /etc/apt/sources.list.d/hypertool-grafana.sources
    content: "{{ lookup('ansible.builtin.template', 'grafana.sources.j2') }}"
"""

RETURN = r"""
theirs:
  description: The existing entry that is used instead of ours, empty if there is none.
  returned: always
  type: str
"""

PARTS = "/etc/apt/sources.list.d"
LISTS = "/var/lib/apt/lists"
FIELDS = "$(REPO_URI)|$(SOURCESENTRY)"


class Repository:
    def __init__(self, module):
        self.module = module
        self.uri = module.params["uri"].rstrip("/")
        self.path = module.params["path"]

    def run(self, *argv):
        rc, out, err = self.module.run_command([*argv], environ_update={"LC_ALL": "C"})
        told = [line for line in (out + "\n" + err).splitlines() if line.startswith(("E:", "W:", "Err:"))]
        return rc, out, " ".join(told) or (out + err).strip()[-500:]

    def theirs(self):
        """The entry for this address in other source files; empty without one. Fails if apt cannot read its sources."""
        with tempfile.TemporaryDirectory() as folder:
            for name in os.listdir(PARTS) if os.path.isdir(PARTS) else []:
                if os.path.join(PARTS, name) != self.path:
                    os.symlink(os.path.join(PARTS, name), os.path.join(folder, name))
            os.chmod(folder, 0o755)
            option = f"Dir::Etc::sourceparts={folder}"
            # Without lists too: an entry that was never read, or whose key apt lacks, conflicts with ours all the same.
            rc, out, told = self.run("apt-get", "indextargets", "--no-release-info", "-o", option, "--format", FIELDS)
        if rc != 0:
            self.module.fail_json(
                msg=f"apt cannot read the sources of this host, without ours: {told}. Mend them first."
            )
        for line in out.splitlines():
            address, _, entry = line.partition("|")
            if address.rstrip("/").lower() == self.uri.lower():
                return entry.replace(folder, PARTS) or address
        return ""

    def write(self):
        """Write our entry. Returns apt's reason if it refuses the entry, which is then removed again."""
        before = read(self.path)
        staged = self.path + ".new"
        with open(staged, "w", encoding="utf-8") as handle:
            handle.write(self.module.params["content"])
        os.chmod(staged, 0o644)
        os.replace(staged, self.path)
        rc, _, told = self.run("apt-get", "indextargets", "--format", FIELDS)
        if rc == 0:
            only = ["-o", f"Dir::Etc::sourcelist={self.path}", "-o", "Dir::Etc::sourceparts=-"]
            argv = ["apt-get", "-q", "update", *only, "-o", "APT::Get::List-Cleanup=0", "-o", "DPkg::Lock::Timeout=180"]
            # The key of our entry is pinned, so that its repository may call itself by another name than before.
            argv += ["-o", "APT::Update::Error-Mode=any", "-o", "Acquire::AllowReleaseInfoChange=true"]
            rc, _, told = self.run(*argv)
        if rc == 0:
            return ""
        if before is None:
            self.remove()
        else:
            with open(self.path, "w", encoding="utf-8") as handle:
                handle.write(before)
        return told

    def remove(self):
        """Remove our files, and the package lists that apt read through our entry."""
        written = re.search(r"^URIs: (\S+)$", read(self.path) or "", re.MULTILINE)
        self.uri = written[1].rstrip("/") if written else self.uri
        for path in [self.path, *self.module.params["extra"], *self.module.params["obsolete"]]:
            if os.path.lexists(path):
                os.unlink(path)
        # The address may have changed since our entry was written.
        if written and not self.theirs():
            prefix = self.uri.partition("://")[2].replace("/", "_")
            for path in glob.glob(os.path.join(LISTS, glob.escape(prefix) + "_dists_*")):
                os.unlink(path)

    def here(self, *more):
        return [path for path in [self.path, *self.module.params["obsolete"], *more] if os.path.lexists(path)]


def read(path):
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def main():
    module = settled_module(
        {
            "uri": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "default": ""},
            "extra": {"type": "list", "elements": "path", "default": []},
            "obsolete": {"type": "list", "elements": "path", "default": []},
            "state": {"choices": ["look", "present", "absent"], "default": "present"},
        }
    )
    repository, params = Repository(module), module.params
    # An uninstallation removes our entry even if apt complains about other sources.
    theirs = repository.theirs() if params["state"] != "absent" else ""
    ours = repository.here(*params["extra"])
    if params["state"] == "look":
        module.exit_json(changed=False, theirs=theirs)
    if params["state"] == "absent" or theirs:
        if ours and not module.check_mode:
            repository.remove()
        module.exit_json(changed=bool(ours), theirs=theirs)
    obsolete = [path for path in params["obsolete"] if os.path.lexists(path)]
    changed = read(params["path"]) != params["content"]
    result = {"changed": changed or bool(obsolete), "theirs": theirs}
    if changed:
        result["diff"] = {"before": read(params["path"]) or "", "after": params["content"]}
    if module.check_mode:
        module.exit_json(**result)
    for path in obsolete:
        os.unlink(path)
    refusal = repository.write() if changed else ""
    if refusal:
        module.fail_json(
            msg=f"apt refuses {params['uri']}: {refusal}. Our entry was taken back, so apt works as before. Set "
            "grafana_repository_url to a mirror that this host trusts, or add it by hand, and run this again."
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
