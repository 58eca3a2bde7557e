#!/usr/bin/python
# Checks destination and credential of Grafana Cloud from where the collector will run, before anything is changed.
from __future__ import annotations

from urllib.parse import unquote, urlsplit

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.hypertool_cloud import NoAnswer, Route, without
from ansible.module_utils.hypertool_cloud_probe import Probe
from ansible.module_utils.hypertool_cloud_values import (
    problems_of_proxy,
    problems_of_token,
    problems_of_url,
    problems_of_user,
)

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
  ca_file:
    description: PEM file on the host with the authorities to trust instead of the system's.
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


def secrets_of(params):
    """The parts of parameters that nobody may read: the token, and a password in an address."""
    found = [params["token"]]
    addresses = [params["proxy_url"], *(params[name]["url"] for name in ("metrics", "logs", "otlp") if params[name])]
    for address in addresses:
        try:
            password = urlsplit(address.strip()).password
        except ValueError:
            password = address  # what cannot be taken apart is not shown
        found += [password, unquote(password)] if password else []
    return [secret for secret in found if secret]


def route_of(params, problems):
    """The way there; nothing if it cannot be made, with the reason in `problems`."""
    try:
        return Route(params["ca_file"], params["ca_content"], params["proxy_url"], params["timeout"])
    except ValueError as error:
        where = f"the file {params['ca_file']}" if params["ca_file"] else "the text"
        problems.append(
            f"grafana_cloud_ca_file: {where} cannot be used ({error}); expected certificates in PEM, beginning with "
            "-----BEGIN CERTIFICATE-----"
        )
    return None


def preflight(params):
    """Problems, and the status of each service that was asked."""
    services = {name: params[name] for name in ("metrics", "logs", "otlp") if params[name]}
    problems, blank = [], set()
    good = {}
    of_token = problems_of_token(params["token"])
    for name, service in services.items():
        of_url, of_user = problems_of_url(name, service["url"]), problems_of_user(name, service["user"])
        problems += of_url + of_user
        if not of_url:
            good[name] = service
            if of_user or of_token:
                blank.add(name)
    of_proxy = problems_of_proxy(params["proxy_url"])
    problems += of_token + of_proxy
    route = None if of_proxy else route_of(params, problems)
    if route is None or not good:
        return problems, {}
    probe = Probe(route, good, params["token"])
    probe.run(without_credential=blank)
    problems += probe.problems(without_credential=blank)
    return problems, {name: None if isinstance(result, NoAnswer) else result.status
                      for name, result in probe.results.items()}


def main():
    module = AnsibleModule(
        argument_spec={
            "metrics": {"type": "dict", "required": True, "options": SERVICE},
            "logs": {"type": "dict", "options": SERVICE},
            "otlp": {"type": "dict", "options": SERVICE},
            "token": {"type": "str", "default": "", "no_log": True},
            "ca_file": {"type": "str", "default": ""},
            "ca_content": {"type": "str", "default": ""},
            "proxy_url": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    secrets = secrets_of(module.params)
    module.no_log_values.update(secrets)
    problems, services = preflight(module.params)
    problems = [without(problem, secrets) for problem in problems]
    if problems:
        listed = "\n".join(f"  {number}. {problem}." for number, problem in enumerate(problems, start=1))
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        module.fail_json(msg=f"data cannot go to Grafana Cloud yet, {count}:\n{listed}", problems=problems,
                         services=services)
    module.exit_json(changed=False, services=services)


if __name__ == "__main__":
    main()
