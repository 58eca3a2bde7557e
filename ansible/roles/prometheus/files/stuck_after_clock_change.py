"""Exit 0 if this host's Prometheus is stuck since the clock was set back and a restart cures that, else 1.

    python3 -I stuck_after_clock_change.py --url http://127.0.0.1:9090 --window SECONDS --password-file FILE

A scrape loop of Prometheus (seen in 2.42 and 3.5) keeps the time of its last scrape until the clock has passed it
again. After a step back it stamps every sample with that time, and all of them are lost. A restarted one takes the
right time; samples are kept if they are at most `--window` seconds (out_of_order_time_window) older than the newest.

It only reads, and prints one line that says what was found. Needs Python's own library only.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
import urllib.parse
import urllib.request

# Three scrape intervals of the slower of the two jobs.
WATCH = 45
# Each of their scrape loops keeps a time of its own; one that began after the step is right while another is stuck.
JOBS = {"hypertool", "prometheus"}
# A smaller step back is over before anybody could restart anything.
SMALL_STEP = 20.0
SAMPLES = f'sum by (job) (count_over_time(up{{job=~"{"|".join(sorted(JOBS))}"}}[{WATCH}s]))'
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


class Prometheus:
    """Questions to the Prometheus of this host, with its password."""

    def __init__(self, url, password_file):
        self.url, self.password_file = url, password_file
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, path):
        """The data of an answer. OSError if none comes, or if another user's process would get the password."""
        strangers = listener_users(urllib.parse.urlsplit(self.url).port) - {os.geteuid()}
        if strangers:
            raise OSError(f"{self.url} is served by user {min(strangers)}, expected {os.geteuid()}")
        with open(self.password_file, encoding="utf-8") as handle:
            named = f"{USER}:{handle.read().strip()}"
        headers = {"Authorization": "Basic " + base64.b64encode(named.encode()).decode()}
        with self.opener.open(urllib.request.Request(self.url + path, headers=headers), timeout=30) as answer:
            return json.load(answer)["data"]

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


def verdict(prometheus, window):
    """Whether a restart cures it, and the reason in a sentence."""
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
        return False, (
            f"Prometheus drops all samples, and a restart does not help: its newest one is {ahead / 3600:.1f} h later "
            f"than now, and it takes samples up to {window / 3600:.0f} h older. See HostClockWrong in the runbook"
        )
    return True, f"restarting Prometheus: the clock was set back, its newest sample is {ahead:.0f} s later than now"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--window", required=True, type=float)
    parser.add_argument("--password-file", required=True)
    given = parser.parse_args()
    try:
        stuck, reason = verdict(Prometheus(given.url, given.password_file), given.window)
    except (OSError, ValueError, KeyError, TypeError) as error:
        stuck, reason = False, f"cannot tell whether Prometheus takes samples: {error}"
    print(reason, flush=True)
    return 0 if stuck else 1


if __name__ == "__main__":
    sys.exit(main())
