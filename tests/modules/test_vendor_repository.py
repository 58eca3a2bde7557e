"""Somebody else's entry for a repository, and a repository that changes its name: with the real apt, in a folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.ansible_module import run_module

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt: run it on Debian or Ubuntu")


class Host:
    """apt with sources and lists of its own, and a repository that it reads from a folder."""

    def __init__(self, folder: Path) -> None:
        self.sources, self.entry, self.repository = folder / "sources.list", folder / "ours.list", folder / "repository"
        for name in ("lists/partial", "cache/archives/partial", "parts", "repository"):
            (folder / name).mkdir(parents=True)
        self.sources.touch()
        (self.repository / "Packages").touch()
        config = folder / "apt.conf"
        config.write_text(
            f'Dir::Etc::SourceList "{self.sources}";\nDir::Etc::SourceParts "{folder}/parts";\n'
            f'Dir::State::Lists "{folder}/lists";\nDir::Cache "{folder}/cache";\nAPT::Sandbox::User "";\n',
            encoding="utf-8",
        )
        self.environment = {**os.environ, "APT_CONFIG": str(config)}

    def called(self, origin: str) -> None:
        """What the repository says of itself."""
        (self.repository / "Release").write_text(f"Origin: {origin}\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n")

    def module(self, **arguments: Any) -> dict[str, Any]:
        return run_module(
            "vendor_repository",
            {"uri": f"file:{self.repository}", "path": str(self.entry), **arguments},
            environment=self.environment,
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_entry_that_apt_never_read_is_found(host: Host) -> None:
    """An entry without lists (no key, or no update since) is used, because a second one breaks apt."""
    host.sources.write_text(f"deb file:{host.repository} stable main\n")
    assert host.module(state="look")["theirs"] == f"{host.sources}:1"


def test_our_repository_may_change_its_origin(host: Host) -> None:
    """Where a repository of ours describes itself anew, the next entry is read and not taken back."""
    line = f"deb [trusted=yes] file:{host.repository} ./\n"
    host.called("grafana stable")
    first = host.module(content=line)
    assert first.get("changed") is True, first
    host.called(". stable")
    second = host.module(content="# Another release of the playbook.\n" + line)
    assert "failed" not in second, second
    assert host.entry.read_text().startswith("# Another release")
