"""Runs one of our Ansible modules the way a host does: a Python process that reads its arguments and prints JSON."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

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
