"""The persona commands, each run as a person runs it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.hypertool_host import Host
from tests.support.personas import BUDGETS
from tests.support.small_disk import small_disk_at


def said(host: Host, *arguments: str, **more: str) -> str:
    done = host.hypertool(*arguments, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_switch_continues_across_processes(host: Host) -> None:
    """A switch knows the persona of the process before, and closes its session."""
    assert said(host, "switch", "backend", "--chatmode", "bug-fix") == "none -> backend-engineer (bug-fix)\n"
    assert said(host, "switch", "testing") == "backend-engineer -> testing-specialist (bug-fix)\n"
    assert said(host, "end").startswith("ended testing-specialist (bug-fix) after ")
    assert host.counters("sw") == {
        ("none", "backend-engineer", "bug-fix"): 1,
        ("backend-engineer", "testing-specialist", "bug-fix"): 1,
    }
    durations = host.durations("pd")
    assert {key: count for key, (count, _) in durations.items()} == {
        ("backend-engineer", "bug-fix"): 1,
        ("testing-specialist", "bug-fix"): 1,
    }
    assert all(0 < seconds < 30 for _, seconds in durations.values())


def test_new_chatmode_counts_no_switch(host: Host) -> None:
    """The same persona with another chatmode closes the session and counts no switch."""
    said(host, "switch", "backend")
    assert said(host, "switch", "backend", "--chatmode", "bug-fix") == "backend-engineer: chatmode default -> bug-fix\n"
    assert said(host, "switch", "backend") == "already backend-engineer (bug-fix)\n"
    assert host.counters("sw") == {("none", "backend-engineer", "default"): 1}
    assert {key: count for key, (count, _) in host.durations("pd").items()} == {("backend-engineer", "default"): 1}


@pytest.mark.predecessor("D33")
def test_every_alias_is_accepted_and_never_a_label(host: Host) -> None:
    for alias in ("backend", "tta-backend-engineer", "data-science", "ds", "obs", "frontend-engineer"):
        said(host, "switch", alias)
    personas = {label for key in host.counters("sw") for label in key[:2]}
    assert personas == {"none", "backend-engineer", "data-scientist", "observability-expert", "frontend-engineer"}


def test_current_is_none_before_and_after(host: Host) -> None:
    assert said(host, "current") == "none\n"
    said(host, "switch", "obs")
    assert said(host, "current") == "observability-expert\n"
    said(host, "end")
    assert said(host, "current") == "none\n"
    assert said(host, "end") == "none\n"


def test_workspaces_have_their_own_persona(host: Host, tmp_path: Path) -> None:
    """Each workspace has its own current persona; the numbers are shared."""
    for name in ("one", "two"):
        (tmp_path / name / "src" / "deep").mkdir(parents=True)
        (tmp_path / name / ".git").mkdir()
    host.hypertool("switch", "backend", cwd=tmp_path / "one")
    host.hypertool("switch", "testing", cwd=tmp_path / "two" / "src")
    assert host.hypertool("current", cwd=tmp_path / "one" / "src" / "deep").stdout == "backend-engineer\n"
    assert host.hypertool("current", cwd=tmp_path / "two").stdout == "testing-specialist\n"
    assert host.hypertool("current").stdout == "none\n"
    assert host.counters("sw") == {
        ("none", "backend-engineer", "default"): 1,
        ("none", "testing-specialist", "default"): 1,
    }


def test_concurrent_switches_form_one_path(host: Host) -> None:
    """Two switches at the same time are two steps of one path."""
    names = ["backend", "testing", "devops", "data", "obs", "frontend"]
    running = [host.background(host.command("switch", name), stdout=subprocess.PIPE) for name in names]
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    switches = host.counters("sw")
    assert sum(switches.values()) == len(names)
    origins = [key[0] for key in switches]
    targets = [key[1] for key in switches]
    last = host.hypertool("current").stdout.strip()
    assert sorted([*origins, last]) == sorted(["none", *targets]), "each switch starts where another one ended"


def test_json_is_for_programs(host: Host) -> None:
    (host.work / ".git").mkdir()
    switch = json.loads(said(host, "switch", "backend", "--chatmode", "bug-fix", "--json"))
    assert switch == {
        "from": "none",
        "to": "backend-engineer",
        "chatmode": "bug-fix",
        "changed": True,
        "switched": True,
        "store": str(host.state),
        "notes": [],
    }
    current = json.loads(said(host, "current", "--json"))
    assert (current["persona"], current["chatmode"]) == ("backend-engineer", "bug-fix")
    status = json.loads(said(host, "status", "--json"))
    assert status["workspace"] == str(host.work)
    assert status["budget"] == {"limit": 2000, "remaining": 2000, "window": "run", "exceeded": 0}
    listed = json.loads(said(host, "list", "--json"))["personas"]
    assert [p["name"] for p in listed if p["active"]] == ["backend-engineer"]
    assert len(listed) == 6
    budgets = json.loads(said(host, "budget", "--json"))["budgets"]
    assert {name: budget["limit"] for name, budget in budgets.items()} == BUDGETS
    assert json.loads(said(host, "end", "--json"))["ended"]["persona"] == "backend-engineer"
    assert json.loads(said(host, "current", "--json"))["persona"] is None


def test_tta_persona_has_only_persona_commands(host: Host) -> None:
    """`tta-persona` has the persona commands and no others."""
    done = host.hypertool("switch", "backend", "--chatmode", "package-release", program="main_persona")
    assert (done.returncode, done.stdout) == (0, "none -> backend-engineer (package-release)\n")
    for command in ("list", "current", "status", "budget", "end"):
        assert host.hypertool(command, program="main_persona").returncode == 0, command
    done = host.hypertool("baseline", program="main_persona")
    assert done.returncode == 2
    assert done.stderr.startswith("tta-persona: ")


@pytest.mark.predecessor("D33")
@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("bogus",),
        ("switch",),
        ("switch", "nobody"),
        ("switch", "backend", "--bogus"),
        ("switch", "backend", "extra"),
        ("switch", "none"),
        ("switch", "unknown"),
        ("switch", ""),
        ("switch", "backend", "--chatmode"),
        ("switch", "backend", "--chatmode", ""),
        ("switch", "backend", "--chatmode", "a\nb"),
        ("switch", "backend", "--chatmode", "\x1b[31m"),
        ("switch", "backend", "--chatmode", "x" * 4096),
        ("switch", "backend", "--chat", "x"),
        ("budget", "--persona", "nobody"),
        ("budget", "--persona"),
        ("current", "now"),
        ("switch", "x" * 5000),
        ("switch", "\udcff"),
        ("drill", "nothing"),
        ("exporter", "--port", "3"),
    ],
)
def test_wrong_use_is_exit_2_and_one_line(host: Host, arguments: tuple[str, ...]) -> None:
    """Wrong use is exit 2, one line on stderr, and changes nothing."""
    done = host.hypertool(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("hypertool: ")
    assert len(line) < 700
    assert "\x1b" not in line
    assert not host.state.exists()


def test_unknown_persona_names_the_known_ones(host: Host) -> None:
    """The error for an unknown persona lists the known ones."""
    line = host.hypertool("switch", "bakend-engineer").stderr
    assert "bakend-engineer" in line
    assert "did you mean 'backend-engineer'" in line
    for name in ("backend-engineer", "testing-specialist", "data-scientist"):
        assert name in line


def test_broken_configuration_names_its_line(host: Host) -> None:
    """A broken configuration is refused with its file and line."""
    host.config.write_text("[personas.backend-engineer]\ntokens = -5\n")
    for command in (
        ("switch", "backend"),
        ("list",),
        ("status",),
        ("budget",),
        ("end",),
        ("baseline",),
        ("gate", "--workflow", "w", "--stage", "s", "--persona", "backend", "--", "touch", "ran"),
    ):
        done = host.hypertool(*command)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), (command, done.stderr)
        assert f"{host.config}:2" in done.stderr
    assert not (host.work / "ran").exists()


def test_corrupt_session_is_kept_aside(host: Host) -> None:
    """A corrupt session file is kept aside, with one line that says so."""
    said(host, "switch", "backend")
    (session,) = host.state.glob("sessions-*/*.json")
    session.write_text("{ not json")
    first = host.hypertool("current")
    assert (first.returncode, first.stdout) == (0, "none\n")
    assert "kept as" in first.stderr
    assert len(first.stderr.splitlines()) == 1
    assert said(host, "current") == "none\n"
    assert said(host, "switch", "testing") == "none -> testing-specialist (default)\n"


def test_forgotten_persona_allows_a_switch(host: Host) -> None:
    """A current persona that the configuration no longer has does not prevent the next switch."""
    host.config.write_text("[personas.poet]\ntokens = 10\n")
    said(host, "switch", "poet")
    host.config.write_text("")
    assert host.hypertool("switch", "backend").returncode == 0
    assert host.counters("sw") == {("none", "poet", "default"): 1, ("none", "backend-engineer", "default"): 1}


@pytest.mark.parametrize(
    "command",
    [("switch", "backend"), ("end",), ("baseline",), ("budget", "--reset"), ("drill", "token-budget-exceeded")],
)
def test_an_unwritable_store_is_one_line_and_exit_1(host: Host, command: tuple[str, ...]) -> None:
    host.state.write_text("a file")
    done = host.hypertool(*command)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert str(host.state) in done.stderr


def test_refused_switch_did_not_happen(host: Host) -> None:
    """If the store refuses a switch, the current persona stays the same."""
    said(host, "switch", "backend")
    (host.state / "live").rename(host.state / "elsewhere")
    (host.state / "live").write_text("in the way")
    done = host.hypertool("switch", "testing")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert str(host.state) in done.stderr
    assert said(host, "current") == "backend-engineer\n"


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a full file system: run the tests as root")
@pytest.mark.parametrize("below", ["", "live"])
def test_full_disk_prevents_the_switch(host: Host, below: str) -> None:
    """A full disk is one line of error, and the current persona stays the same."""
    full = host.state / below
    full.mkdir(parents=True)
    with small_disk_at(full, "0700"):
        said(host, "switch", "backend")
        filler = full / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 1024):
                    pass
            except OSError:
                pass
        done = host.hypertool("switch", "testing")
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "No space left" in done.stderr
        filler.unlink()
        assert said(host, "current") == "backend-engineer\n"
        assert said(host, "switch", "testing") == "backend-engineer -> testing-specialist (default)\n"
        assert host.counters("sw") == {
            ("none", "backend-engineer", "default"): 1,
            ("backend-engineer", "testing-specialist", "default"): 1,
        }


def test_a_reader_that_goes_away_is_no_error_of_ours(host: Host) -> None:
    command = " ".join(f"'{word}'" for word in host.command("list"))
    done = host.start(["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"], 20)
    assert done.stderr == ""
    assert done.stdout in ("0\n", "141\n")


def test_closed_streams_give_no_traceback(host: Host) -> None:
    """A closed stdout or stderr causes no traceback."""
    command = " ".join(f"'{word}'" for word in host.command("switch", "nobody"))
    done = host.start(["bash", "-c", f"{command} 2>&-; echo $?"], 20)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_a_switch_imports_nothing_heavy(host: Host) -> None:
    done = host.python("""
        import sys
        from hypertool.cli import main
        code = main(["switch", "backend"])
        heavy = {"prometheus_client", "opentelemetry", "asyncio", "http", "ssl", "subprocess", "inspect", "dataclasses",
                 "hashlib", "uuid", "difflib", "shutil", "concurrent", "multiprocessing", "requests", "email"}
        print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
    """)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command(host: Host) -> None:
    text = said(host, "--help")
    for command in (
        "switch",
        "list",
        "current",
        "status",
        "budget",
        "end",
        "exporter",
        "alert-log",
        "baseline",
        "workflow",
        "gate",
        "drill",
    ):
        assert f"\n    {command}" in text
        assert said(host, command, "--help").startswith("usage: hypertool ")
    assert said(host, "--version").startswith("hypertool 0.")


def test_a_workspace_that_was_removed_still_answers(host: Host) -> None:
    gone = host.work / "gone"
    gone.mkdir()
    command = " ".join(f"'{word}'" for word in host.command("current"))
    done = host.start(["bash", "-c", f"cd '{gone}' && rmdir '{gone}' && {command}"], 20)
    assert (done.returncode, done.stdout) == (0, "none\n")


def test_status_shows_the_series_budget(host: Host) -> None:
    """The series budget is shown with the series that exist from the start."""
    rows = {row["name"]: row for row in json.loads(said(host, "status", "--series", "--json"))["series"]}
    assert rows["hypertool_persona_token_budget_limit"] == {
        "name": "hypertool_persona_token_budget_limit",
        "from_start": 6,
        "at_most": 7,
    }
    assert all(row["from_start"] <= row["at_most"] for row in rows.values())
    assert "from start" in said(host, "status", "--series").splitlines()[0]
