"""Dashboards and their folder through Grafana's new interface (`/apis`), from 12 on.

Marks of ours on a dashboard: the label `app.kubernetes.io/managed-by`, the checksum of the file, and the generation
that the push was to make. Grafana counts the generation up at each save, and the browser's save also drops all marks.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .client import Client
from .problems import Answer, PushProblem, problem, said
from .server import Server
from .sources import Dashboard
from .stored import Folder, Stored

LABEL = "app.kubernetes.io/managed-by"
OURS = "hypertool"
_CHECKSUM, _GENERATION = "hypertool/checksum", "hypertool/generation"
_PAGE, _PAGES = 50, 200


class Dashboards:
    """The dashboards of one folder. Every method raises PushProblem for a refusal."""

    def __init__(self, client: Client, server: Server, folder: str) -> None:
        self._client, self._server, self.folder = client, server, folder

    def read_folder(self) -> Folder | None:
        """The folder; None if there is none, or none that this token may see."""
        if not self._server.folders:
            return read_legacy_folder(self._client, self.folder)
        answer = self._client.send("GET", self._server.path("folders", self.folder))
        if answer.status == 404:
            return None
        if not answer.ok:
            raise problem(answer, f"reading the folder {self.folder}")
        document = answer.document()
        return Folder(_manager(document), bool(_notes(document).get("grafana.app/folder")))

    def create_folder(self, title: str) -> None:
        """Create the folder."""
        if not self._server.folders:
            create_legacy_folder(self._client, self.folder, title)
            return
        document = {
            "apiVersion": self._server.api_version("folders"),
            "kind": "Folder",
            # Without this, nobody but the creator of the folder may see it: neither other Editors nor Viewers.
            "metadata": {
                "name": self.folder,
                "labels": {LABEL: OURS},
                "annotations": {"grafana.app/grant-permissions": "default"},
            },
            "spec": {"title": title},
        }
        answer = self._client.send("POST", self._server.path("folders"), document)
        _created(answer, self.folder)

    def get(self, uid: str) -> Stored | None:
        """The dashboard of that uid, in whatever folder; None if there is none."""
        answer = self._client.send("GET", self._server.path("dashboards", quote(uid, safe="")))
        if answer.status == 404:
            return None
        if not answer.ok:
            raise problem(answer, f"reading the dashboard {uid}")
        return _stored(answer.document())

    def owned(self) -> list[Stored]:
        """Every dashboard in the folder that carries our label."""
        found, after = [], ""
        for _ in range(_PAGES):
            query = f"?labelSelector={quote(f'{LABEL}={OURS}', safe='')}&limit={_PAGE}"
            answer = self._client.send("GET", self._server.path("dashboards") + query + after)
            if not answer.ok:
                raise problem(answer, "listing the dashboards")
            page = answer.document()
            found += [_stored(one) for one in page.get("items") or ()]
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return [one for one in found if one.folder == self.folder]
            after = f"&continue={quote(str(token), safe='')}"
        raise PushProblem(f"listing the dashboards: no end after {_PAGES} pages")

    def create(self, wanted: Dashboard) -> None:
        """Create it. A dashboard of that uid in the meantime is a conflict."""
        answer = self._client.send("POST", self._server.path("dashboards"), self._document(wanted, {}, 1))
        if not answer.ok:
            raise problem(answer, f"creating the dashboard {wanted.uid}")

    def update(self, wanted: Dashboard, stored: Stored) -> None:
        """Replace it. A change in the meantime is a conflict."""
        before = stored.document.get("metadata") or {}
        document = self._document(wanted, before, int(before.get("generation") or 0) + 1)
        answer = self._client.send("PUT", self._server.path("dashboards", wanted.uid), document)
        if not answer.ok:
            raise problem(answer, f"updating the dashboard {wanted.uid}")

    def delete(self, stored: Stored) -> None:
        """Delete it. A change in the meantime is a conflict; one that is gone already is deleted."""
        version = (stored.document.get("metadata") or {}).get("resourceVersion")
        path = self._server.path("dashboards", quote(stored.uid, safe=""))
        answer = self._client.send("DELETE", path, {"preconditions": {"resourceVersion": version}})
        if not answer.ok and answer.status != 404:
            raise problem(answer, f"deleting the dashboard {stored.uid}")

    def _document(self, wanted: Dashboard, before: dict[str, Any], generation: int) -> dict[str, Any]:
        """PUT replaces everything, so other people's labels and annotations are sent back unchanged."""
        metadata: dict[str, Any] = {
            "name": wanted.uid,
            "labels": {**(before.get("labels") or {}), LABEL: OURS},
            "annotations": {
                **(before.get("annotations") or {}),
                "grafana.app/folder": self.folder,
                "grafana.app/message": f"hypertool push sha256:{wanted.checksum[:12]}",
                "grafana.app/managedBy": "kubectl",
                "grafana.app/managerId": OURS,
                "grafana.app/managerAllowsEdits": "true",
                "grafana.app/sourceChecksum": wanted.checksum,
                _CHECKSUM: wanted.checksum,
                _GENERATION: str(generation),
            },
        }
        if before.get("resourceVersion"):
            metadata["resourceVersion"] = before["resourceVersion"]
        return {
            "apiVersion": self._server.api_version("dashboards"),
            "kind": "Dashboard",
            "metadata": metadata,
            "spec": wanted.spec,
        }


