"""Runs in a user-mode Linux: systemd, a real exporter and Prometheus, and a clock that is moved.

`python inside.py SCENARIO PROMETHEUS REPOSITORY UNITS`: one line of JSON an observation, after `FACT `. As the
machine's first program it becomes systemd, which starts it again as a service. UNITS has the project's units that look
after the clock, as the role writes them.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

HOUR = 3600.0
URL = "http://127.0.0.1:9090"
#: The only place that can be written; the rest is the other machine's, read-only.
FOLDER = "/run"
STATE = Path(FOLDER, "state")
#: The units that look after the clock, and the program that they run.
CLOCK, CLOCK_PROGRAM = "hypertool-prometheus-clock", "/run/clock/stuck_after_clock_change.py"
PASSWORD = "/run/web_password"
#: Mount namespaces cannot be had on a root file system of the other machine; hosts have them.
OPEN = "".join(
    f"{it}=no\n"
    for it in (
        "PrivateTmp", "PrivateDevices", "ProtectSystem", "ProtectHome", "ProtectKernelTunables", "ProtectKernelModules",
        "ProtectKernelLogs", "ProtectControlGroups", "ProtectHostname",
    )
) + "ProtectProc=default\nProcSubset=all\n"  # fmt: skip
#: Seconds until an alert with `for: 1m` must be there: a scrape, two evaluations, and a machine that is busy.
SOON = 300.0


def mount(kind: str, where: str) -> None:
    """Mount a file system of the kernel's own on a folder."""
    subprocess.run(["mount", "-t", kind, kind, where], check=True)


