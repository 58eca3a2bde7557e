"""Runs in a user-mode Linux: systemd, a real exporter and Prometheus, and a clock that is moved.

`python inside.py SCENARIO PROMETHEUS REPOSITORY UNITS COLLECTOR ALLOY` prints one line of JSON an
observation, after `FACT `. As the machine's first program it becomes systemd, which starts it again as a service. UNITS
has the project's units that look after the clock, as the roles write them for the COLLECTOR: `server` or `agent`
(Prometheus), or `alloy`.
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
#: The folder of the program that looks after the clock.
CLOCK_FOLDER = "/run/clock"
PASSWORD = "/run/web_password"
#: The unit of each collector.
UNIT = {"server": "prometheus.service", "agent": "prometheus.service", "alloy": "alloy.service"}
#: What a collector that sends its samples writes to.
DESTINATION = "http://127.0.0.1:9092"
#: Two Prometheus and an Alloy, as far as they differ from what is on a host.
#: Stands in for Alertmanager, whose package reads a template of its own in /usr: keeps what it is told last.
MANAGER = f"""
import http.server, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        if self.path == "/api/v2/alerts":
            pathlib.Path("{FOLDER}/told.json").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9093), Handler).serve_forever()
"""
SERVER = "global: {scrape_interval: 5s}\nstorage: {tsdb: {out_of_order_time_window: 26h}}\n"
AGENT = f"""
global: {{scrape_interval: 5s}}
scrape_configs: [{{job_name: hypertool, static_configs: [{{targets: ['127.0.0.1:9464']}}]}}]
remote_write: [{{url: '{DESTINATION}/api/v1/write', queue_config: {{batch_send_deadline: 1s}}}}]
"""
ALLOY = f"""
prometheus.scrape "targets" {{
  targets         = [{{__address__ = "127.0.0.1:9464"}}]
  forward_to      = [prometheus.remote_write.destination.receiver]
  job_name        = "hypertool"
  scrape_interval = "5s"
  scrape_timeout  = "4s"
}}
prometheus.remote_write "destination" {{
  endpoint {{
    url = "{DESTINATION}/api/v1/write"
  }}
}}
"""
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


def commands(prometheus: str, alloy: str) -> dict[str, str]:
    """The command of each collector, with flags of the roles."""
    listening = "--web.listen-address=127.0.0.1:9090"
    return {
        "server": f"{prometheus}/prometheus --config.file={FOLDER}/prometheus/prometheus.yml "
        f"--storage.tsdb.path={FOLDER}/data {listening}",
        "agent": f"{prometheus}/prometheus --enable-feature=agent --config.file={FOLDER}/agent.yml "
        f"--storage.agent.path={FOLDER}/agent {listening}",
        "alloy": f"{alloy} run --disable-reporting --server.http.listen-addr=127.0.0.1:12345 "
        f"--storage.path={FOLDER}/alloy {FOLDER}/config.alloy",
    }


def become_systemd(units: Path, collector: str) -> None:
    """Write the units of this machine, and go on as its systemd."""
    folder = Path("/run/systemd/system")
    shutil.copytree(units, folder)
    clock = next(folder.glob("*.timer")).stem
    program = Path(sys.argv[3], "ansible/roles/host/files/stuck_after_clock_change.py")
    Path(CLOCK_FOLDER).mkdir()
    shutil.copy(program, CLOCK_FOLDER)
    Path(PASSWORD).write_text("none is asked for here", encoding="utf-8")
    Path(FOLDER, "agent.yml").write_text(AGENT, encoding="utf-8")
    Path(FOLDER, "config.alloy").write_text(ALLOY, encoding="utf-8")
    Path(FOLDER, "server.yml").write_text(SERVER, encoding="utf-8")
    for name, text in {
        "moved.target": "[Unit]\nDefaultDependencies=no\nRequires=scenario.service\n",
        "scenario.service": "[Unit]\nDefaultDependencies=no\n[Service]\nStandardOutput=tty\nTTYPath=/dev/console\n"
        f"Environment=PATH={os.environ['PATH']}\nExecStart={sys.executable} {' '.join(sys.argv)}\n",
        UNIT[collector]: f"[Unit]\nDefaultDependencies=no\nWants={clock}.timer\n[Service]\n"
        f"Environment=HOME={FOLDER}\nExecStart={commands(sys.argv[2], sys.argv[6])[collector]}\n"
        f"StandardOutput=append:{FOLDER}/collector.log\nStandardError=inherit\n",
        # The machine has no user of that name, and only root reads its packages.
        f"{clock}.service.d/test.conf": f"[Unit]\nDefaultDependencies=no\n[Service]\nUser=\nGroup=\n{OPEN}"
        f"StandardOutput=append:{FOLDER}/clock.log\nStandardError=inherit\n",
        f"{clock}.timer.d/test.conf": "[Unit]\nDefaultDependencies=no\n",
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

    def start_sender(self, collector: str) -> None:
        """The exporter, a collector that only sends, and what it sends to; waits until a sample has arrived."""
        self.spawn("exporter", sys.executable, "-c", "from hypertool.cli import main; main()", "exporter")
        self.spawn(
            "destination", f"{sys.argv[2]}/prometheus", f"--config.file={FOLDER}/server.yml",
            f"--storage.tsdb.path={FOLDER}/data",
            f"--web.listen-address={DESTINATION.removeprefix('http://')}", "--web.enable-remote-write-receiver",
        )  # fmt: skip
        subprocess.run(["systemctl", "start", UNIT[collector]], check=True)
        self.wait(60, "a sample to arrive", self.arrives)

    def arrives(self) -> bool:
        """Whether samples of the last quarter of a minute have arrived at the destination."""
        return bool(self.value('count_over_time(up{job="hypertool"}[15s])', DESTINATION))

    def value(self, expression: str, url: str = URL) -> float | None:
        """The single value of an expression now."""
        asked = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(asked, timeout=10) as answer:
            rows = json.load(answer)["data"]["result"]
        return float(rows[0]["value"][1]) if rows else None

    def firing(self) -> set[str]:
        """The alerts that Prometheus would send now."""
        with urllib.request.urlopen(f"{URL}/api/v1/alerts", timeout=10) as answer:
            found = json.load(answer)["data"]["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"} - {"Watchdog"}

    def told(self) -> dict[str, str]:
        """What the clock's unit has told Alertmanager last: of each alert by name what it says, unless it was ended."""
        found = json.loads(Path(FOLDER, "told.json").read_text(encoding="utf-8"))
        return {
            one["labels"]["alertname"]: one["annotations"]["description"]
            for one in found
            if one["endsAt"] > one["startsAt"]
        }

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
    machine.background(MANAGER)
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
    machine.say("told", machine.told())
    machine.move(2 * 24 * HOUR)
    machine.say("no longer told", machine.until(SOON, lambda: not machine.told()))


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


def sender_back_two_hours(machine: Machine) -> None:
    """The clock of a collector that keeps nothing is set back by two hours, and again."""
    machine.start_sender(sys.argv[5])
    for time_of_it in ("first", "second"):
        machine.move(-2 * HOUR)
        machine.say(f"{time_of_it} arrives", machine.until(SOON, machine.arrives))
    machine.say("clock", machine.clock_log())


SCENARIOS = {
    it.__name__: it for it in (back_two_hours, ahead_and_corrected, nine_hours_of_sleep, sender_back_two_hours)
}


def main() -> None:
    """Run the scenario, report what fails, and switch the machine off."""
    try:
        if os.getpid() == 1:
            for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")):
                mount(kind, where)
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            become_systemd(Path(sys.argv[4]), sys.argv[5])
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
