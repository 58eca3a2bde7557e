"""Every address that commands, plays and guides name is one that a test opens and finds content at."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rules.services import alertmanager
from tests.support.addresses import unknown
from tests.support.box import free_port
from tests.support.debian_binaries import NEWEST_RELEASE, OLDEST_RELEASE, alertmanager_binaries

ROOT = Path(__file__).resolve().parents[3]
HYPERTOOL = Path(sys.executable).with_name("hypertool")


def texts() -> list[Path]:
    """Guides, playbooks, scripts, and the package's own files."""
    kinds = ["*.md", "ansible/*.yml", "scripts/*.sh", "instrumentation/hypertool/*.py", "compose/*.yaml"]
    listed = subprocess.run(["git", "ls-files", *kinds], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


def test_every_named_address_is_opened() -> None:
    """No guide, playbook, script or module names an address that no test looks at."""
    files = texts()
    assert len(files) > 400
    found = {str(file.relative_to(ROOT)): unknown(file.read_text(encoding="utf-8")) for file in files}
    assert {name: addresses for name, addresses in found.items() if addresses} == {}


@pytest.mark.parametrize("destination", ["local", "grafana_cloud"])
def test_addresses_of_the_setup_script(destination: str) -> None:
    """What it prints at the end is known, and for a local destination the overview is among it."""
    script = (ROOT / "scripts" / "setup-native-observability.sh").read_text(encoding="utf-8")
    function = re.search(r"^show_addresses\(\) \{\n.*?^\}\n", script, re.DOTALL | re.MULTILINE)
    assert function is not None
    program = f"DESTINATION={destination}; SANDBOX_PORTS=(12345 3000)\n{function[0]}\nshow_addresses"
    shown = subprocess.run(["bash", "-c", program], check=True, capture_output=True, text=True).stdout
    assert unknown(shown) == []
    assert ("/user/overview.html" in shown) == (destination == "local")


COMMANDS = {
    "agents doctor": ["agents", "doctor"],
    "agents install": ["agents", "install", "claude-code"],
    "agents": ["agents"],
    "run": ["run", "--persona", "backend-engineer", "--", "true"],
    "baseline": ["baseline"],
    "status": ["status"],
    "report": ["report"],
    "workflow show": ["workflow", "show", "package_release"],
    "help": ["--help"],
    "gateway": ["gateway", "--help"],
    "report options": ["report", "--help"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_print_known_addresses(name: str, own_settings: None, tmp_path: Path) -> None:
    """Whatever a command prints where nothing runs, each address in it is one of those."""
    home = tmp_path / "home"
    (home / ".claude").mkdir(parents=True)
    base = {
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9466/openai",
        "HOME": str(home),
        "HYPERTOOL_LISTEN": "127.0.0.1:9464",
    }
    environment = {**os.environ, **base, "HYPERTOOL_STATE_DIR": str(tmp_path / "state")}
    done = subprocess.run(
        [HYPERTOOL, *COMMANDS[name]], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    said = done.stdout + done.stderr
    assert said or name == "run"
    assert unknown(said.replace(base["ANTHROPIC_BASE_URL"], "")) == []


@contextmanager
def announced(command: str, directory: Path) -> Iterator[str]:
    """A service on a free port; yields the address that it prints."""
    names = {
        "exporter": "HYPERTOOL_LISTEN",
        "alert-log": "HYPERTOOL_ALERT_LOG_LISTEN",
        "gateway": "HYPERTOOL_GATEWAY_LISTEN",
    }
    listen = {names[command]: f"127.0.0.1:{free_port()}", "HYPERTOOL_STATE_DIR": str(directory / "state")}
    environment = {**os.environ, **listen, "HOME": str(directory)}
    with subprocess.Popen(
        [HYPERTOOL, command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            printed = re.search(r"http://127\.0\.0\.1:\d+/\S*", line)
            assert printed is not None, line
            yield printed[0]
        finally:
            process.terminate()


def content(address: str, **headers: str) -> str:
    """What is there; an error status raises."""
    end = time.monotonic() + 20
    while True:
        try:
            request = urllib.request.Request(
                address, headers={name.replace("_", "-"): text for name, text in headers.items()}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())
        except ConnectionError:
            if time.monotonic() > end:
                raise


@pytest.mark.parametrize(
    ("command", "words"),
    [("exporter", "hypertool_build_info"), ("alert-log", "Alertmanager posts"), ("gateway", "/openai/v1")],
)
def test_a_service_answers_where_it_says(own_settings: None, tmp_path: Path, command: str, words: str) -> None:
    """The address that a service prints when it starts shows something in a browser, too."""
    if command == "gateway":
        pytest.importorskip("aiohttp", reason="the gateway's extra is not installed: pip install '.[gateway]'")
    with announced(command, tmp_path) as address:
        assert words in content(address)
        assert words in content(address, Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate")


@pytest.mark.parametrize("release", [OLDEST_RELEASE, NEWEST_RELEASE])
def test_alertmanager_answers(release: str, tmp_path: Path) -> None:
    """Debian's Alertmanager, which has no pages, lists alerts where guides and script say."""
    config = "route: {receiver: none}\nreceivers: [{name: none}]\n"
    templates = ROOT / "prometheus" / "alertmanager" / "templates"
    with alertmanager(alertmanager_binaries(release), tmp_path, config, templates) as url:
        assert content(f"{url}/api/v2/alerts").strip() == "[]"
        assert content(f"{url}/-/ready") == "OK"
