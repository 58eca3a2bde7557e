# A delivery proof: sends the canaries, looks for them at the destination, and finds the hop where one stopped.
from __future__ import annotations

import os
import time
from contextlib import suppress

from ansible.module_utils.hypertool import paths
from ansible.module_utils.hypertool.cloud.canary import GAUGE, LOOP_SECONDS, Canary, Reader, Refused
from ansible.module_utils.hypertool.cloud.connection import NoAnswer, Route, without
from ansible.module_utils.hypertool.cloud.hops import INTAKE, Collector, Samples, Sender, diagnose, not_scraped
from ansible.module_utils.hypertool.cloud.probe import Probe

POLL_SECONDS = 1.0
TOKEN_FILES = {
    "alloy": "/etc/alloy/secrets/grafana_cloud_token",
    "prometheus": "/etc/hypertool/prometheus/secrets/remote_write_password",
}
PORTS = {"alloy": 12345, "prometheus": 9090}
SCOPES = {"metrics": "metrics:read", "logs": "logs:read", "traces": "traces:read"}
#: The address that each signal is sent to.
SERVICE = {"metrics": "metrics", "logs": "logs", "traces": "otlp"}


class Proof:
    """One run, from the canaries to the verdict."""

    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.began = time.time()
        self.canary = Canary(f"{self.began:.3f}", self.params["instance"])
        alloy = self.params["collector"] == "alloy"
        self.signals = ["metrics"]
        self.signals += [signal for signal in ("logs", "traces") if alloy and self.params[SERVICE[signal]]]
        self.services = {name: self.params[name] for name in ("metrics", "logs", "otlp", "traces") if self.params[name]}
        self.route = Route(self.params["ca_file"], "", self.params["proxy_url"])
        self.reader = Reader(self.route, self.services, self.params["read_token"] or self.params["token"])
        address = self.params["collector_address"] or f"http://127.0.0.1:{PORTS[self.params['collector']]}"
        self.collector = Collector(self.params["collector"], address, self.params["password_file"])
        self.before = Samples()
        self.intake = {}  # by signal: why the collector received nothing
        self.unseen = {}  # by signal: hop and evidence if the collector was sent the canary and did not take it
        self.unreadable = {}  # by signal: why the destination cannot be queried
        self.misnamed = ""
        self.done = {}

    def run(self):
        """Send the canaries and look for them; returns the diagnosis of each signal that did not arrive."""
        with suppress(NoAnswer):  # queried again when something does not arrive
            self.before = self.collector.samples()
        try:
            self.send()
            deadline = time.monotonic() + self.params["timeout"]
            while True:
                for signal in self.signals:
                    if signal not in self.done and self.proven(signal):
                        proof = "sent" if signal in self.unreadable else "arrived"
                        self.done[signal] = {"proof": proof, "seconds": round(time.time() - self.began, 1)}
                if len(self.done) == len(self.signals):
                    return {}
                if time.monotonic() > deadline:
                    return {signal: self.diagnosis(signal) for signal in self.signals if signal not in self.done}
                time.sleep(POLL_SECONDS)
        finally:
            self.canary.take_sample(self.params["state_dir"])

    def send(self):
        """Send the canaries; `intake` gets the reasons why one did not even reach the collector."""
        try:
            self.canary.put_sample(self.params["state_dir"])
        except OSError as error:
            self.intake["metrics"] = (
                f"no canary can be put into the state directory {self.params['state_dir']} "
                f"({error.strerror}): is hypertool installed?"
            )
        except paths.UnsafePath as error:
            self.intake["metrics"] = str(error)
        if "logs" in self.signals:
            self.intake["logs"] = self.canary.write_line(self.module, self.params["unit"])
        if "traces" in self.signals:
            self.send_span()

    def send_span(self):
        """Send the span; a reachable receiver that does not take it is blocked, or refuses it."""
        try:
            answer = self.canary.send_span(self.params["otlp_receiver"])
        except NoAnswer as failure:
            said = f"the collector's OTLP receiver did not take the span: {failure}"
            if failure.kind == "read_timeout":
                self.unseen["traces"] = "queue", said
            else:
                self.intake["traces"] = said
            return
        if answer.status in (429, 503):
            self.unseen["traces"] = "queue", f"the collector's OTLP receiver is full ({answer.status})"
        elif answer.status != 200:
            said = f"the collector's OTLP receiver refuses the span ({answer.status}: {answer.excerpt([])})"
            self.intake["traces"] = said

    # Looking

    def proven(self, signal):
        """Whether the canary is at the destination or, if that may not be queried, was sent."""
        if signal == "traces" and "traces" not in self.services:
            self.unreadable[signal] = "no query address of Tempo is given (grafana_cloud_traces_url)"
        try:
            return self.sent(signal) if signal in self.unreadable else self.arrived(signal)
        except Refused as refusal:
            if self.params["read_token"]:
                raise
            self.unreadable[signal] = f"the token may not read ({refusal})"
        except NoAnswer:
            pass  # The destination or the collector does not answer now; the verdict follows at the end.
        return False

    def arrived(self, signal):
        """Whether the destination has the canary."""
        if signal == "metrics":
            instance = self.reader.metrics(self.canary)
            if instance not in (None, self.canary.instance):
                self.misnamed = instance
            return instance == self.canary.instance
        if signal == "logs":
            return self.reader.logs(self.canary, self.params["unit"])
        return self.reader.traces(self.canary)

    def sent(self, signal):
        """Whether the collector's counters show that it was sent, without any failure."""
        now = self.collector.samples()
        sender = Sender(signal, self.canary, self.before, now, self.services["metrics"]["url"])
        if self.intake.get(signal) or not sender.handed_on or sender.failed > 0:
            return False
        if signal != "metrics":
            return now.sum(INTAKE[signal]) > self.before.sum(INTAKE[signal])
        target = self.collector.target()
        scraped = target.scraped if target is not None and target.health == "up" else 0.0
        return float(self.canary.run) < scraped and int(scraped) <= sender.newest

    # The verdict

    def diagnosis(self, signal):
        """Hop and evidence of a canary that did not arrive."""
        if signal == "metrics" and self.misnamed:
            return {
                "hop": "scrape",
                "evidence": (
                    f"the sample arrived with instance={self.misnamed!r} instead of {self.canary.instance!r}: "
                    "the collector's configuration names the host differently"
                ),
            }
        try:
            now = self.collector.samples()
            intake = self.intake.get(signal) or self.lost_on_the_way_in(signal)
        except NoAnswer as failure:
            return {"hop": "scrape", "evidence": self.intake.get(signal) or f"the collector does not answer: {failure}"}
        sender = Sender(signal, self.canary, self.before, now, self.services["metrics"]["url"])
        service = SERVICE[signal]
        probe = Probe(self.route, {service: self.services[service]}, self.collectors_token())
        answer = probe.ask(service, self.services[service]["user"])
        unseen = self.unseen.get(signal) or self.not_counted(signal, now)
        hop, evidence = diagnose(intake, answer, sender, unseen, probe.secrets)
        return {"hop": hop, "evidence": without(evidence, probe.secrets)}

    def lost_on_the_way_in(self, signal):
        """Why the collector cannot have received anything; empty if it can."""
        if signal == "metrics":
            return self.not_served() or not_scraped(self.collector, self.canary)
        if signal == "logs" and not self.canary.in_journal(self.module, self.params["unit"]):
            return f"the journal has no line of {self.params['unit']}: is journald running?"
        return ""

    def not_counted(self, signal, now):
        """The failing hop and its evidence, if the collector has not received the canary; else None."""
        if signal == "metrics" or now.sum(INTAKE[signal]) > self.before.sum(INTAKE[signal]):
            return None
        if signal == "traces":
            return "scrape", "the OTLP receiver answered, but counts no span that it accepted"
        return "scrape", (
            "the journal has the line, but the collector read nothing: it may not read the journal, or "
            f"{self.params['unit']} is not among its units"
        )

    def not_served(self):
        """Why the exporter does not serve the gauge; empty if it does."""
        address = self.params["exporter"]
        try:
            answer = Route(timeout=LOOP_SECONDS).send("GET", address, {})
        except NoAnswer as failure:
            return f"hypertool's exporter does not answer: {failure}"
        if answer.status == 200 and Samples(answer.text).sum(GAUGE) == float(self.canary.run):
            return ""
        return (
            f"hypertool's exporter at {address} (status {answer.status}) does not serve {GAUGE} with this run: it "
            f"is older than this play, or serves another state directory than {self.params['state_dir']}"
        )

    def collectors_token(self):
        """The token that the collector sends with: the current content of its file, else the play's token."""
        path = self.params["token_file"] or TOKEN_FILES[self.params["collector"]]
        if path and os.access(path, os.R_OK):
            with open(path, encoding="utf-8", errors="replace") as handle:
                return handle.read().strip()
        return self.params["token"]
