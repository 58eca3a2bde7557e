#!/usr/bin/python
# Fetches a package repository's signing key, and installs it only if its fingerprint is one of the expected ones.
from __future__ import annotations

import os

from ansible.module_utils.urls import fetch_url

from ansible.module_utils.hypertool import openpgp, paths
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.frame import Module, answer_with

DOCUMENTATION = r"""
module: signing_key
short_description: Install a repository's signing key, pinned by its fingerprint
description:
  - Fetches the file, keeps the keys whose fingerprint is one of O(fingerprints), and writes them in armor. Other keys
    are left out. Where no key is one of them, it fails, says which keys it found, and changes nothing.
options:
  url:
    description: Where the key is.
    type: str
    required: true
  path:
    description: Where it goes.
    type: path
    required: true
  fingerprints:
    description: Fingerprints of primary keys, 40 hexadecimal digits each; spaces do not matter.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds for the download.
    type: int
    default: 20
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Install the signing key
  signing_key:
    url: https://apt.grafana.com/gpg-full.key
    path: /etc/apt/keyrings/hypertool-grafana.asc
    fingerprints: [B53AE77BADB630A683046005963FA27710458545]
"""

RETURN = r"""
installed:
  description: Fingerprints of the keys that the file has.
  returned: always
  type: list
"""

BYTES_AT_MOST = 1024 * 1024


def fetch(module):
    url = module.params["url"]
    response, info = fetch_url(module, url, timeout=module.params["timeout"])
    if info["status"] != 200:
        raise HostError(f"{url} answers {info['status']} ({info['msg']}); expected the signing key of the repository")
    content = response.read(BYTES_AT_MOST + 1)
    if len(content) > BYTES_AT_MOST:
        raise HostError(f"{url} is longer than {BYTES_AT_MOST} bytes; expected a signing key")
    return content


def install(module):
    wanted = {one.replace(" ", "").upper() for one in module.params["fingerprints"]}
    found = openpgp.keys(fetch(module))
    kept = sorted(wanted & set(found))
    if not kept:
        raise HostError(
            f"{module.params['url']} has the keys {', '.join(sorted(found)) or '(none)'}; expected one of "
            f"{', '.join(sorted(wanted))}. Nothing was installed. Has the key been exchanged? Ask its owner, and set "
            "grafana_repository_key_fingerprints to the new fingerprint; or the repository is not the owner's."
        )
    path, text = module.params["path"], openpgp.armored(b"".join(found[one] for one in kept))
    try:
        before = paths.read_text(path)
    except FileNotFoundError:
        before = ""
    if before != text and not module.check_mode:
        with paths.folder(os.path.dirname(path), make=True):
            paths.write_text(path, text, os.geteuid(), os.getegid())
    return {"changed": before != text, "installed": kept}


def main():
    module = Module(
        argument_spec={
            "url": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "fingerprints": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    answer_with(install, module)


if __name__ == "__main__":
    main()
