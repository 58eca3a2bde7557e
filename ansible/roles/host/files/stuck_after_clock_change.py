"""Exit 0 if this host's collector is stuck since the clock was set back and a restart cures that, else 1.

    python3 -I stuck_after_clock_change.py --url http://127.0.0.1:9090 --password-file FILE --window SECONDS
    python3 -I stuck_after_clock_change.py --url http://127.0.0.1:12345 --password-file FILE --sends

A scrape loop of Prometheus (seen in 2.42 and 3.5, and in Alloy 1.18, which has it too) keeps the time of its last
scrape until the clock has passed it again. After a step back it stamps every sample with that time, and all of them
are lost. A restarted one takes the right time. Prometheus keeps samples that are at most `--window` seconds
(out_of_order_time_window) older than the newest. With `--sends` it is one that keeps none but sends them: Alloy, or
Prometheus in agent mode.

It prints one line that says what was found, and changes nothing. A Prometheus that drops all samples cannot see why:
where a restart does not help, the alert HostClockWrong is given to `--alertmanager URL` until samples are taken again.
It ends when this program finds nothing wrong. Needs Python's own library only.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import json
import os
import re
import sys
import time
import urllib.parse
import urllib.request

# Three scrape intervals of the slower of the two jobs.
WATCH = 45
# Each of their scrape loops keeps a time of its own; one that began after the step is right while another is stuck.
JOBS = {"hypertool", "prometheus"}
# A smaller step back is over before a restart would help.
SMALL_STEP = 20.0
SAMPLES = f'sum by (job) (count_over_time(up{{job=~"{"|".join(sorted(JOBS))}"}}[{WATCH}s]))'
# Both begin anew with a restart.
SENT = (
    "prometheus_remote_storage_highest_timestamp_in_seconds",
    "prometheus_remote_storage_queue_highest_sent_timestamp_seconds",
)
USER = "hypertool"
LISTEN = "0A"


def listener_users(port, tables=("/proc/self/net/tcp", "/proc/self/net/tcp6")):
    """The uids of the processes that listen on a TCP port of this host."""
    found = set()
    for table in tables:
        try:
            with open(table, encoding="ascii") as lines:
                fields = [line.split() for line in lines][1:]
        except OSError:
            continue
        found |= {int(one[7]) for one in fields if one[3] == LISTEN and int(one[1].rpartition(":")[2], 16) == port}
    return found


class Program:
    """Questions to a web service of this host, with its password."""

    def __init__(self, url, password_file):
        self.url, self.password_file = url, password_file
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def read(self, path, data=None):
        """The text of an answer. OSError if none comes, or if another user's process would get the password."""
        strangers = listener_users(urllib.parse.urlsplit(self.url).port) - {os.geteuid()}
        if strangers:
            raise OSError(f"{self.url} is served by user {min(strangers)}, expected {os.geteuid()}")
        with open(self.password_file, encoding="utf-8") as handle:
            named = f"{USER}:{handle.read().strip()}"
        headers = {
            "Authorization": "Basic " + base64.b64encode(named.encode()).decode(),
            "Content-Type": "application/json",
        }
        with self.opener.open(urllib.request.Request(self.url + path, data, headers), timeout=30) as answer:
            return answer.read().decode()


class Prometheus(Program):
    """One that keeps its samples."""

    def ask(self, path):
        """The data of an answer of its API."""
        return json.loads(self.read(path))["data"]

    def ahead(self):
        """Seconds by which the newest sample is later than now."""
        return self.ask("/api/v1/status/tsdb?limit=1")["headStats"]["maxTime"] / 1000 - time.time()

    def scraped(self):
        """Which of the jobs this Prometheus scrapes itself; others may write to it."""
        return JOBS & {one["scrapePool"] for one in self.ask("/api/v1/targets?state=active")["activeTargets"]}

    def samples_until(self, moment):
        """How many samples of each job there are in the `WATCH` seconds before a moment."""
        asked = urllib.parse.urlencode({"query": SAMPLES, "time": f"{moment:.3f}"})
        rows = self.ask("/api/v1/query?" + asked)["result"]
        return {row["metric"]["job"]: float(row["value"][1]) for row in rows}


class Sender(Program):
    """One that sends its samples and forgets them: Alloy, or Prometheus in agent mode."""

    def newest(self):
        """The times of the newest sample and of the newest one that was sent, in seconds; 0 where there is none yet."""
        text = self.read("/metrics")
        return [
            max(map(float, re.findall("^" + name + r"(?:\{.*\})? (\S+)$", text, re.MULTILINE)), default=0.0)
            for name in SENT
        ]


