"""One namespace of rule groups: in a Mimir, in the Mimir behind a data source of Grafana, or managed by Grafana."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from .client import Client
from .problems import Answer, PushProblem, problem, said
from .rule_groups import Group, marked
from .sources import parse_yaml


class Route(NamedTuple):
    """Paths of one of the three: rules, evaluations, a query string, and headers; `hint` explains a 404."""

    rules: str
    evaluations: str
    hint: str
    query: str = ""
    headers: Mapping[str, str] = {}
    managed: bool = False


def mimir() -> Route:
    """A ruler's own interface, below `.../prometheus` or Grafana Cloud's `.../api/prom`."""
    hint = "expected a ruler's address, as https://HOST/prometheus of a Mimir or https://HOST/api/prom of Grafana Cloud"
    return Route("/config/v1/rules", "/api/v1/rules", hint)


def data_source(uid: str) -> Route:
    """The same through Grafana's proxy."""
    source = quote(uid, safe="")
    hint = f"the data source {uid} has no ruler (a plain Prometheus has none), or does not exist"
    return Route(f"/api/ruler/{source}/api/v1/rules", f"/api/prometheus/{source}/api/v1/rules", hint, "?subtype=mimir")


def grafana_managed(uid: str) -> Route:
    """Rules that Grafana evaluates on a data source. The namespace is a folder at the top: of a new one inside another
    folder, Grafana knows the permissions only half a minute later, and answers 404 until then."""
    hint = "Grafana-managed rules from rule files need Grafana 12 or newer"
    headers = {"X-Grafana-Alerting-Datasource-UID": uid}
    rules, evaluations = "/api/convert/prometheus/config/v1/rules", "/api/prometheus/grafana/api/v1/rules"
    return Route(rules, evaluations, hint, headers=headers, managed=True)


class Ruler:
    """The groups of one namespace. Every method raises PushProblem for a refusal."""

    def __init__(self, client: Client, route: Route, namespace: str) -> None:
        self._client, self._route, self.namespace = client, route, namespace

    @property
    def managed(self) -> bool:
        """Whether Grafana evaluates the rules itself."""
        return self._route.managed

    def read(self) -> list[Group]:
        """The groups that are there."""
        answer = self._send("GET", "")
        if answer.status == 404:
            if answer.body.strip() and not _nothing_there(answer):
                raise PushProblem(f"{answer.url}: HTTP 404, {said(answer) or 'no reason given'}; {self._route.hint}")
            return []
        if not answer.ok:
            raise problem(answer, f"reading the rules of the namespace {self.namespace}")
        found = parse_yaml(answer.text, lambda reason: PushProblem(f"{answer.url}: {reason}; {self._route.hint}"))
        if found is not None and not isinstance(found, dict):
            raise PushProblem(f"{answer.url}: expected rule groups by namespace; {self._route.hint}")
        listed = (found or {}).get(self.namespace) or []
        return [group for group in listed if isinstance(group, dict)] if isinstance(listed, list) else []

    def may_write(self) -> None:
        """Ask with a group that no ruler takes. Raises PushProblem if the credential may not write."""
        if self._route.managed:
            return  # its permissions are known from Grafana
        answer = self._send("POST", "", {"name": "", "rules": []})
        if answer.status in (401, 403, 404):
            raise problem(answer, f"may rules be written to the namespace {self.namespace}?")

    def write(self, group: Group) -> None:
        """Put one group there, in place of the one of that name."""
        answer = self._send("POST", "", marked(group))
        if not answer.ok:
            raise problem(answer, f"writing the rule group {group['name']}")

    def delete(self, name: str) -> None:
        """Delete one group; one that is gone already is deleted."""
        answer = self._send("DELETE", f"/{quote(name, safe='')}")
        if not answer.ok and answer.status != 404:
            raise problem(answer, f"deleting the rule group {name}")

    def unhealthy(self, names: Iterable[str]) -> list[str]:
        """Of each group that is not evaluated well, what is wrong; empty if all are."""
        answer = self._client.send("GET", self._route.evaluations, headers=self._route.headers)
        if not answer.ok:
            raise problem(answer, "reading how the rules are evaluated")
        data = answer.document().get("data")
        listed = data.get("groups") if isinstance(data, dict) else None
        groups = {
            str(one.get("name")): one
            for one in listed or ()
            if isinstance(one, dict) and str(one.get("file", "")).rstrip("/").endswith(self.namespace)
        }
        return [f"{name}: {wrong}" for name in names if (wrong := _wrong(groups.get(name)))]

    def _send(self, method: str, below: str, body: Any = None) -> Answer:
        path = f"{self._route.rules}/{quote(self.namespace, safe='')}{below}{self._route.query}"
        return self._client.send(method, path, body, self._route.headers)


def _nothing_there(answer: Answer) -> bool:
    """Whether a 404 speaks of the namespace and not of the interface."""
    words = answer.text.lower()
    return any(part in words for part in ("no rule groups found", "group does not exist", "namespace does not exist"))


def _wrong(group: Mapping[str, Any] | None) -> str:
    if group is None:
        return "not loaded yet"
    for rule in group.get("rules") or ():
        if rule.get("health") not in ("ok", "nodata"):
            name, error = rule.get("name"), str(rule.get("lastError") or "")[:200]
            return f"{name} is {rule.get('health') or 'not evaluated yet'}{f' ({error})' if error else ''}"
    return "" if not str(group.get("lastEvaluation", "")).startswith("0001") else "not evaluated yet"