def _notes(document: dict[str, Any]) -> dict[str, Any]:
    return (document.get("metadata") or {}).get("annotations") or {}


def _manager(document: dict[str, Any]) -> str:
    notes = _notes(document)
    by, name = str(notes.get("grafana.app/managedBy") or ""), str(notes.get("grafana.app/managerId") or "")
    if not by or (by, name) == ("kubectl", OURS):
        return ""
    return f"{by} ({name})" if name else by


def _stored(document: dict[str, Any]) -> Stored:
    metadata = document.get("metadata") or {}
    notes, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    marked = labels.get(LABEL) == OURS
    return Stored(
        uid=str(metadata.get("name") or ""),
        title=str((document.get("spec") or {}).get("title") or ""),
        folder=str(notes.get("grafana.app/folder") or ""),
        manager=_manager(document),
        checksum=str(notes.get(_CHECKSUM) or "") if marked else "",
        touched=notes.get(_GENERATION) != str(metadata.get("generation")),
        editor=str(notes.get("grafana.app/updatedBy") or notes.get("grafana.app/createdBy") or ""),
        document=document,
    )


def read_legacy_folder(client: Client, uid: str) -> Folder | None:
    """The folder through `/api/folders`, which does not say who manages it."""
    answer = client.send("GET", f"/api/folders/{uid}")
    # Grafana 9 refuses an Editor the folder that is not there: permissions are given on folders.
    if answer.status in (403, 404):
        return None
    if not answer.ok:
        raise problem(answer, f"reading the folder {uid}")
    return Folder("", bool(answer.document().get("parentUid")))


def create_legacy_folder(client: Client, uid: str, title: str) -> None:
    """Make a folder through `/api/folders`."""
    _created(client.send("POST", "/api/folders", {"uid": uid, "title": title}), uid)


def _created(answer: Answer, uid: str) -> None:
    if answer.status == 409 and "same name" in said(answer):
        raise PushProblem(
            f"creating the folder {uid}: HTTP 409, {said(answer)}: rename that one, or push into it "
            f"(--folder takes its uid)"
        )
    if answer.status in (409, 412):
        raise PushProblem(
            f"creating the folder {uid}: HTTP {answer.status}, {said(answer)}; there is one that this token may not "
            f"see, or somebody made it just now: give the service account the permission Edit on it, or choose "
            f"another one with --folder"
        )
    if not answer.ok:
        raise problem(answer, f"creating the folder {uid}")
