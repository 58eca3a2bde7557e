"""Runs one of our Ansible modules the way a host does: a Python process that reads its arguments and prints JSON.

Or a play of them on this machine, by the real ansible-playbook.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

import ansible.module_utils as shared

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "ansible/module_utils"
# Ansible puts module_utils beside the module it sends; here the import path does. 2.19 asks for a profile by name.
_START = """
import runpy, sys
import ansible.module_utils as shared
from ansible.module_utils import basic
utils, module = sys.argv[1:]
del sys.argv[1:]
shared.__path__.append(utils)
basic._ANSIBLE_PROFILE = "legacy"
runpy.run_path(module, run_name="__main__")
"""


def shared_code(name: str) -> ModuleType:
    """What our modules import as ansible.module_utils.hypertool.NAME."""
    if str(UTILS) not in shared.__path__:
        shared.__path__.append(str(UTILS))
    return importlib.import_module(f"ansible.module_utils.hypertool.{name}")


def run_module(
    name: str,
    arguments: dict[str, Any],
    check_mode: bool = False,
    environment: dict[str, str] | None = None,
    timeout: float = 300,
) -> dict[str, Any]:
    """What it answers; `failed` is in it if it failed. Raises AssertionError if it prints anything but JSON."""
    given = {"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check_mode, "_ansible_verbosity": 3}}
    done = subprocess.run(
        [sys.executable, "-c", _START, str(UTILS), str(ROOT / f"ansible/library/{name}.py")],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{name} printed no JSON:\n{done.stdout[-3000:]}{done.stderr[-3000:]}") from None
    return answer


def run_playbook(
    play: str, folder: Path, *arguments: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a play with our modules on this machine; what Ansible writes beside is below `folder`."""
    path = folder / "play.yml"
    path.write_text(play, encoding="utf-8")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    return subprocess.run(
        [program, "-i", "localhost,", str(path), "-e", f"ansible_python_interpreter={sys.executable}", *arguments],
        env={
            **os.environ,
            "ANSIBLE_LIBRARY": str(ROOT / "ansible/library"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
            "ANSIBLE_MODULE_UTILS": str(UTILS),
            "ANSIBLE_REMOTE_TEMP": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def run_task(task: str, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a play of one task, a line of YAML or several, at the verbosity and with the differences of -vvv --diff."""
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [yaml.safe_load(task)]}]
    return run_playbook(yaml.safe_dump(play), folder, "-vvv", "--diff", *arguments, environment=environment)
