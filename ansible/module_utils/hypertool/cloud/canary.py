# The canaries of a delivery proof: a sample, a log line and a span with one run id; how each is sent and read back.
from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from urllib.parse import urlencode

from ansible.module_utils.hypertool import paths
from ansible.module_utils.hypertool.cloud.connection import NoAnswer, Route, basic

GAUGE = "hypertool_delivery_proof_timestamp_seconds"
FILE = "delivery-proof"
LOOP_SECONDS = 5.0


class Refused(Exception):
    """The destination denies this credential read access; the text quotes its answer."""


class Canary:
    """One run. `run` is its start as text, seconds since the epoch to the millisecond: the id of everything sent."""

    def __init__(self, run, instance):
        self.run = run
        self.instance = instance
        self.trace_id = hashlib.sha256(f"{run} {instance}".encode()).hexdigest()[:32]
        self.line = f"hypertool delivery proof {run} of {instance}"

    # Sending

    def put_sample(self, state_dir):
        """Make the exporter serve the gauge until `take_sample`. Raises OSError and UnsafePath."""
        with paths.folder(state_dir) as fd:
            # The exporter reads it through the folder's group.
            group = os.fstat(fd).st_gid
            paths.write_text_at(fd, FILE, os.path.join(state_dir, FILE), f"{self.run}\n", os.geteuid(), group, 0o640)

    @staticmethod
    def take_sample(state_dir):
        """Remove the gauge."""
        # It may not exist.
        with suppress(OSError, paths.UnsafePath), paths.folder(state_dir) as fd:
            os.unlink(FILE, dir_fd=fd)

    def send_span(self, receiver):
        """Send the span to the collector's OTLP receiver; returns the answer. Raises NoAnswer."""
        began = int(float(self.run) * 1000) * 10**6
        span = {
            "traceId": self.trace_id,
            "spanId": self.trace_id[:16],
            "name": "delivery proof",
            "kind": 1,
            "startTimeUnixNano": str(began),
            "endTimeUnixNano": str(began + 10**6),
            "attributes": [{"key": "hypertool.delivery_proof", "value": {"stringValue": self.run}}],
        }
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "hypertool-delivery-proof"}}]}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
        return Route(timeout=LOOP_SECONDS).send(
            "POST", f"{receiver}/v1/traces", {"Content-Type": "application/json"}, json.dumps(body).encode()
        )

    def write_line(self, module, unit):
        """Write the line to the journal; empty, or why the journal lacks it under the named unit. Needs systemd."""
        # The description must be set: systemd's "Started ..." would repeat the command, and thus the run id.
        command = [
            "systemd-run",
            f"--unit={unit}",
            "--description=Hypertool delivery proof",
            "--collect",
            "--quiet",
            "--wait",
            "/bin/echo",
            self.line,
        ]
        try:
            status, out, err = module.run_command(command, handle_exceptions=False)
        except OSError as error:
            return f"systemd-run cannot be run ({error.strerror})"
        return "" if status == 0 else f"systemd-run ended with {status}: {(err or out).strip()}"

    def in_journal(self, module, unit):
        """Whether journald has the line under that unit."""
        command = ["journalctl", f"--unit={unit}", f"--since=@{int(float(self.run)) - 1}", "--output=cat", "--no-pager"]
        try:
            return self.line in module.run_command(command, handle_exceptions=False)[1]
        except OSError:
            return False


class Reader:
    """Looks for a canary at the destination. `services` as given to the module; raises Refused and NoAnswer."""

    def __init__(self, route, services, token):
        self.route = route
        self.services = services
        self.token = token

    def metrics(self, canary):
        """The label `instance` of the sample at the destination; None if it is missing."""
        url = self.services["metrics"]["url"]
        base = url[: -len("/api/v1/write")] if url.endswith("/api/v1/write") else url[: -len("/push")]
        answer = self._get("metrics", f"{base}/api/v1/query?" + urlencode({"query": f"{GAUGE} == {canary.run}"}))
        found = [row["metric"].get("instance", "") for row in answer["data"]["result"]]
        return canary.instance if canary.instance in found else (found[0] if found else None)

    def logs(self, canary, unit):
        """Whether the line has arrived."""
        base = self.services["logs"]["url"][: -len("/push")]
        began = int(float(canary.run))
        words = {
            "query": f'{{unit="{unit}"}} |= {json.dumps(canary.line)}',
            "limit": "5",
            "start": f"{began - 60}000000000",
            "end": f"{began + 3600}000000000",
        }
        answer = self._get("logs", f"{base}/query_range?{urlencode(words)}")
        return any(stream["values"] for stream in answer["data"]["result"])

    def traces(self, canary):
        """Whether the span has arrived."""
        answer = self._get("traces", f"{self.services['traces']['url']}/api/traces/{canary.trace_id}", missing=404)
        return bool(answer.get("batches") or answer.get("resourceSpans") or answer.get("trace"))

    def _get(self, service, url, missing=None):
        user = self.services[service]["user"]
        headers = {"Accept": "application/json"}
        if user:
            headers["Authorization"] = basic(user, self.token)
        answer = self.route.send("GET", url, headers)
        if answer.status in (401, 403):
            raise Refused(f"{service} answers {answer.status} to a query ({answer.excerpt([self.token])})")
        if answer.status == missing:
            return {}
        if answer.status != 200:
            raise NoAnswer(
                "destination",
                "status",
                f"{service} answers {answer.status} to a query ({answer.excerpt([self.token])})",
            )
        try:
            return json.loads(answer.text)
        except ValueError as error:
            raise NoAnswer(
                "destination",
                "status",
                f"{service} answers a query with something that is not JSON ({answer.excerpt([self.token])})",
            ) from error