def become_systemd(units: Path) -> None:
    """Write the units of this machine, and go on as its systemd."""
    folder = Path("/run/systemd/system")
    shutil.copytree(units, folder)
    Path(CLOCK_PROGRAM).parent.mkdir()
    shutil.copy(Path(sys.argv[3], "ansible/roles/prometheus/files", Path(CLOCK_PROGRAM).name), CLOCK_PROGRAM)
    Path(PASSWORD).write_text("none is asked for here", encoding="utf-8")
    for name, text in {
        "moved.target": "[Unit]\nDefaultDependencies=no\nRequires=scenario.service\n",
        "scenario.service": "[Unit]\nDefaultDependencies=no\n[Service]\nStandardOutput=tty\nTTYPath=/dev/console\n"
        f"Environment=PATH={os.environ['PATH']}\nExecStart={sys.executable} {' '.join(sys.argv)}\n",
        # With flags of the role.
        "prometheus.service": f"[Unit]\nDefaultDependencies=no\nWants={CLOCK}.timer\n[Service]\n"
        f"ExecStart={sys.argv[2]}/prometheus --config.file={FOLDER}/prometheus/prometheus.yml "
        f"--storage.tsdb.path={FOLDER}/data --web.listen-address=127.0.0.1:9090\n"
        f"StandardOutput=append:{FOLDER}/prometheus.log\nStandardError=inherit\n",
        # The machine has no user of that name, and only root reads its packages.
        f"{CLOCK}.service.d/test.conf": f"[Unit]\nDefaultDependencies=no\n[Service]\nUser=\nGroup=\n{OPEN}"
        f"StandardOutput=append:{FOLDER}/clock.log\nStandardError=inherit\n",
        f"{CLOCK}.timer.d/test.conf": "[Unit]\nDefaultDependencies=no\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    os.execv("/lib/systemd/systemd", ["systemd", "--unit=moved.target", "--show-status=no"])


class Machine:
    """The programs of one host, and its clock."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.environment = {
            **os.environ,
            "HYPERTOOL_STATE_DIR": str(STATE),
            "HYPERTOOL_CONFIG": f"{FOLDER}/hypertool.toml",
            "HOME": FOLDER,
            "TMPDIR": FOLDER,
            "PYTHONPATH": str(repository / "instrumentation"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        Path(f"{FOLDER}/hypertool.toml").touch()
        self.runs = 0

    def start(self) -> None:
        """The exporter, and Prometheus with the project's configuration and rules."""
        self.spawn("exporter", sys.executable, "-c", "from hypertool.cli import main; main()", "exporter")
        config = Path(FOLDER, "prometheus")
        shutil.copytree(self.repository / "prometheus", config)
        for scrapes in (config / "targets").glob("*.yml"):
            if scrapes.stem not in ("hypertool", "prometheus"):
                scrapes.unlink()
        self.start_prometheus()

    def start_prometheus(self) -> None:
        """Prometheus as a unit, and with it the timer; waits until it has scraped the exporter."""
        subprocess.run(["systemctl", "start", "prometheus.service"], check=True)
        self.wait(60, "Prometheus to scrape the exporter", lambda: self.value('up{job="hypertool"}') == 1)

    def prometheus(self) -> str:
        """The process of Prometheus."""
        shown = ["systemctl", "show", "--property=MainPID", "prometheus.service"]
        return subprocess.run(shown, capture_output=True, text=True, check=True).stdout.strip()

    def clock_log(self) -> str:
        """What the unit that looks after the clock has said."""
        log = Path(FOLDER, "clock.log")
        return log.read_text(encoding="utf-8") if log.exists() else ""

    def spawn(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a program whose output goes to a file."""
        with open(f"{FOLDER}/{name}.log", "ab") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def background(self, code: str) -> subprocess.Popen[bytes]:
        """A program that goes on."""
        return self.spawn("background", sys.executable, "-c", code)

    def move(self, seconds: float) -> None:
        """Set the wall clock; the monotonic one goes on as before."""
        time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
        self.say("moved", seconds)

    def say(self, what: str, value: object) -> None:
        """Report one observation."""
        print("FACT " + json.dumps({what: value}), flush=True)

    def until(self, seconds: float, condition: Callable[[], bool]) -> float | None:
        """Seconds by the monotonic clock until the condition holds; None if it does not in that time."""
        began, self.refusal = time.monotonic(), ""
        while time.monotonic() < began + seconds:
            try:
                if condition():
                    return round(time.monotonic() - began, 1)
            except OSError as error:  # a program that starts does not answer yet
                self.refusal = f": {error}"
            time.sleep(1)
        return None

    def wait(self, seconds: float, what: str, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds. Raises TimeoutError that says what was waited for, and the last refusal."""
        if self.until(seconds, condition) is None:
            raise TimeoutError(f"waited {seconds:g} s for {what}, in vain{self.refusal}")

    def holds(self, seconds: float, condition: Callable[[], bool]) -> bool:
        """Whether the condition holds all the time."""
        return self.until(seconds, lambda: not condition()) is None

    def value(self, expression: str) -> float | None:
        """The single value of an expression now."""
        asked = f"{URL}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(asked, timeout=10) as answer:
            rows = json.load(answer)["data"]["result"]
        return float(rows[0]["value"][1]) if rows else None

    def firing(self) -> set[str]:
        """The alerts that Prometheus would send now."""
        with urllib.request.urlopen(f"{URL}/api/v1/alerts", timeout=10) as answer:
            found = json.load(answer)["data"]["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"} - {"Watchdog"}

    def exposed(self, name: str) -> float | None:
        """A sample at the endpoint, by its name with labels."""
        with urllib.request.urlopen("http://127.0.0.1:9464/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.rpartition(" ")[2])
        return None

    def run(self, code: str) -> str:
        """A program that records something, from start to end."""
        return subprocess.run(
            [sys.executable, "-c", code], env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def spend(self, tokens: int) -> None:
        """A run of one persona that uses tokens."""
        self.run(
            "from hypertool import WorkflowTracer, get_persona_metrics\n"
            f"with WorkflowTracer('bug_fix'): get_persona_metrics().record_token_usage("
            f"'backend-engineer', 'bug-fix', 'm', {tokens})"
        )


LEFT = 'hypertool_persona_token_budget_remaining{persona="backend-engineer"}'


def back_two_hours(machine: Machine) -> None:
    """A clock that is right, and is then set back by two hours; a run overspends after it."""
    machine.start()
    machine.spend(100)
    machine.say("seen", machine.until(60, lambda: machine.value(LEFT) == 1900))
    machine.move(-2 * HOUR)
    machine.spend(2250)
    machine.say("left", machine.until(60, lambda: machine.exposed(LEFT) == -250))
    machine.say("restarted", machine.until(SOON, lambda: "restarting Prometheus" in machine.clock_log()))
    machine.say("clock", machine.clock_log())
    machine.spend(2250)
    machine.say("overspending fires", machine.until(SOON, lambda: "TokenBudgetExceeded" in machine.firing()))


def ahead_and_corrected(machine: Machine) -> None:
    """A boot with a clock that is a day ahead; a run overspends; the clock is set right; a healthy run follows."""
    machine.move(24 * HOUR)
    machine.start()
    machine.spend(2500)
    machine.say("overspending fires", machine.until(SOON, lambda: "TokenBudgetExceeded" in machine.firing()))
    machine.move(-24 * HOUR)
    machine.spend(100)
    machine.say("left", machine.until(60, lambda: machine.exposed(LEFT) == 1900))
    machine.say("restarted", machine.until(SOON, lambda: "restarting Prometheus" in machine.clock_log()))
    machine.say("quiet", machine.until(SOON, lambda: "TokenBudgetExceeded" not in machine.firing()))
    machine.spend(2500)
    machine.say("overspending fires again", machine.until(SOON, lambda: "TokenBudgetExceeded" in machine.firing()))
    process = machine.prometheus()
    machine.move(-2 * 24 * HOUR)
    machine.say("no help", machine.until(SOON, lambda: "a restart does not help" in machine.clock_log()))
    machine.say("same process", machine.prometheus() == process)


def nine_hours_of_sleep(machine: Machine) -> None:
    """A stage is a minute old when the host sleeps for nine hours; it goes on, and so do budgets."""
    machine.start()
    stage = machine.background(
        "import time\nfrom hypertool import WorkflowTracer\n"
        "with WorkflowTracer('bug_fix') as run, run.stage_context('investigation', 'observability-expert'):\n"
        "    time.sleep(600)"
    )
    began = 'hypertool_workflow_stage_oldest_start_timestamp_seconds{stage="investigation",workflow="bug_fix"}'
    machine.say("stage seen", machine.until(60, lambda: (machine.value(began) or 0) > 0))
    machine.wait(120, "a stage that is a minute old", lambda: time.time() - (machine.value(began) or time.time()) > 60)
    machine.move(9 * HOUR)
    machine.until(180, lambda: bool(machine.firing()))  # nothing should fire: the time for a false alert
    machine.say("firing after waking up", sorted(machine.firing()))
    machine.say("stage runs", stage.poll() is None)
    machine.spend(2500)
    machine.say("overspending fires", machine.until(SOON, lambda: "TokenBudgetExceeded" in machine.firing()))
    machine.say("clock", machine.clock_log())


SCENARIOS = {it.__name__: it for it in (back_two_hours, ahead_and_corrected, nine_hours_of_sleep)}


def main() -> None:
    """Run the scenario, report what fails, and switch the machine off."""
    try:
        if os.getpid() == 1:
            for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")):
                mount(kind, where)
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            become_systemd(Path(sys.argv[4]))
        machine = Machine(Path(sys.argv[3]))
        SCENARIOS[sys.argv[1]](machine)
        machine.say("finished", sys.argv[1])
    except BaseException:
        print(traceback.format_exc(), flush=True)
        for log in Path(FOLDER).glob("*.log"):
            print(log, log.read_text(errors="replace")[-3000:], flush=True)
    sys.stdout.flush()
    ctypes.CDLL(None).reboot(0x4321FEDC)


if __name__ == "__main__":
    main()