def verdict_of_sender(sender):
    """Whether a restart cures it, and the reason in a sentence."""
    newest, sent = sender.newest()
    ahead = newest - time.time()
    if ahead <= SMALL_STEP:
        return False, "nothing to do: no sample is later than now"
    # A restart gives up what waits to be sent, and going on gives up what is scraped until the clock is there again.
    if sent and newest - sent > ahead:
        return False, (
            f"samples are lost until the clock has passed the newest one, {ahead:.0f} s later than now; not restarted, "
            f"because {newest - sent:.0f} s of samples are not sent yet and would be lost, too. "
            "See HostClockWrong in the runbook"
        )
    return True, f"restarting: the clock was set back, the newest sample is {ahead:.0f} s later than now"


def alert(given, seconds):
    """Have Alertmanager say for so many seconds that the clock is wrong; 0 ends that, also where it was never said."""
    labels = {
        "alertname": "HostClockWrong",
        "severity": "warning",
        "category": "pipeline",
        "component": "hypertool",
        "job": "prometheus",
        "instance": given.instance,
        "sign": "samples dropped because of their time",
    }
    now = datetime.datetime.now(datetime.timezone.utc)
    ends = now + datetime.timedelta(seconds=seconds)
    annotations = {
        "summary": f"Prometheus of {given.instance} drops all samples: its clock was more than a day ahead",
        "description": f"It takes samples again at {ends:%Y-%m-%d %H:%M} UTC, and a restart does not help. Until then "
        "no alert on a value can fire.",
        "action": "Begin a new database, as the runbook says under Quick fix, and then "
        "`systemctl start hypertool-prometheus-clock`, which ends this alert.",
        "runbook_url": f"{given.runbook}/user/runbook.html#hostclockwrong",
    }
    told = [{"labels": labels, "annotations": annotations, "startsAt": now.isoformat(), "endsAt": ends.isoformat()}]
    Program(given.alertmanager, given.password_file).read("/api/v2/alerts", json.dumps(told).encode())


def verdict(prometheus, window, lost):
    """Whether a restart cures it, and the reason in a sentence. Where it does not, `lost` gets the seconds to go."""
    ahead = prometheus.ahead()
    if ahead <= SMALL_STEP:
        return False, "nothing to do: no sample of Prometheus is later than now"
    # The seconds that come may have samples already, from before the step. A Prometheus that works adds to them.
    end = time.time() + WATCH
    before = prometheus.samples_until(end)
    time.sleep(WATCH)
    after = prometheus.samples_until(end)
    if all(after.get(job, 0) > before.get(job, 0) for job in prometheus.scraped()):
        return (
            False,
            f"nothing to do: samples are up to {ahead:.0f} s later than now, and Prometheus takes those of now",
        )
    ahead = prometheus.ahead()
    if ahead <= SMALL_STEP:
        return False, "nothing to do: the clock has passed the newest sample of Prometheus"
    if ahead > window:
        lost.append(ahead - window)
        return False, (
            f"Prometheus drops all samples, and a restart does not help: its newest one is {ahead / 3600:.1f} h later "
            f"than now, and it takes samples up to {window / 3600:.0f} h older. See HostClockWrong in the runbook"
        )
    return True, f"restarting Prometheus: the clock was set back, its newest sample is {ahead:.0f} s later than now"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--window", type=float)
    kind.add_argument("--sends", action="store_true")
    parser.add_argument("--password-file", required=True)
    parser.add_argument("--alertmanager")
    parser.add_argument("--instance")
    parser.add_argument("--runbook", help="address of Prometheus in links")
    given = parser.parse_args()
    lost = []
    try:
        if given.sends:
            stuck, reason = verdict_of_sender(Sender(given.url, given.password_file))
        else:
            stuck, reason = verdict(Prometheus(given.url, given.password_file), given.window, lost)
    except (OSError, ValueError, KeyError, TypeError) as error:
        stuck, reason = False, f"cannot tell whether samples are taken: {error}"
    print(reason, flush=True)
    if given.alertmanager and not reason.startswith("cannot tell"):
        try:
            alert(given, sum(lost))
        except OSError as error:
            print(f"Alertmanager was not told: {error}", flush=True)
    return 0 if stuck else 1


if __name__ == "__main__":
    sys.exit(main())
