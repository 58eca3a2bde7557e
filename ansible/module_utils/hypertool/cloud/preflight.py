# Finds problems with destination and credential of Grafana Cloud; used by the module and by containers without Ansible.
from __future__ import annotations

from urllib.parse import unquote, urlsplit

from ansible.module_utils.hypertool.cloud.connection import NoAnswer, Route
from ansible.module_utils.hypertool.cloud.probe import Probe
from ansible.module_utils.hypertool.cloud.values import (
    problems_of_proxy,
    problems_of_token,
    problems_of_url,
    problems_of_user,
)


def secrets_of(params):
    """The secret parts of the parameters: the token, and a password in an address."""
    found = [params["token"]]
    addresses = [params["proxy_url"], *(params[name]["url"] for name in ("metrics", "logs", "otlp") if params[name])]
    for address in addresses:
        try:
            password = urlsplit(address.strip()).password
        except ValueError:
            password = address  # Hide an address that cannot be parsed.
        found += [password, unquote(password)] if password else []
    return [secret for secret in found if secret]


def route_of(params, problems):
    """The route to the destination; None if it is invalid, with the reason added to `problems`."""
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
    """The problems, and the status of each service that was queried."""
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
    return problems, {
        name: None if isinstance(result, NoAnswer) else result.status for name, result in probe.results.items()
    }


def complaint(problems):
    """One message that lists all problems."""
    listed = "\n".join(f"  {number}. {problem}." for number, problem in enumerate(problems, start=1))
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"data cannot go to Grafana Cloud yet, {count}:\n{listed}"
