#!/usr/bin/python
# Checks the destination and credential of Grafana Cloud from the collector's host before anything is changed.
from __future__ import annotations

from ansible.module_utils.hypertool.cloud.connection import without
from ansible.module_utils.hypertool.cloud.preflight import complaint, preflight, secrets_of
from ansible.module_utils.hypertool.frame import settled_module

DOCUMENTATION = r"""
module: cloud_preflight
short_description: Check addresses, ids and token of Grafana Cloud before anything is changed
description:
  - Looks at the values first (empty, malformed, mixed up), then sends each service a request that stores nothing, over
    the network and the proxy of the host it runs on. Changes nothing, also outside of check mode.
  - Fails with one message that names every problem found, with the variable, what was seen, what was expected, and
    what to do. Neither the token nor a password of the proxy is in any message.
options:
  metrics:
    description: Push address and user id for metrics.
    type: dict
    required: true
    suboptions: &service
      url:
        description: Address, as Grafana Cloud shows it.
        type: str
        default: ""
      user:
        description: Its user id (instance id), a number.
        type: str
        default: ""
  logs:
    description: The same for logs. Leave it out where none are sent.
    type: dict
    suboptions: *service
  otlp:
    description: The same for the OTLP gateway. Leave it out where no traces are sent.
    type: dict
    suboptions: *service
  token:
    description: Access policy token with the scopes metrics:write, logs:write and traces:write.
    type: str
    default: ""
  ca_content:
    description: The same as text, where the file is not on the host yet.
    type: str
    default: ""
  proxy_url:
    description: HTTP proxy that the collector will use. Proxies of the environment are not used, as it does not either.
    type: str
    default: ""
  timeout:
    description: Seconds to wait for a connection, and for each answer.
    type: float
    default: 10
extends_documentation_fragment: [authorities]
author: [Hypertool]
"""

EXAMPLES = r"""
- name: Check where data is to go
  cloud_preflight:
    metrics:
      url: "{{ grafana_cloud_metrics_url }}"
      user: "{{ grafana_cloud_metrics_user }}"
    token: "{{ grafana_cloud_token }}"
"""

RETURN = r"""
problems:
  description: One sentence for each problem.
  returned: failure
  type: list
services:
  description: HTTP status by service, of the request that stores nothing.
  returned: always
  type: dict
"""

SERVICE = {"url": {"type": "str", "default": ""}, "user": {"type": "str", "default": ""}}


def main():
    module = settled_module(
        {
            "metrics": {"type": "dict", "required": True, "options": SERVICE},
            "logs": {"type": "dict", "options": SERVICE},
            "otlp": {"type": "dict", "options": SERVICE},
            "token": {"type": "str", "default": "", "no_log": True},
            "ca_file": {"type": "str", "default": ""},
            "ca_content": {"type": "str", "default": ""},
            "proxy_url": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 10},
        }
    )
    secrets = secrets_of(module.params)
    module.no_log_values.update(secrets)
    problems, services = preflight(module.params)
    problems = [without(problem, secrets) for problem in problems]
    if problems:
        module.fail_json(msg=complaint(problems), problems=problems, services=services)
    module.exit_json(changed=False, services=services)


if __name__ == "__main__":
    main()
