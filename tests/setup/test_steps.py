"""A long step shows that it goes on; a failed one shows what matters; an interruption leaves nothing running."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path

from tests.setup.script import PARTS, Run
from tests.support.box import until

OPEN = 'set -m; open_log "$FOLDER" >/dev/null; trap interrupted INT TERM\n'


def test_failed_step_shows_lines_log_and_next_step(shell: Run, tmp_path: Path) -> None:
    """A failed step shows its last lines, the log and the next step."""
    code = OPEN + 'broken() { seq 1 100; echo "the reason"; return 3; }; step one "Breaking" broken; echo not reached'
    done = shell(code, FOLDER=str(tmp_path))
    assert done.returncode == 1
    assert "FAILED: Breaking (exit 3" in done.stderr
    assert "the reason" in done.stderr
    assert "    81\n" not in done.stderr
    assert "run the same command again" in done.stderr
    assert "not reached" not in done.stdout
    log = next(tmp_path.glob("setup-*.log"))
    assert str(log) in done.stderr
    assert "the reason" in log.read_text()


def test_ansible_s_own_error_is_what_is_shown(shell: Run, tmp_path: Path) -> None:
    output = r"TASK [a] **\nok: [h]\n[ERROR]: Task failed: the real reason\nOrigin: x.yml:1\nPLAY RECAP ***\n"
    done = shell(OPEN + f"broken() {{ printf '{output}'; return 2; }}; step one Playing broken", FOLDER=str(tmp_path))
    assert "the real reason" in done.stderr
    assert "PLAY RECAP" not in done.stderr


def test_a_failing_command_inside_a_step_fails_it(shell: Run, tmp_path: Path) -> None:
    done = shell(OPEN + "broken() { false; echo went on; }; step one Breaking broken", FOLDER=str(tmp_path))
    assert done.returncode == 1
    assert "went on" not in done.stderr


def test_a_long_step_says_that_it_goes_on(shell: Run, tmp_path: Path) -> None:
    code = OPEN + "HEARTBEAT_SECONDS=1; slow() { echo fetching; sleep 2.5; }; step one Waiting slow"
    done = shell(code, FOLDER=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Waiting: 1 s - fetching" in done.stdout
    assert "Waiting: done in" in done.stdout


def test_interruption_ends_children_and_says_what_next(tmp_path: Path) -> None:
    """An interruption ends what was started and says how to go on."""
    code = (
        f'set -euo pipefail; PROGRAM=setup; source "{PARTS}/ui.sh"; {OPEN}'
        + f'slow() {{ sleep 300 & echo $! >"{tmp_path}/child"; wait; }}; step one Waiting slow'
    )
    process = subprocess.Popen(
        ["bash", "-c", code],
        env={**os.environ, "FOLDER": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    child = tmp_path / "child"
    number = until("the step to start", 20, lambda: (child.exists() and child.read_text().strip()) or None)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Run the same command again" in errors
    until("the step's child to end", 20, lambda: not Path(f"/proc/{number}").exists() or None)


def test_a_second_run_at_the_same_time_is_refused(shell: Run, tmp_path: Path) -> None:
    lock = tmp_path / ".setup.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = shell('only_one "$FOLDER"; echo went on', FOLDER=str(tmp_path))
    assert done.returncode == 1
    assert "another run of this script is in progress" in done.stderr
    assert "went on" not in done.stdout


def test_what_a_step_starts_does_not_hold_the_lock(shell: Run, tmp_path: Path) -> None:
    code = 'only_one "$FOLDER"; ' + OPEN + "service() { sleep 20 & }; step one Starting service"
    assert shell(code, FOLDER=str(tmp_path)).returncode == 0
    assert shell('only_one "$FOLDER"', FOLDER=str(tmp_path)).returncode == 0
