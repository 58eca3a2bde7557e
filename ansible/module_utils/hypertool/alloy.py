# Client for a running Alloy: reload, component health, and the backlog of unsent data.
from __future__ import annotations

import json
import re
import time
import urllib.error

from ansible.module_utils.hypertool import web_access

ANSWER_SECONDS = 30
PASSWORD_VARIABLE = "HYPERTOOL_ALLOY_WEB_PASSWORD_FILE"
STEADY_SECONDS = 1.5
# Samples in flight are not a backlog; samples that wait longer than a few send deadlines (5 s) are.
LAG_SECONDS = 30
# Remote write retries after at most 5 s. loki.write pauses up to 10 s (alloy/destination_*.alloy) after an attempt
# that may last 10 s, so detecting progress takes longer when there was trouble with logs.
WINDOW_SECONDS = 6
LOGS_WINDOW_SECONDS = 22

PENDING = "prometheus_remote_storage_samples_pending"
RETRIED = "prometheus_remote_storage_samples_retried_total"
NEWEST = (
    "prometheus_remote_storage_highest_timestamp_in_seconds",
    "prometheus_remote_storage_queue_highest_timestamp_seconds",
)
SENT = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"
QUEUE = "otelcol_exporter_queue_size"
EXPORTED = re.compile(r"otelcol_exporter_sent_\w+_total$")
LOG_RETRIES = "loki_write_batch_retries_total"


class Alloy:
    def __init__(self, url):
        self.url = url.rstrip("/")

    def ask(self, path, method="GET", timeout=ANSWER_SECONDS):
        """Status and body; status 0 and the reason without an answer."""
        try:
            # An Alloy whose configuration asks for no password ignores it.
            with web_access.open_local(self.url + path, timeout, method=method) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)

    def not_ready(self):
        """Why Alloy is not ready; empty when it is."""
        status, body = self.ask("/-/ready", timeout=2)
        return "" if status == 200 else f"{self.url}/-/ready: {status or ''} {body.strip()}"

    def reload(self):
        """None when Alloy runs the new configuration, else its diagnostics."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            status, body = self.ask("/-/reload", "POST")
            if status == 200:
                return None
            if status or time.monotonic() > deadline:
                return body.strip() or f"it answers {status}"
            time.sleep(0.2)  # Alloy runs but does not listen yet.

    def components(self):
        """Health by component: {id: (state, message)}; None if Alloy does not report it."""
        status, body = self.ask("/api/v0/web/components")
        if status != 200:
            return None
        return {one["localID"]: (one["health"]["state"], one["health"]["message"]) for one in json.loads(body)}

    def unhealthy(self):
        return {name for name, (state, _) in (self.components() or {}).items() if state in ("unhealthy", "exited")}

    def complaint(self, known=()):
        """What is wrong with the components now, except those in `known`; empty if all are healthy."""
        found = self.components()
        if found is None:
            return "it does not say how its components are"
        if not found:
            return "it runs, but not one component is in its configuration"
        return "; ".join(
            f"component {name} is {state}: {message}"
            for name, (state, message) in sorted(found.items())
            if state != "healthy" and name not in known
        )

    def trouble(self, seconds, known=()):
        """None once every component is healthy and stays so; at the deadline, the complaint about the others.

        Some components report healthy before they try to listen, and exit a moment later.
        """
        deadline, healthy_since = time.monotonic() + seconds, None
        while True:
            complaint, now = self.complaint(known), time.monotonic()
            healthy_since = None if complaint else healthy_since or now
            if healthy_since and now - healthy_since >= STEADY_SECONDS:
                return None
            if complaint and now > deadline:
                return complaint
            time.sleep(0.3)

    def figures(self):
        """The values of Alloy's own metrics by metric name; None if it does not answer."""
        status, body = self.ask("/metrics")
        if status != 200:
            return None
        found = {}
        for line in body.splitlines():
            match = re.match(r"([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)", line)
            if match:
                found.setdefault(match.group(1), []).append(float(match.group(2)))
        return found


def scrapes_without_password(files):
    """The names of files that scrape an exporter inside Alloy, through its own pages, and name no password for it."""
    return sorted(
        name
        for name, text in files.items()
        if re.search(r"\btargets\s*=[^\n]*\bprometheus\.exporter\.", text) and PASSWORD_VARIABLE not in text
    )


def total(figures, name):
    return sum(figures.get(name, []))


def exported(figures):
    return sum(sum(values) for name, values in figures.items() if EXPORTED.match(name))


def lag(figures):
    """Seconds by which the slowest queue is behind the collected data."""
    newest = max((value for name in NEWEST for value in figures.get(name, [])), default=0.0)
    return max((newest - sent for sent in figures.get(SENT, [])), default=0.0) if newest else 0.0


def backlog(before, now):
    """The data that is queued and makes no progress, one text per signal; compares two readings some seconds apart."""
    found = []
    pending, late = total(now, PENDING), lag(now)
    stuck = total(now, RETRIED) > total(before, RETRIED) or max(now.get(SENT, [0])) <= max(before.get(SENT, [0]))
    if pending and (late > LAG_SECONDS or stuck):
        found.append(f"{pending:.0f} samples wait to be sent, {late:.0f} s behind ({PENDING})")
    queue = total(now, QUEUE)
    if queue and exported(now) <= exported(before):
        found.append(f"{queue:.0f} requests with spans or OTLP metrics wait and none was sent ({QUEUE})")
    retries = total(now, LOG_RETRIES) - total(before, LOG_RETRIES)
    if retries > 0:
        found.append(f"log lines wait: {retries:.0f} retries within seconds ({LOG_RETRIES})")
    return found


def window(figures):
    """Seconds between two readings that show whether a queue is stuck; 0 if all queues are empty."""
    if total(figures, LOG_RETRIES):
        return LOGS_WINDOW_SECONDS
    return WINDOW_SECONDS if total(figures, PENDING) or total(figures, QUEUE) else 0


def wait_for_no_backlog(alloy, seconds):
    """Wait up to `seconds` for the queues to make progress; returns the texts of those that do not."""
    deadline = time.monotonic() + seconds
    before = alloy.figures()
    while before is not None and window(before):
        time.sleep(window(before))
        now = alloy.figures()
        found = backlog(before, now) if now is not None else []
        if not found or time.monotonic() > deadline:
            return found
        before = now
    return []  # The queues are empty, or Alloy does not answer and waiting cannot save its data.


def restart_refusal(module, reason, guard):
    """The reason to postpone a restart, as a message; None if there is none."""
    if guard["forced"]:
        return None
    waiting = wait_for_no_backlog(Alloy(guard["url"]), guard["wait"])
    if not waiting:
        return None
    return (
        f"{guard['unit']} has to be restarted ({reason}), and a restart loses what it has not sent yet: "
        f"{'; '.join(waiting)}. Waited {guard['wait']} s for it. It was not restarted. Run the play again when the "
        f"destination answers, or set {guard['variable']}=true to lose it."
    )
