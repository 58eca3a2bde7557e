#!/usr/bin/python
# Installs a wheelhouse as a new virtual environment, and switches a link to it only when it works.
from __future__ import annotations

import glob
import os
import shutil
import tarfile
import tempfile

from ansible.module_utils.hypertool import paths
from ansible.module_utils.hypertool.errors import HostError
from ansible.module_utils.hypertool.frame import settled_module

DOCUMENTATION = r"""
module: venv_release
short_description: Install a wheelhouse archive as a release and switch to it atomically
description:
  - Builds a new virtual environment under O(releases) from the archive, without any network, runs O(smoke) in it, and
    only then points O(path) at it. A build that fails or is interrupted never replaces the one in use.
  - Where nothing in it is compiled but O(accelerators), it goes on working when an upgrade of the distribution brings a
    newer Python 3.
options:
  archive:
    description: A tar file with wheels and a C(requirements.txt) that pins them by hash. On the managed host.
    type: path
    required: true
  digest:
    description: What identifies the archive's content. A release with this digest that works is left alone.
    type: str
    required: true
  path:
    description: The link to the environment in use.
    type: path
    required: true
  releases:
    description: The folder of the environments.
    type: path
    required: true
  python:
    description: The interpreter to build it with.
    type: path
    required: true
  smoke:
    description: Python code that must run without error in the new environment.
    type: str
    required: true
  standalone:
    description:
      - Programs that need one package of the wheelhouse and Python's own library only, by the name of their folder in
        the environment, each with C(package) and C(arguments). `PYTHON -I FOLDER` runs it with any later Python.
    type: dict
    default: {}
  accelerators:
    description: Compiled modules without which their packages work too, only slower, each as C(package/module).
    type: list
    elements: str
    default: []
  links:
    description: Links to make, each to a program of the environment.
    type: dict
    default: {}
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Install the package
  venv_release:
    archive: /opt/hypertool/wheelhouse.tar
    digest: "{{ wheelhouse.digest }}"
    path: /opt/hypertool/venv
    releases: /opt/hypertool/releases
    python: /usr/bin/python3
    smoke: import hypertool
    links:
      /usr/local/bin/hypertool: bin/hypertool
"""

RETURN = r"""
previous:
  description: The environment that was in use before, if this run switched away from a complete one.
  returned: always
  type: str
release:
  description: The environment in use.
  returned: always
  type: str
"""

MARK = ".complete"
# Minor versions after the oldest supported Python, for years to come.
MINORS = range(10, 30)


