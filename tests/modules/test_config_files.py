"""Files that a play makes once and leaves to people, by the real module."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.support.ansible_module import run_module

MARK = "(?m)^# Written by Ansible from hypertool_personas"


def bring(folder: Path, content: str, **more: Any) -> dict[str, Any]:
    given = {"path": str(folder), "prune": False, "create_only": True, "ours": MARK, "files": {"a.toml": content}}
    answer = run_module("config_tree", {**given, **more})
    assert not answer.get("failed"), answer
    return answer


def test_what_the_inventory_wrote_goes_with_it(tmp_path: Path) -> None:
    """Budgets that an inventory wrote do not stay when the variable is taken out of the inventory."""
    file = tmp_path / "a.toml"
    file.write_text("# Personas\n# Written by Ansible from hypertool_personas: changes are overwritten.\ntokens = 1\n")
    assert bring(tmp_path, "# yours\n")["changed"]
    assert file.read_text() == "# yours\n"


def test_what_a_person_wrote_stays(tmp_path: Path) -> None:
    """A file without our mark is its owner's, whatever is in it."""
    file = tmp_path / "a.toml"
    file.write_text("tokens = 5 # as Written by Ansible from hypertool_personas\n")
    assert bring(tmp_path, "# yours\n")["changed_files"] == []
    assert file.read_text().startswith("tokens = 5")


def test_folders_are_readable_whatever_the_umask(tmp_path: Path) -> None:
    """A hardened host's umask of 077 does not close the folders in which services look for their files."""
    before = os.umask(0o077)
    try:
        bring(tmp_path / "etc" / "hypertool" / "prometheus", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "etc").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "etc" / "hypertool").stat().st_mode & 0o777 == 0o755
