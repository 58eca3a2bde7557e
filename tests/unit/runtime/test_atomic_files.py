"""A file is replaced whole; what is no file is never replaced by one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hypertool.llm.pricing import convert
from hypertool.runtime import atomic_files


def test_pipe_and_device_stay(tmp_path: Path) -> None:
    """Root may replace `/dev/null`, and its own terminal's link, by a file; nothing of ours does."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for path in (pipe, link, Path("/dev/null"), Path("/dev/stdout"), Path("/proc/self/cmdline"), tmp_path):
        with pytest.raises(OSError, match=r"folder for files|not a regular file"):
            atomic_files.replace(str(path), b"text", 0o644)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert Path("/dev/null").is_char_device()


def test_link_to_a_file_is_replaced(tmp_path: Path) -> None:
    """What the link pointed to stays as it is."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)
    atomic_files.replace(str(link), b"new", 0o640)
    assert (target.read_text(), link.read_text(), link.is_symlink()) == ("precious", "new", False)
    assert link.stat().st_mode & 0o777 == 0o640


def test_price_table_goes_through_no_link(tmp_path: Path) -> None:
    """A link beside the table, placed by another user who may write there, is not followed."""
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / ".prices.json.new").symlink_to(target)
    convert.write({"format": 1, "providers": {}}, tmp_path / "prices.json")
    assert target.read_text() == "precious"
    assert (tmp_path / "prices.json").read_text().startswith("{")