def run(module, argv, doing):
    rc, out, err = module.run_command(
        argv, environ_update={"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    )
    if rc != 0:
        tail = "\n".join((out + err).strip().splitlines()[-12:])
        module.fail_json(msg=f"{doing} failed; the environment in use was not touched. Last lines:\n{tail}")


def works(module, release):
    """Whether the release is complete and its interpreter still runs (a system upgrade may have replaced it)."""
    if not os.path.exists(os.path.join(release, MARK)):
        return False
    rc, _, _ = module.run_command([os.path.join(release, "bin/python"), "-I", "-c", module.params["smoke"]])
    return rc == 0


def build(module, release):
    if os.path.exists(release):
        shutil.rmtree(release)
    with tempfile.TemporaryDirectory(dir=module.params["releases"]) as unpacked:
        with tarfile.open(module.params["archive"]) as archive:
            for member in archive.getmembers():
                if not member.isfile() or "/" in member.name:
                    module.fail_json(
                        msg=f"{module.params['archive']} holds {member.name!r}: only plain files are expected"
                    )
                archive.extract(member, unpacked)
        run(
            module,
            [module.params["python"], "-m", "venv", release],
            "making the virtual environment (is python3-venv installed?)",
        )
        run(
            module,
            [
                os.path.join(release, "bin/pip"),
                "install",
                "--quiet",
                "--no-index",
                "--find-links",
                unpacked,
                "--require-hashes",
                "--requirement",
                os.path.join(unpacked, "requirements.txt"),
            ],
            "installing the wheels",
        )
        keep_wheels(unpacked, release)
    serve_later_pythons(release, module.params["accelerators"])
    for name, program in module.params["standalone"].items():
        make_standalone(module, release, name, program)
    run(
        module,
        [os.path.join(release, "bin/python"), "-I", "-c", module.params["smoke"]],
        "trying the new environment",
    )
    with open(os.path.join(release, MARK), "w", encoding="utf-8") as handle:
        handle.write(module.params["digest"] + "\n")


def keep_wheels(unpacked, release):
    """Keep the wheels beside the environment, so that users of the host can install from them as well."""
    folder = os.path.join(release, "wheels")
    os.mkdir(folder)
    for name in os.listdir(unpacked):
        if name.endswith(".whl"):
            shutil.copyfile(os.path.join(unpacked, name), os.path.join(folder, name))


def serve_later_pythons(release, accelerators):
    """Link the packages where every later Python 3 looks for them, unless one needs a module compiled for this one."""
    library = os.path.join(release, "lib")
    (own,) = [name for name in os.listdir(library) if name.startswith("python3.")]
    packages = os.path.join(library, own, "site-packages")
    compiled = [
        os.path.relpath(os.path.join(folder, name), packages)
        for folder, _, names in os.walk(packages)
        for name in names
        if name.endswith(".so")
    ]
    if any(name.partition(".")[0] not in accelerators for name in compiled):
        return
    for minor in MINORS:
        path = os.path.join(library, f"python3.{minor}")
        if not os.path.lexists(path):
            os.symlink(own, path)


def make_standalone(module, release, name, program):
    """Create a folder that Python runs as a program: a copy of the package, with fixed arguments."""
    folder = os.path.join(release, name)
    (source,) = glob.glob(os.path.join(release, "lib", "python3.[0-9]*", "site-packages", program["package"]))[:1]
    shutil.copytree(source, os.path.join(folder, program["package"]), ignore=shutil.ignore_patterns("__pycache__"))
    with open(os.path.join(folder, "__main__.py"), "w", encoding="utf-8") as handle:
        handle.write(
            f"import sys\n\nfrom {program['package']}.cli import main\n\nsys.exit(main({program['arguments']!r}))\n"
        )


def link(module, path, target):
    """Point a link at a target atomically; True if it changed."""
    if os.path.islink(path) and os.readlink(path) == target:
        return False
    if os.path.lexists(path) and not os.path.islink(path):
        module.fail_json(msg=f"{path} exists and is not a link of ours; move it away and run again")
    if not module.check_mode:
        staged = path + ".new"
        if os.path.lexists(staged):
            os.unlink(staged)
        os.symlink(target, staged)
        os.replace(staged, path)
    return True


def prune(module, current, previous):
    """Remove all releases except the current and the previous one."""
    for name in os.listdir(module.params["releases"]):
        path = os.path.join(module.params["releases"], name)
        if path not in (current, previous):
            shutil.rmtree(path)


def main():
    module = settled_module(
        {
            "archive": {"type": "path", "required": True},
            "digest": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "releases": {"type": "path", "required": True},
            "python": {"type": "path", "required": True},
            "smoke": {"type": "str", "required": True},
            "standalone": {"type": "dict", "default": {}},
            "accelerators": {"type": "list", "elements": "str", "default": []},
            "links": {"type": "dict", "default": {}},
        }
    )
    path, releases = module.params["path"], module.params["releases"]
    try:
        for folder in (os.path.dirname(path), releases):
            paths.require_private(folder)
    except HostError as error:
        module.fail_json(msg=str(error))
    release = os.path.join(releases, module.params["digest"][:16])
    previous = os.readlink(path) if os.path.islink(path) else None
    changed = not works(module, release)
    if changed and not module.check_mode:
        os.makedirs(releases, mode=0o755, exist_ok=True)
        build(module, release)
    switched = link(module, path, release) if changed is False or not module.check_mode else True
    linked = [
        name for name, program in module.params["links"].items() if link(module, name, os.path.join(path, program))
    ]
    if switched and not module.check_mode:
        prune(module, release, previous)
    replaced = (
        previous
        if switched and previous and previous != release and os.path.exists(os.path.join(previous, MARK))
        else None
    )
    result = {"changed": changed or switched or bool(linked), "release": release, "previous": replaced}
    if result["changed"]:
        result["diff"] = {"before": f"{path} -> {previous}\n", "after": f"{path} -> {release}\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
