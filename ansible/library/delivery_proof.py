#!/usr/bin/python
# Proves that metrics, logs and traces of a host arrive at the destination, or names the hop where they stop.
from __future__ import annotations

from ansible.module_utils.hypertool import web_access
from ansible.module_utils.hypertool.cloud.canary import Refused
from ansible.module_utils.hypertool.cloud.connection import without
from ansible.module_utils.hypertool.cloud.proof import SCOPES, Proof
from ansible.module_utils.hypertool.frame import settled_module

DOCUMENTATION = r"""
module: delivery_proof
short_description: Prove that metrics, logs and traces arrive at the destination
description:
  - Sends a canary through every path with one run id. The sample is a gauge of hypertool's exporter, the log line is
    written by a transient unit, the span goes to the collector's OTLP receiver. Then it looks for each at the
    destination.
  - What does not arrive fails the module, which names the hop and the evidence. The hops are C(scrape) (nothing came
    into the collector), C(queue) (it came in and was not sent), C(credential) (refused with 401 or 403), C(network)
    (no answer, or the collector does not get through), C(remote) (the destination refuses, or took it and has it not).
  - Where the destination may not be queried, the collector's own counters are the proof, and a warning says so.
  - Leaves nothing behind, and does nothing in check mode.
options:
  collector:
    description: What runs on the host. C(prometheus) is Prometheus in agent mode, which sends metrics only.
    type: str
    required: true
    choices: [alloy, prometheus]
  instance:
    description: Value of label instance that this host's data carries.
    type: str
    required: true
  metrics:
    description: Push address (remote write) and user id. An empty id is for a destination without credentials.
    type: dict
    required: true
    suboptions: &service
      url:
        description: Address.
        type: str
        required: true
      user:
        description: User id.
        type: str
        default: ""
  logs:
    description: Push address of Loki and user id. Left out, no log line is sent.
    type: dict
    suboptions: *service
  otlp:
    description: Address of the OTLP gateway and user id. Left out, no span is sent.
    type: dict
    suboptions: *service
  traces:
    description: Query address of Tempo and user id. Left out, the span is not read back.
    type: dict
    suboptions: *service
  token:
    description: Token that the collector sends with.
    type: str
    default: ""
  token_file:
    description: File on the host from which the collector reads its token; empty, where the roles put it. What it holds
      is tried when something does not arrive, or O(token) where there is no such file.
    type: str
    default: ""
  read_token:
    description: Token with metrics:read, logs:read and traces:read. Used for this proof only. Empty, O(token) is tried.
    type: str
    default: ""
  proxy_url:
    description: HTTP proxy on the way to the destination.
    type: str
    default: ""
  timeout:
    description: Seconds for everything to arrive. Scrape interval and send deadline of the collector are part of it.
    type: int
    default: 90
  state_dir:
    description: State directory of hypertool.
    type: path
    default: /var/lib/hypertool
  exporter:
    description: Metrics address of hypertool's exporter.
    type: str
    default: http://127.0.0.1:9464/metrics
  collector_address:
    description: HTTP address of the collector. Empty, port 12345 (alloy) or 9090 (prometheus) of loopback.
    type: str
    default: ""
  password_file:
    description: The password of the collector's own pages.
    type: path
    default: /etc/hypertool/secrets/web_password
  otlp_receiver:
    description: Address of the collector's OTLP receiver.
    type: str
    default: http://127.0.0.1:4318
  unit:
    description: Transient unit that writes the log line; it has to be one of those whose lines are sent.
    type: str
    default: hypertool-delivery-proof.service
extends_documentation_fragment: [authorities]
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Prove that everything arrives
  delivery_proof:
    collector: alloy
    instance: "{{ inventory_hostname }}"
    metrics:
      url: "{{ grafana_cloud_metrics_url }}"
      user: "{{ grafana_cloud_metrics_user }}"
    token: "{{ grafana_cloud_token }}"
    read_token: "{{ grafana_cloud_read_token }}"
"""

RETURN = r"""
msg:
  description: What arrived and when, or what did not and where it stopped.
  returned: always
  type: str
run:
  description: The run id, which the sample has as its value, and line and span have in their text.
  returned: always
  type: str
signals:
  description: By signal (metrics, logs, traces), C(proof) (C(arrived) or C(sent)) and C(seconds) until then.
  returned: always
  type: dict
trace_id:
  description: Trace id of the span.
  returned: always
  type: str
failures:
  description: By signal, C(hop) and C(evidence).
  returned: failure
  type: dict
"""


def main():
    service = {"url": {"type": "str", "required": True}, "user": {"type": "str", "default": ""}}
    module = settled_module(
        {
            "collector": {"type": "str", "required": True, "choices": ["alloy", "prometheus"]},
            "instance": {"type": "str", "required": True},
            "metrics": {"type": "dict", "required": True, "options": service},
            "logs": {"type": "dict", "options": service},
            "otlp": {"type": "dict", "options": service},
            "traces": {"type": "dict", "options": service},
            "token": {"type": "str", "default": "", "no_log": True},
            "token_file": {"type": "str", "default": "", "no_log": False},
            "read_token": {"type": "str", "default": "", "no_log": True},
            "ca_file": {"type": "str", "default": ""},
            "proxy_url": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 90},
            "state_dir": {"type": "path", "default": "/var/lib/hypertool"},
            "exporter": {"type": "str", "default": "http://127.0.0.1:9464/metrics"},
            "collector_address": {"type": "str", "default": ""},
            "password_file": {"type": "path", "default": web_access.PASSWORD_FILE, "no_log": False},
            "otlp_receiver": {"type": "str", "default": "http://127.0.0.1:4318"},
            "unit": {"type": "str", "default": "hypertool-delivery-proof.service"},
        }
    )
    if module.check_mode:
        module.exit_json(changed=False, run="", trace_id="", signals={}, msg="check mode: nothing was sent")
    try:
        proof = Proof(module)
    except ValueError as error:
        path = module.params["ca_file"]
        module.fail_json(msg=f"grafana_cloud_ca_file: {path} cannot be used ({error}); expected certificates in PEM")
    secrets = [module.params["token"], module.params["read_token"], proof.collectors_token()]
    result = {"changed": False, "run": proof.canary.run, "trace_id": proof.canary.trace_id, "signals": proof.done}
    try:
        failures = proof.run()
    except Refused as refusal:
        module.fail_json(
            msg=without(
                f"grafana_cloud_read_token: {refusal}; expected a token of this stack with the scopes "
                f"{', '.join(SCOPES.values())}: correct it, or leave it out (then arrival is not read back)",
                secrets,
            ),
            **result,
        )
    if failures:
        lines = [f"  {signal}: stops at {found['hop']}: {found['evidence']}" for signal, found in failures.items()]
        proven = ", ".join(proof.done) or "none"
        said = f"after {module.params['timeout']} s not everything has arrived (proven: {proven}):\n"
        module.fail_json(msg=said + without("\n".join(lines), secrets), failures=failures, **result)
    for signal, reason in proof.unreadable.items():
        module.warn(
            without(
                f"{signal}: sent without a refusal, but arrival was not read back: {reason}. "
                f"Give grafana_cloud_read_token with the scope {SCOPES[signal]} to have it read back",
                secrets,
            )
        )
    said = (f"{signal} {found['proof']} after {found['seconds']} s" for signal, found in proof.done.items())
    module.exit_json(msg=", ".join(said), **result)


if __name__ == "__main__":
    main()
