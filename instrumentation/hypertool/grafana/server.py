"""Which interface a Grafana offers, which namespace a token belongs to, and what the token may do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .client import Client
from .problems import REFUSED, Answer, PushProblem, problem

# The newest first. v2 is another schema, to which a server would convert our panels.
_VERSIONS = ("v1", "v1beta1")
_GROUPS = {"dashboards": "dashboard.grafana.app", "folders": "folder.grafana.app"}
OLDEST = (9, 3)


class Server(NamedTuple):
    """A Grafana: its version (empty where it is hidden), the version of each new interface it serves (empty for the
    legacy one), and the namespace of the token (empty if only the legacy interface is used)."""

    version: str
    dashboards: str
    folders: str
    namespace: str

    def path(self, kind: str, name: str = "") -> str:
        """The path of the collection of `dashboards` or `folders`, or of one of them."""
        version = self.dashboards if kind == "dashboards" else self.folders
        below = f"/{name}" if name else ""
        return f"/apis/{_GROUPS[kind]}/{version}/namespaces/{self.namespace}/{kind}{below}"

    def api_version(self, kind: str) -> str:
        """What `apiVersion` in a document says."""
        return f"{_GROUPS[kind]}/{self.dashboards if kind == 'dashboards' else self.folders}"


def discover(client: Client) -> Server:
    """Ask the server. Raises PushProblem if it is no Grafana, is too old, or does not accept the token."""
    health = client.send("GET", "/api/health")
    if not health.ok:
        raise problem(health, f"{client.url}: asking for the version")
    version = str(health.document().get("version") or "")
    _old_enough(client.url, version)
    found = {kind: _newest(client.send("GET", f"/apis/{group}/")) for kind, group in _GROUPS.items()}
    served = found["dashboards"] or found["folders"]
    return Server(version, found["dashboards"], found["folders"], _namespace(client) if served else "")


def _old_enough(url: str, version: str) -> None:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise PushProblem(f"{url} is Grafana {version}: expected 9.3 or newer; import the dashboards by hand instead")


def _newest(answer: Answer) -> str:
    if answer.status == 401:
        raise problem(answer, "asking for the interfaces")
    if not answer.ok or "json" not in answer.headers.get("content-type", ""):
        return ""
    listed = answer.document().get("versions")
    versions = {one.get("version") for one in listed if isinstance(one, dict)} if isinstance(listed, list) else set()
    return next((one for one in _VERSIONS if one in versions), "")


def _namespace(client: Client) -> str:
    answer = client.send("GET", "/bootdata")
    found = ""
    if answer.ok and "json" in answer.headers.get("content-type", ""):
        settings = answer.document().get("settings")
        found = str(settings.get("namespace") or "") if isinstance(settings, dict) else ""
    if found == "org-0":
        raise PushProblem(f"{client.url}: the token is not accepted (the server answers as to a stranger)", REFUSED)
    if re.fullmatch(r"default|org-\d+|stacks-\d+", found):
        return found
    answer = client.send("GET", "/api/org")
    if not answer.ok:
        raise problem(answer, "asking for the organisation of the token")
    number = answer.document().get("id")
    return "default" if number == 1 else f"org-{number}"


#: The scope of what is at the top, beside every folder.
TOP = "folders:uid:general"


def permissions(client: Client) -> dict[str, list[str]] | None:
    """Scopes by action of this token; None where the server cannot say."""
    answer = client.send("GET", "/api/access-control/user/permissions?reloadcache=true")
    if answer.status == 404:
        return None
    if not answer.ok:
        raise problem(answer, "asking what the token may do")
    return {
        action: [str(one) for one in scopes] if isinstance(scopes, list) else []
        for action, scopes in answer.document().items()
    }


def missing(have: Mapping[str, list[str]], wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Which of the (action, scope) are not covered, as text. An empty scope is any."""
    return [
        f"{action} on {scope}" if scope else action
        for action, scope in wanted
        if action not in have or not _covered(scope, have[action])
    ]


def _covered(scope: str, scopes: list[str]) -> bool:
    if not scope or (scope == TOP and not scopes):  # no list of scopes: an older Grafana, which has none for it
        return True
    kind = scope.partition(":")[0]
    # Permissions on dashboards are given on folders or on dashboards; both are right for everything in a folder.
    every = {"*", "", f"{kind}:*", f"{kind}:uid:*", "dashboards:*", "dashboards:uid:*"}
    return any(one == scope or one in every for one in scopes)
