"""`hypertool status --line` and `--watch`."""

from __future__ import annotations

import os
import pty
import signal
import subprocess

from tests.support.hypertool_host import Host, wait_until


def test_line_says_what_is_left(host: Host) -> None:
    """One line: persona, chatmode, and the rest of its budget."""
    assert host.hypertool("status", "--line").stdout == "no persona\n"
    host.hypertool("switch", "backend", "--chatmode", "bug-fix")
    said = host.hypertool("status", "--line").stdout
    assert said == "backend-engineer (bug-fix) 2,000 of 2,000 tokens left\n"


def test_line_shows_what_a_terminal_obeys(host: Host) -> None:
    """A status bar sends the line to a terminal: what it would obey there is written out."""
    host.hypertool("switch", "backend")
    (session,) = (one for top in (host.home, host.state) for one in top.rglob("sessions*/*.json"))
    session.write_text(session.read_text().replace('"default"', r'"\u001b]0;x\u0007"'))
    said = host.hypertool("status", "--line").stdout
    assert said.startswith(r"backend-engineer (\x1b]0;x\x07) ")


def test_watch_prints_changes(host: Host) -> None:
    """Where its output is no terminal, each change is one line, and an interrupt ends it."""
    out = host.work / "lines"
    with out.open("w") as file, host.background(host.command("status", "--watch"), stdout=file) as watching:
        wait_until(lambda: out.read_text() == "no persona\n", "the first line")
        host.hypertool("switch", "testing")
        wait_until(lambda: out.read_text().splitlines()[1:2], "the line of the switch")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
    assert out.read_text().splitlines()[1] == "testing-specialist (default) 1,500 of 1,500 tokens left"


def test_watch_gives_the_terminal_back(host: Host) -> None:
    """On a terminal it draws every budget on the alternate screen, and leaves it when interrupted."""
    ours, theirs = pty.openpty()
    seen = b""
    with host.background(host.command("status", "--watch"), stdout=theirs, stderr=subprocess.DEVNULL) as watching:
        os.close(theirs)
        while b"testing-specialist" not in seen:
            seen += os.read(ours, 4096)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
    while not seen.endswith(b"\x1b[?1049l"):
        seen += os.read(ours, 4096)
    os.close(ours)
    assert seen.startswith(b"\x1b[?1049h")
