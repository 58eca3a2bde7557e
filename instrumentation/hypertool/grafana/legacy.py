"""Dashboards through Grafana's old interface (`/api`), 9.3 to 11, which has no marks.

Our mark is the message of the newest version in the dashboard's history: it holds the checksum of the file, and a save
by anybody else puts another version on top.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from .client import Client
from .dashboards import create_legacy_folder, read_legacy_folder
from .problems import problem
from .sources import Dashboard
from .stored import Folder, Stored

_MESSAGE = "hypertool push sha256:"
_MARK = re.compile(re.escape(_MESSAGE) + r"([0-9a-f]{64})")
_MOST = 5000


class LegacyDashboards:
    """The dashboards of one folder. Every method raises PushProblem for a refusal."""

    def __init__(self, client: Client, folder: str) -> None:
        self._client, self.folder = client, folder

    def read_folder(self) -> Folder | None:
        """The folder; None if there is none, or none that this token may see."""
        return read_legacy_folder(self._client, self.folder)

    def create_folder(self, title: str) -> None:
        """Make the folder."""
        create_legacy_folder(self._client, self.folder, title)

    def get(self, uid: str) -> Stored | None:
        """The dashboard of that uid, in whatever folder; None if there is none, or none that this token may see.

        Grafana 9 refuses an Editor a dashboard that is not there. One that is there is never overwritten: creating it
        is a conflict then.
        """
        answer = self._client.send("GET", f"/api/dashboards/uid/{quote(uid, safe='')}")
        if answer.status in (403, 404):
            return None
        if not answer.ok:
            raise problem(answer, f"reading the dashboard {uid}")
        document = answer.document()
        meta, spec = document.get("meta") or {}, document.get("dashboard") or {}
        provisioned = meta.get("provisioned")
        checksum = "" if provisioned else self._last_push(uid, spec.get("version"))
        return Stored(
            uid=uid,
            title=str(spec.get("title") or ""),
            folder=str(meta.get("folderUid") or ""),
            manager=f"a file of the server ({meta.get('provisionedExternalId') or 'provisioning'})"
            if provisioned
            else "",
            checksum=checksum,
            touched=False,
            editor=str(meta.get("updatedBy") or ""),
            document=document,
        )

    def _last_push(self, uid: str, version: Any) -> str:
        """The checksum in the message of the newest version, empty if that version is not from a push.

        The version is read alone: in the list, Grafana calls the first one of each dashboard "Initial save".
        """
        answer = self._client.send("GET", f"/api/dashboards/uid/{quote(uid, safe='')}/versions/{version}")
        if answer.status == 404:
            return ""
        if not answer.ok:
            raise problem(answer, f"reading the history of the dashboard {uid}")
        newest = answer.document()
        mark = _MARK.fullmatch(str(newest.get("message") or ""))
        return mark[1] if mark and newest.get("version") == version else ""

    def owned(self) -> list[Stored]:
        """Every dashboard in the folder whose newest version is from a push."""
        answer = self._client.send("GET", f"/api/search?type=dash-db&folderUIDs={self.folder}&limit={_MOST}")
        if not answer.ok:
            raise problem(answer, "listing the dashboards")
        listed = [one for one in answer.json() or () if isinstance(one, dict) and one.get("folderUid") == self.folder]
        found = [self.get(str(one["uid"])) for one in listed if one.get("uid")]
        return [one for one in found if one is not None and one.checksum]

    def create(self, wanted: Dashboard) -> None:
        """Create it. A dashboard of that uid in the meantime is a conflict."""
        self._save(wanted, {"uid": wanted.uid, "id": None}, "creating")

    def update(self, wanted: Dashboard, stored: Stored) -> None:
        """Replace it. A change in the meantime is a conflict."""
        before = stored.document.get("dashboard") or {}
        known = {"uid": wanted.uid, "id": before.get("id"), "version": before.get("version")}
        self._save(wanted, known, "updating")

    def _save(self, wanted: Dashboard, known: dict[str, Any], doing: str) -> None:
        document = {
            "dashboard": {**wanted.spec, **known},
            "folderUid": self.folder,
            "overwrite": False,
            "message": _MESSAGE + wanted.checksum,
        }
        answer = self._client.send("POST", "/api/dashboards/db", document)
        if not answer.ok:
            raise problem(answer, f"{doing} the dashboard {wanted.uid}")

    def delete(self, stored: Stored) -> None:
        """Delete it; one that is gone already is deleted."""
        answer = self._client.send("DELETE", f"/api/dashboards/uid/{quote(stored.uid, safe='')}")
        if not answer.ok and answer.status != 404:
            raise problem(answer, f"deleting the dashboard {stored.uid}")
