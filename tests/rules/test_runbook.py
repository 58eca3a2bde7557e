"""The runbook: complete, in step with the rules, and every query and command in it works."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from html.parser import HTMLParser

import promql_parser
import pytest

from tests.rules.cases import PROMETHEUS, REPO
from tests.rules.conftest import run
from tests.rules.contract import METRICS, SEVERITIES
from tests.rules.promql import matched_labels, selectors
from tests.rules.runbook_blocks import ALLOWED, PLACEHOLDERS, Block, blocks, sections
from tests.rules.test_rules_lint import KNOWN
from tests.rules.worlds import Worlds

PARTS = [
    "Description", "Impact", "Is it real?", "Investigation", "Root causes", "Quick fix", "Long-term resolution",
    "Prevention checklist", "Related alerts",
]  # fmt: skip
GENERAL = ["General troubleshooting", "Quick diagnostics", "Common issues", "Drill", "Escalation path"]
ALL = blocks()
QUERIES = [block for block in ALL if block.language == "promql"]
COMMANDS = [block for block in ALL if block.language == "bash"]
OFFLINE = [block for block in COMMANDS if not block.needs_host]


def named(block: Block) -> str:
    """How a block is called in test output."""
    return block.id


def test_every_alert_has_a_section_and_nothing_else() -> None:
    """There is a section for every alert, and none for anything else."""
    assert set(sections()) - {"Silencing an alert", *GENERAL} == set(SEVERITIES)
    assert set(GENERAL) <= set(sections())


@pytest.mark.parametrize("alert", SEVERITIES)
def test_a_section_has_all_its_parts_in_order(alert: str) -> None:
    assert sections()[alert] == PARTS
    real = [block for block in QUERIES if block.section == alert and block.part == "Is it real?"]
    assert len(real) == 1
    assert ("real" in real[0].flags) == (alert != "Watchdog")
    text = (PROMETHEUS / "ALERT_RUNBOOK.md").read_text(encoding="utf-8").split(f"\n## {alert}\n")[1].split("\n## ")[0]
    for needed in ("| cause | likelihood |", "- [ ] ", "\n1. "):
        assert needed in text


def test_rule_blocks_and_page_are_up_to_date() -> None:
    checked = run(sys.executable, "-m", "prometheus.generator", "--check", folder=REPO)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_page_is_self_contained_and_its_links_work() -> None:
    """The page is self-contained, and its links lead somewhere."""
    ids: list[str] = []
    links: list[str] = []
    loads: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            ids.extend(value for key, value in attrs if key == "id" and value)
            if tag == "a":
                links.append(given.get("href") or "")
            if tag in ("script", "img", "link", "iframe"):
                loads.append(tag)

    text = (PROMETHEUS / "web" / "runbook.html").read_text(encoding="utf-8")
    Reader().feed(text)
    assert loads == []
    assert "<!--" not in text
    assert len(set(ids)) == len(ids)
    assert {alert.lower() for alert in SEVERITIES} <= set(ids)
    for link in links:
        assert link.startswith("http://localhost:") or link.removeprefix("#") in ids


@pytest.mark.parametrize("block", ALL, ids=named)
def test_blocks_are_of_a_kind_that_is_tested(block: Block) -> None:
    assert block.language in ("promql", "bash", "yaml")
    if block.language == "bash":
        assert set(block.commands) <= ALLOWED


@pytest.mark.predecessor("D37")
@pytest.mark.parametrize("block", QUERIES, ids=named)
def test_queries_use_promised_metrics_and_labels(block: Block) -> None:
    for selector in selectors(promql_parser.parse(block.text)):
        if selector.name is None:
            continue
        known = METRICS.get(selector.name) or KNOWN[selector.name]
        assert matched_labels(selector) <= known


@pytest.mark.parametrize("block", QUERIES, ids=named)
def test_queries_answer_when_the_alert_has_its_reason(block: Block, worlds: Worlds) -> None:
    assert worlds.firing.ask(block.text), f"no rows: {block.text}"


@pytest.mark.parametrize("block", [block for block in QUERIES if "real" in block.flags], ids=named)
def test_is_it_real_says_no_at_a_near_miss(block: Block, worlds: Worlds) -> None:
    assert worlds.healthy.ask(block.text) == []


@pytest.fixture(scope="session")
def command_path(worlds: Worlds, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with promtool and amtool of the release and the command line of this checkout."""
    from tests.support.debian_binaries import cache_dir

    folder = cache_dir() / "rules-commands"
    folder.mkdir(parents=True, exist_ok=True)
    for name, entry in (("hypertool", "main"), ("tta-persona", "main_persona")):
        script = folder / name
        script.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(REPO / 'instrumentation')!r})\n"
            f"from hypertool.cli import {entry}\nsys.exit({entry}())\n",
            encoding="utf-8",
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return os.pathsep.join([str(folder), *map(str, worlds.programs), os.environ["PATH"]])


@pytest.mark.parametrize("block", OFFLINE, ids=named)
def test_commands_that_need_no_host_work(
    block: Block, worlds: Worlds, command_path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = block.text.replace("/etc/hypertool/prometheus", str(PROMETHEUS))
    text = text.replace("/etc/hypertool/alertmanager", str(PROMETHEUS / "alertmanager"))
    # This machine's own folders change while other tests make hosts.
    text = text.replace("/var/lib /var/log", f"{PROMETHEUS} {PROMETHEUS}")
    for known, here in (("http://127.0.0.1:9090", worlds.firing.url), ("http://127.0.0.1:9093", worlds.alertmanager)):
        text = text.replace(known, here)
    # These two have no password.
    for option in (
        " --netrc-file /etc/hypertool/secrets/netrc",
        " --http.config.file=/etc/hypertool/secrets/amtool.yml",
    ):
        text = text.replace(option, "")
    state = tmp_path_factory.getbasetemp() / "state"
    state.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        **dict.fromkeys(PLACEHOLDERS, worlds.firing.url),
        "PATH": command_path,
        "HYPERTOOL_STATE_DIR": str(state),
    }
    shell = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(shell, env=environment, cwd=state, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


def test_commands_know_the_password() -> None:
    """Prometheus, Alertmanager and Alloy of a host ask for it; every command that asks them reads it from its file."""
    lines = [line for block in COMMANDS for line in block.text.splitlines()]
    asking = [line for line in lines if re.search(r"127\.0\.0\.1:(909[03]|12345)", line)]
    assert asking
    assert [line for line in asking if "/etc/hypertool/secrets/" not in line] == []


def test_only_host_commands_are_left_to_host_tests() -> None:
    """Only commands that need an installed host are left to the tests of hosts."""
    left = [block.id for block in COMMANDS if block.needs_host]
    assert 0 < len(left) < len(COMMANDS)
