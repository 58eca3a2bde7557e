"""A stand-in for Grafana and Mimir, made from what Grafana 12.4.0 and Mimir 3.0.5 were seen to answer.

It keeps folders, dashboards and rule groups in memory, in the interfaces `v1`, `v1beta1` or `legacy`, and goes wrong as
a test tells it. It proves how the push behaves at answers that a real server gives rarely; it is no proof that a real
server gives them. tests/push/test_real_servers.py runs against real ones.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "glsa_standin_0123456789"
EDITOR = {
    **{f"dashboards:{verb}": ["folders:*"] for verb in ("read", "create", "write", "delete")},
    **{f"folders:{verb}": ["folders:*"] for verb in ("read", "create", "write")},
    **{f"alert.rules:{verb}": ["folders:*"] for verb in ("read", "create", "write", "delete")},
    **{f"alert.rules.external:{verb}": ["datasources:*"] for verb in ("read", "write")},
    "alert.provisioning.provenance:write": [""],
    "datasources:query": ["datasources:*"],
}
Reply = tuple[int, Any]
_UNAUTHORISED = {"extra": None, "message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401}


class StandIn:
    """One server. Change its attributes between requests; `reset` forgets everything."""

    def __init__(self) -> None:
        self.reset()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reset(self, interface: str = "v1beta1", version: str = "12.4.0") -> None:
        """As new, serving `v1`, `v1beta1` or `legacy`."""
        self.interface, self.version, self.namespace = interface, version, "default"
        self.permissions: dict[str, list[str]] | None = copy.deepcopy(EDITOR)
        self.folders: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.page = 50
        self.dropped: set[str] = set()  # fields of rules that an older Grafana does not know
        self.visible = True  # to others than the creator of the folder
        self.requests: list[tuple[str, str]] = []
        # (method, part of the path) -> replies to give first, and then none of them.
        self.wrong: dict[tuple[str, str], list[tuple[int, Any, dict[str, str]]]] = {}

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def fail(self, method: str, part: str, status: int, body: Any = "", times: int = 99, **headers: str) -> None:
        """Answer like that, where the path has that part."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.wrong[method, part] = [(status, body, named)] * times

    def content(self) -> Any:
        """A copy of everything that is kept, to compare."""
        return copy.deepcopy((self.folders, self.dashboards, self.rules))

    def writes(self) -> list[tuple[str, str]]:
        """Requests that were to change something; the question whether rules may be written is none."""
        return [one for one in self.requests if one[0] != "GET"]

    def save_in_browser(self, uid: str, **changes: Any) -> None:
        """What a save by a person does: another version, and no marks."""
        kept = self.dashboards[uid]
        kept.update(annotations={}, labels={}, message="", generation=kept["generation"] + 1, rv=kept["rv"] + 1)
        kept["spec"].update(changes)

    def put(self, uid: str, folder: str, title: str = "x", **notes: Any) -> None:
        """A dashboard of somebody else, with those annotations (`managedBy`, ...)."""
        annotations = {f"grafana.app/{name}": str(value) for name, value in notes.items()}
        self.dashboards[uid] = _kept(folder, {"title": title, "panels": []}, annotations, {})

    # Every `_on_...` answers one interface with (status, body).

    def reply(self, method: str, target: str, headers: Any, body: Any) -> tuple[int, Any, dict[str, str]]:
        """The answer to one request."""
        parts = urlsplit(target)
        self.requests.append((method, parts.path))
        for (wanted, part), replies in self.wrong.items():
            if method == wanted and part in target and replies:
                return replies.pop()
        path, query = parts.path, parse_qs(parts.query)
        if path == "/api/health":
            return 200, {"database": "ok", "version": self.version}, {}
        if path.startswith("/prometheus/"):
            return (*self._on_ruler(method, path.removeprefix("/prometheus"), headers, body), {})
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, _UNAUTHORISED, {}
        return (*self._on_grafana(method, path, query, headers, body), {})

    def _on_grafana(self, method: str, path: str, query: Any, headers: Any, body: Any) -> Reply:
        if path == "/bootdata":
            return 200, {"settings": {"namespace": self.namespace}}
        if path == "/api/access-control/user/permissions":
            return (404, {"message": "Not found"}) if self.permissions is None else (200, self.permissions)
        if path in ("/apis/dashboard.grafana.app/", "/apis/folder.grafana.app/"):
            if self.interface == "legacy":
                return 404, {"message": "Not found"}
            served = [self.interface, "v0alpha1", "v2beta1"]
            return 200, {"kind": "APIGroup", "versions": [{"version": one} for one in served]}
        group = r"/apis/(?:dashboard|folder)\.grafana\.app/(\w+)/namespaces/([\w-]+)/(dashboards|folders)(?:/(.+))?"
        if found := re.fullmatch(group, path):
            version, namespace, kind, name = found.groups()
            if version != self.interface:
                return 404, "404 page not found"
            if namespace != self.namespace:
                return 403, {"messageId": "authn.invalid-namespace", "message": "invalid namespace"}
            on = self._on_dashboards if kind == "dashboards" else self._on_folders
            return on(method, unquote(name or ""), query, body)
        if path.startswith(("/api/ruler/ds1/", "/api/prometheus/ds1/")):
            below = path.replace("/api/ruler/ds1/api/v1/rules", "/config/v1/rules").replace("/api/prometheus/ds1", "")
            return self._on_ruler(method, below, {"X-Scope-OrgID": "1"}, body)
        if path.startswith("/api/ruler/"):
            return 404, "404 page not found\n"
        if path.startswith(("/api/convert/prometheus", "/api/prometheus/grafana")):
            return self._on_convert(method, path, headers, body)
        return self._on_legacy(method, path, body)

    def _on_folders(self, method: str, name: str, _: Any, body: Any) -> Reply:
        if method == "GET":
            if name not in self.folders:
                return 404, _status(404, "NotFound", f'folders.folder.grafana.app "{name}" not found')
            return 200, {"metadata": {"name": name, "annotations": self.folders[name]["annotations"]}}
        name = body["metadata"]["name"]
        self.visible = body["metadata"].get("annotations", {}).get("grafana.app/grant-permissions") == "default"
        if name in self.folders:
            return 412, {"message": "the folder has been changed by someone else"}
        self.folders[name] = {"title": body["spec"]["title"], "annotations": {}}
        return 201, body

    def _on_dashboards(self, method: str, name: str, query: Any, body: Any) -> Reply:
        if method == "GET" and not name:
            return self._list(query)
        if method == "POST":
            name = body["metadata"]["name"]
            if name in self.dashboards:
                return 409, _status(409, "AlreadyExists", f'dashboards.dashboard.grafana.app "{name}" already exists')
            return 201, self._keep(name, body)
        kept = self.dashboards.get(name)
        if kept is None:
            return 404, _status(404, "NotFound", f'dashboards.dashboard.grafana.app "{name}" not found')
        if method == "GET":
            return 200, self._object(name)
        version = (body or {}).get("preconditions", {}) if method == "DELETE" else body["metadata"]
        if version.get("resourceVersion") not in (None, str(kept["rv"])):
            return 409, _status(409, "Conflict", "the object has been modified; please apply your changes")
        if method == "DELETE":
            del self.dashboards[name]
            return 200, _status(200, "", "")
        return 200, self._keep(name, body)

    def _list(self, query: Any) -> Reply:
        selector = query.get("labelSelector", [""])[0]
        label, _, value = selector.partition("=")
        names = sorted(name for name, one in self.dashboards.items() if not label or one["labels"].get(label) == value)
        size, start = min(self.page, int(query.get("limit", ["50"])[0])), int(query.get("continue", ["0"])[0])
        more = {"continue": str(start + size)} if start + size < len(names) else {}
        return 200, {"metadata": more, "items": [self._object(name) for name in names[start : start + size]]}

    def _keep(self, name: str, body: Any) -> Any:
        metadata = body["metadata"]
        folder = metadata["annotations"]["grafana.app/folder"]
        before = self.dashboards.get(name)
        self.dashboards[name] = _kept(folder, body["spec"], metadata["annotations"], metadata["labels"])
        if before is not None:
            self.dashboards[name].update(generation=before["generation"] + 1, rv=before["rv"] + 1)
        return self._object(name)

    def _object(self, name: str) -> Any:
        kept = self.dashboards[name]
        metadata = {"name": name, "resourceVersion": str(kept["rv"]), "generation": kept["generation"]}
        notes = {**kept["annotations"], "grafana.app/folder": kept["folder"]}
        spec = {**kept["spec"], "schemaVersion": 42}  # as a real one, it does not give back what it was given
        return {"metadata": {**metadata, "annotations": notes, "labels": kept["labels"]}, "spec": spec}

    def _on_legacy(self, method: str, path: str, body: Any) -> Reply:
        if found := re.fullmatch(r"/api/folders(?:/(.+))?", path):
            name = found[1] or body["uid"]
            if method == "GET":
                # As Grafana 9.3: it has no permissions on a folder that is not there.
                refused = {"title": "Access denied", "message": "Permissions needed: folders:read"}
                return (200, {"uid": name}) if name in self.folders else (403, refused)
            if body["title"] in (one["title"] for one in self.folders.values()):
                return 409, {"message": "a folder or dashboard in the general folder with the same name already exists"}
            self.folders[name] = {"title": body["title"], "annotations": {}}
            return 200, {"uid": name}
        if path == "/api/search":
            found_ = [{"uid": uid, "folderUid": one["folder"]} for uid, one in sorted(self.dashboards.items())]
            return 200, found_
        if path == "/api/dashboards/db":
            return self._legacy_save(body)
        if found := re.fullmatch(r"/api/dashboards/uid/([^/]+)(/versions/\d+)?", path):
            kept = self.dashboards.get(unquote(found[1]))
            if kept is None:
                return 404, {"message": "Dashboard not found"}
            if method == "DELETE":
                del self.dashboards[unquote(found[1])]
                return 200, {"message": "deleted"}
            if found[2]:
                if not found[2].endswith(f"/{kept['generation']}"):
                    return 404, {"message": "Dashboard version not found"}
                return 200, {"version": kept["generation"], "message": kept["message"]}
            provisioned = kept["annotations"].get("grafana.app/managedBy") is not None
            meta = {"folderUid": kept["folder"], "provisioned": provisioned, "provisionedExternalId": "x.json"}
            return 200, {"meta": meta, "dashboard": {**kept["spec"], "id": 7, "version": kept["generation"]}}
        return 404, {"message": "Not found"}

    def _legacy_save(self, body: Any) -> Reply:
        spec = dict(body["dashboard"])
        uid, version = spec.pop("uid"), spec.pop("version", None)
        before = self.dashboards.get(uid)
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        if before is not None and not body["overwrite"] and version != before["generation"]:
            return 412, {"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
        self.dashboards[uid] = _kept(body["folderUid"], spec, {}, {})
        self.dashboards[uid]["message"] = body["message"]
        self.dashboards[uid]["generation"] = before["generation"] + 1 if before else 1
        return 200, {"status": "success", "uid": uid}

    def _on_ruler(self, method: str, path: str, headers: Any, body: Any) -> Reply:
        if not headers.get("Authorization") and not headers.get("X-Scope-OrgID"):
            return 401, "no org id\n"
        if path == "/api/v1/rules":
            return 200, _evaluations(self.rules)
        _, _, _, _, *rest = path.split("/")
        namespace, name = unquote(rest[0]), unquote(rest[1]) if len(rest) > 1 else ""
        groups = self.rules.setdefault(namespace, {})
        if method == "GET":
            return 200, yaml.safe_dump({namespace: list(groups.values())} if groups else {})
        if method == "DELETE":
            groups.pop(name, None)
            return 202, {"status": "success"}
        if not body["name"]:
            return 400, "invalid rules configuration: rule group name must not be empty\n"
        if len(body["rules"]) > 20:
            return 400, f"per-user rules per rule group limit (limit: 20 actual: {len(body['rules'])}) exceeded\n"
        rules = [{name: value for name, value in rule.items() if name not in self.dropped} for rule in body["rules"]]
        groups[body["name"]] = {**body, "rules": rules}
        return 202, {"status": "success", "data": None, "errorType": "", "error": ""}

    def _on_convert(self, method: str, path: str, headers: Any, body: Any) -> Reply:
        if path == "/api/prometheus/grafana/api/v1/rules":
            return 200, _evaluations(self.rules)
        if not headers.get("X-Grafana-Alerting-Datasource-UID"):
            return 400, {"messageId": "alerting.datasourceUIDHeaderMissing", "message": "missing header"}
        rest = path.removeprefix("/api/convert/prometheus/config/v1/rules/").split("/")
        groups = self.rules.setdefault(unquote(rest[0]), {})
        if method == "GET":
            if not groups:
                return 404, ""
            return 200, yaml.safe_dump({rest[0]: list(groups.values())})
        if method == "DELETE":
            return (202, {}) if groups.pop(unquote(rest[1]), None) else (404, "")
        if body.get("limit"):
            return 400, {"message": "limit is not supported"}
        groups[body["name"]] = body
        return 202, {"status": "success"}


def _kept(folder: str, spec: Any, annotations: Any, labels: Any) -> dict[str, Any]:
    own = {name: value for name, value in annotations.items() if name != "grafana.app/folder"}
    kept = {"folder": folder, "spec": spec, "annotations": own, "labels": dict(labels)}
    return copy.deepcopy({**kept, "generation": 1, "rv": 100, "message": ""})


def _status(code: int, reason: str, message: str) -> Any:
    status = "Success" if code < 400 else "Failure"
    return {"kind": "Status", "status": status, "reason": reason, "message": message, "code": code}


def _evaluations(rules: dict[str, dict[str, Any]]) -> Any:
    groups = [
        {
            "name": name,
            "file": namespace,
            "lastEvaluation": "2026-11-26T08:00:00Z",
            "rules": [{"name": rule.get("alert") or rule.get("record"), "health": "ok"} for rule in group["rules"]],
        }
        for namespace, all_ in rules.items()
        for name, group in all_.items()
    ]
    return {"status": "success", "data": {"groups": groups}}


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, reply, headers = stand_in.reply(self.command, self.path, self.headers, body)
            text = reply if isinstance(reply, str) else json.dumps(reply)
            self.send_response(status)
            plain = "text/html" if "<html" in text else "text/plain"
            self.send_header("Content-Type", plain if isinstance(reply, str) else "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
