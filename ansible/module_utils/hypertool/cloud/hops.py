# Finds the hop that a canary did not pass, from the collector's own metrics and targets and the destination's answers.
from __future__ import annotations

import calendar
import json
import re
import time
from typing import NamedTuple

from ansible.module_utils.hypertool import web_access
from ansible.module_utils.hypertool.cloud.canary import LOOP_SECONDS
from ansible.module_utils.hypertool.cloud.connection import NoAnswer, Route
from ansible.module_utils.hypertool.cloud.probe import accepted

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_REMOTE = "prometheus_remote_storage_"
#: Counters by signal: sent, failed permanently, retried and dropped before sending; `pending` is a gauge.
COUNTERS = {
    "metrics": {
        "sent": f"{_REMOTE}samples_total",
        "failed": f"{_REMOTE}samples_failed_total",
        "retried": f"{_REMOTE}samples_retried_total",
        "dropped": f"{_REMOTE}samples_dropped_total",
        "pending": f"{_REMOTE}samples_pending",
    },
    "logs": {
        "sent": "loki_write_sent_entries_total",
        "failed": "loki_write_dropped_entries_total",
        "retried": "loki_write_batch_retries_total",
    },
    "traces": {
        "sent": "otelcol_exporter_sent_spans_total",
        "failed": "otelcol_exporter_send_failed_spans_total",
        "dropped": "otelcol_exporter_enqueue_failed_spans_total",
        "pending": "otelcol_exporter_queue_size",
    },
}
INTAKE = {"logs": "loki_source_journal_target_lines_total", "traces": "otelcol_receiver_accepted_spans_total"}
HIGHEST_SENT = f"{_REMOTE}queue_highest_sent_timestamp_seconds"


class Samples:
    """One scrape of a program's own metrics."""

    def __init__(self, text=""):
        self._by_name = {}
        for line in text.splitlines():
            match = _SAMPLE.match(line)
            if match:
                labels = dict(_LABEL.findall(match.group(2) or ""))
                self._by_name.setdefault(match.group(1), []).append((labels, float(match.group(3))))

    def values(self, name, url=""):
        """The values of all series, or only those of one remote-write address if there are any."""
        found = self._by_name.get(name, [])
        return [value for labels, value in found if url and labels.get("url") == url] or [value for _, value in found]

    def sum(self, name, url=""):
        """The sum of these values."""
        return sum(self.values(name, url))

    def has(self, name):
        """Whether such a series exists."""
        return name in self._by_name


class Sender:
    """What the sending side of one signal did between two scrapes; the first one precedes the canary."""

    def __init__(self, signal, canary, before, now, url=""):
        names = COUNTERS[signal]
        grew = {kind: now.sum(name, url) - before.sum(name, url) for kind, name in names.items() if kind != "pending"}
        # The counters of logs and traces do not exist before the first transmission.
        self.exists = signal != "metrics" or now.has(names["sent"])
        self.failed = grew["failed"]
        self.retried = grew.get("retried", 0.0)
        self.dropped = grew.get("dropped", 0.0)
        self.sent = grew["sent"]
        self.pending = now.sum(names["pending"], url) if "pending" in names else 0.0
        # Remote write counts every attempt as sent; the time of the newest sample shows what was really delivered.
        self.newest = max(now.values(HIGHEST_SENT, url), default=0.0) if signal == "metrics" else 0.0
        self.handed_on = self.newest >= int(float(canary.run)) if signal == "metrics" else self.sent > 0
        self._canary = canary
        self._signal = signal

    def __str__(self):
        counts = {
            "tried" if self._signal == "metrics" else "sent": self.sent,
            "given up": self.failed,
            "tried again": self.retried,
            "left out": self.dropped,
            "waiting": self.pending,
        }
        said = "the collector since then: " + ", ".join(f"{name} {count:.0f}" for name, count in counts.items())
        if self._signal != "metrics":
            return said
        if not self.newest:
            return f"{said}; no sample was ever handed on"
        age = self.newest - float(self._canary.run)
        side = "younger" if age > 0 else "older"
        return f"{said}; the newest sample handed on is {abs(age):.0f} s {side} than the canary"


class Target(NamedTuple):
    """The collector's view of the exporter; `scraped` is the time of the last scrape (epoch seconds, 0: never)."""

    health: str
    error: str
    scraped: float


