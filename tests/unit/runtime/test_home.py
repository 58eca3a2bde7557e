"""Whose home this user's files go to."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from hypertool.domain.personas import user_file
from hypertool.runtime.home import own_home
from hypertool.store import workspace_files
from hypertool.store.directory import own_directory

ANN = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners are changed: run pytest as root")


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Ann's home, which is in the environment, and this user's own."""
    for name in ("HYPERTOOL_STATE_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    ann, own = tmp_path / "ann", tmp_path / "own"
    ann.mkdir()
    own.mkdir()
    monkeypatch.setenv("HOME", str(ann))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_dir=str(own)))
    return ann, own


def test_own_home_is_the_environments(homes: tuple[Path, Path]) -> None:
    assert own_home() == str(homes[0])


@as_root
def test_files_stay_out_of_another_users_home(homes: tuple[Path, Path]) -> None:
    """With `sudo -E`, HOME is the caller's: root's store, sessions and configuration are not there."""
    ann, own = homes
    os.chown(ann, ANN, ANN)
    for place in (own_directory(), workspace_files.directory("sessions"), user_file()):
        assert own in place.parents


@as_root
@pytest.mark.parametrize("missing", ["no entry", "no folder", "another user's"])
def test_without_a_home_the_environment_is_right(
    missing: str, homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a home of their own, as in many containers, keeps the one that the environment names."""
    ann, own = homes
    os.chown(ann, ANN, ANN)
    if missing == "no entry":
        monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    elif missing == "no folder":
        own.rmdir()
    else:
        os.chown(own, ANN, ANN)
    assert own_home() == str(ann)