class Collector:
    """A running Alloy, or Prometheus in agent mode, over HTTP on loopback; raises NoAnswer."""

    def __init__(self, kind, address, password_file):
        self.kind = kind
        self.address = address
        self.password_file = password_file
        self._route = Route(timeout=LOOP_SECONDS)

    def samples(self):
        """The collector's own metrics."""
        return Samples(self._get("/metrics"))

    def target(self, job="hypertool"):
        """The first target of a job; None without one."""
        found = self._alloy_targets() if self.kind == "alloy" else self._prometheus_targets()
        return next((target for name, target in found if name == job), None)

    def _prometheus_targets(self):
        for one in json.loads(self._get("/api/v1/targets?state=active"))["data"]["activeTargets"]:
            yield one["labels"].get("job"), Target(one["health"], one["lastError"], moment(one["lastScrape"]))

    def _alloy_targets(self):
        for component in json.loads(self._get("/api/v0/web/components")):
            if component["name"] != "prometheus.scrape":
                continue
            about = json.loads(self._get(f"/api/v0/web/components/{component['localID']}"))
            for block in about.get("debugInfo") or []:
                one = {entry["name"]: plain(entry["value"]) for entry in block.get("body", []) if "value" in entry}
                job = (one.get("labels") or {}).get("job") or one.get("job")
                yield job, Target(one.get("health"), one.get("last_error") or "", moment(one.get("last_scrape") or ""))

    def _get(self, path):
        answer = self._route.send("GET", self.address + path, web_access.headers(self.password_file))
        if answer.status != 200:
            raise NoAnswer("destination", "status", f"{self.address}{path} answers {answer.status}")
        return answer.text


def plain(value):
    """The plain value in Alloy's JSON, which states types beside values."""
    if value.get("type") == "object":
        return {entry["key"]: plain(entry["value"]) for entry in value["value"]}
    return value.get("value")


def moment(text):
    """Seconds since the epoch of an RFC 3339 time; 0 for Go's zero time and for an invalid one."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$", text)
    if not match or text.startswith("0001"):
        return 0.0
    seconds = calendar.timegm(time.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S")) + float(match.group(2) or 0)
    zone = match.group(3)
    if zone == "Z":
        return seconds
    offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return seconds - offset if zone[0] == "+" else seconds + offset


def not_scraped(collector, canary):
    """Empty if the collector has scraped the exporter since the canary was written, else the reason."""
    target = collector.target()
    if target is None:
        return 'the collector has no target with job="hypertool": its list of targets lacks the exporter'
    if target.health != "up":
        return f'the collector\'s target with job="hypertool" is {target.health}: {target.error or "not scraped yet"}'
    if target.scraped < float(canary.run):
        return (
            "the collector has not scraped the exporter since the sample was there: its scrape interval is longer "
            "than the timeout of this proof, or it is overloaded"
        )
    return ""


def diagnose(intake, probe, sender, unseen=None, secrets=()):
    """The hop and the evidence, from the first hop with a problem.

    `intake` says why the collector received nothing (or is empty), `probe` is the destination's answer to the
    collector's credential, `sender` holds the collector's counters. `unseen` is hop and evidence if the collector
    counts no intake: it also takes in nothing while an unreachable destination holds up earlier data.
    `secrets` are removed from the evidence.
    """
    if intake:
        return "scrape", intake
    if isinstance(probe, NoAnswer):
        return "network", f"the destination gives no answer: {probe}; {sender}"
    if probe.status in (401, 403) and not probe.html:
        return "credential", (
            f"the destination refuses the credential of the collector ({probe.status}: "
            f"{probe.excerpt(secrets)}); {sender}"
        )
    if not accepted(probe) or probe.status == 429:
        return "remote", f"the destination answers {probe.status} ({probe.excerpt(secrets)}); {sender}"
    if not sender.exists:
        return "queue", "the collector has no sender for it: nothing in its configuration leads to a destination"
    if sender.failed > 0:
        return "remote", (
            "the destination accepts the credential but refuses for good what is sent (its log says the "
            f"reason: too old, out of order, a limit); {sender}"
        )
    if sender.retried > 0 and not sender.handed_on:
        return "network", (
            "the destination answers this host, but the collector does not get through: look at proxy, "
            f"CA file and address in its configuration; {sender}"
        )
    if unseen:
        return unseen
    if sender.dropped > 0 or not sender.handed_on:
        return "queue", f"it came in and was not sent: {sender}"
    return "remote", f"it was sent and taken without a refusal, and is not found there; {sender}"
