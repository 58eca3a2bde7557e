"""One push: look at everything, then write in an order that leaves nothing half done, and look again.

discover -> permissions -> read all -> plan -> (a check ends here) -> folder -> dashboards -> rules -> prune -> proof
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .client import Client
from .dashboards import Dashboards
from .legacy import LegacyDashboards
from .problems import PARTLY, REFUSED, PushProblem
from .rule_groups import Group, check, lost, plan, pushed
from .rulers import Ruler
from .server import TOP, Server, discover, missing, permissions
from .sources import Dashboard
from .steps import CREATE, DELETE, KEEP, Step
from .stored import Folder, Stored, stale_step, step

_POLL_SECONDS = 2.0


@dataclass
class Wanted:
    """What is to be in Grafana: dashboards in one folder, and rule groups in one namespace (None for no rules)."""

    dashboards: list[Dashboard]
    groups: list[Group] | None = None
    folder: str = "hypertool"

    @property
    def title(self) -> str:
        """The title of the folder. Before Grafana 11, no two folders may have the same one."""
        return "Hypertool" if self.folder == "hypertool" else f"Hypertool ({self.folder})"


@dataclass(frozen=True)
class Choice:
    """What the user asks for. `write`: false for a check. `put`: false for a prune alone."""

    write: bool = True
    put: bool = True
    prune: bool = False
    force: bool = False
    prove_seconds: float = 0.0


@dataclass
class Report:
    """What was found and done. `written` grows with each write, so it is right also when a push stops half way."""

    server: Server
    steps: list[Step] = field(default_factory=list)
    written: list[Step] = field(default_factory=list)
    proven: list[str] = field(default_factory=list)

    def pending(self, choice: Choice) -> list[Step]:
        """The steps that this choice would write."""
        return [one for one in self.steps if one.changes and (choice.prune if one.stale else choice.put)]

    def kept(self) -> list[Step]:
        """What was skipped, because another person or tool edited or manages it."""
        return [one for one in self.steps if one.action == KEEP and one.why]


class Push:
    """A push to one Grafana and one ruler (None for no rules)."""

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        choice: Choice,
        ruler: Ruler | None = None,
        needs: tuple[tuple[str, str], ...] = (),
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`needs`: permissions (action, scope) beyond those for dashboards. Raises PushProblem, ConfigError."""
        self._wanted, self._choice, self._ruler = wanted, choice, ruler
        self._pause, self._clock = pause, clock
        if ruler is not None:
            check(wanted.groups or (), ruler.managed)
        self._client, self._needs = client, needs
        self.report = Report(discover(client))
        server = self.report.server
        if ruler is not None and ruler.managed and re.match(r"(9|1[01])\.", server.version):
            raise PushProblem(
                f"Grafana-managed rules from rule files need Grafana 12 or newer; this is {server.version}"
            )
        self._boards: Dashboards | LegacyDashboards = (
            Dashboards(client, server, wanted.folder) if server.dashboards else LegacyDashboards(client, wanted.folder)
        )
        self._before: dict[str, Stored] = {}

    def run(self) -> Report:
        """Push, compare or prune, as chosen.

        Raises PushProblem; after a write its code says so, and `report.written` lists what was written.
        """
        self._look()
        if self._choice.write:
            try:
                self._write()
                self._prove()
            except PushProblem as error:
                if self.report.written:
                    raise PushProblem(str(error), PARTLY) from None
                raise
        return self.report

    def _look(self) -> None:
        folder = self._check_permissions()
        wanted, force = self._wanted, self._choice.force
        if folder is not None and folder.manager:
            raise PushProblem(
                f"the folder {wanted.folder} is managed by {folder.manager}: choose another with --folder"
            )
        steps = [Step("folder", wanted.folder, CREATE)] if folder is None else []
        for one in wanted.dashboards:
            stored = self._boards.get(one.uid)
            if stored is not None:
                self._before[one.uid] = stored
            steps.append(step(one, stored, wanted.folder, force))
        names = {one.uid for one in wanted.dashboards}
        for stored in self._boards.owned() if folder is not None else ():
            if stored.uid not in names:
                self._before[stored.uid] = stored
                steps.append(stale_step(stored, wanted.folder, force))
        if self._ruler is not None:
            steps += plan(wanted.groups or (), self._ruler.read(), force)
        self.report.steps = steps
        if self._ruler is not None and any(one.kind == "rules" for one in self.report.pending(self._choice)):
            self._ruler.may_write()

    def _check_permissions(self) -> Folder | None:
        """The folder, or None. Permissions are checked first: to a token without them, every Grafana looks empty."""
        have = permissions(self._client)
        if have is not None:
            needs = [("folders:read", ""), ("dashboards:create", ""), *self._needs]
            self._refuse(missing(have, needs))
        folder = self._boards.read_folder()
        if have is not None:
            wanted: list[tuple[str, str]] = []
            if folder is None:
                # A folder that does not exist yet has no permissions; its creator gets them. Who may edit one folder
                # only may create others in that one, and not at the top.
                wanted += [("folders:create", TOP), ("dashboards:create", "")]
            else:
                # Below another folder, permissions may come from there.
                scope = "" if folder.nested else f"folders:uid:{self._wanted.folder}"
                actions = ("read", "create", "write", *(("delete",) if self._choice.prune else ()))
                wanted += [(f"dashboards:{action}", scope) for action in actions]
            self._refuse(missing(have, wanted))
        return folder

    def _refuse(self, lacking: list[str]) -> None:
        if lacking:
            raise PushProblem(
                f"the token lacks the permissions {', '.join(lacking)}; nothing was changed. Give its service account "
                f"the role Editor, or these permissions",
                REFUSED,
            )

    def _write(self) -> None:
        wanted = {one.uid: one for one in self._wanted.dashboards}
        groups = {group["name"]: group for group in self._wanted.groups or ()}
        for one in sorted(self.report.pending(self._choice), key=lambda step: step.stale):
            if one.kind == "folder":
                self._boards.create_folder(self._wanted.title)
            elif one.kind == "dashboard" and one.action == DELETE:
                self._boards.delete(self._before[one.name])
            elif one.kind == "dashboard" and one.action == CREATE:
                self._boards.create(wanted[one.name])
            elif one.kind == "dashboard":
                self._boards.update(wanted[one.name], self._before[one.name])
            elif self._ruler is not None and one.action == DELETE:
                self._ruler.delete(one.name)
            elif self._ruler is not None:
                self._ruler.write(groups[one.name])
            self.report.written.append(one)

    def _prove(self) -> None:
        """Read back what was written, and wait until the rules are evaluated."""
        wanted = {one.uid: one for one in self._wanted.dashboards}
        for one in self.report.written:
            if one.kind == "dashboard" and one.action != DELETE:
                stored = self._boards.get(one.name)
                if stored is None or stored.touched or stored.checksum != wanted[one.name].checksum:
                    raise PushProblem(
                        f"the dashboard {one.name} was written and does not read back as written; "
                        f"somebody else may have saved it in the same moment: run the command again"
                    )
                self.report.proven.append(f"dashboard {one.name}")
        if self._ruler is not None and not self._ruler.managed:
            self._prove_kept(self._ruler)
        if self._ruler is not None and self._choice.prove_seconds > 0 and self._choice.put:
            self._prove_rules(self._ruler)

    def _prove_kept(self, ruler: Ruler) -> None:
        """Read the written groups back: the proxy of an older Grafana drops fields that it does not know."""
        names = {one.name for one in self.report.written if one.kind == "rules" and one.action != DELETE}
        if not names:
            return
        stored = {str(group.get("name")): group for group in ruler.read()}
        for group in self._wanted.groups or ():
            if group["name"] in names and pushed(stored.get(group["name"], {})) != "yes":
                raise PushProblem(
                    f"the rule group {group['name']} was written and does not read back as written "
                    f"({lost(group, stored.get(group['name'], {}))}). Grafana 9 "
                    f"drops what it does not know (keep_firing_for): push to the ruler itself, with --rules ruler"
                )

    def _prove_rules(self, ruler: Ruler) -> None:
        kept = {one.name for one in self.report.steps if one.kind == "rules" and one.action == KEEP}
        names = [group["name"] for group in self._wanted.groups or () if group["name"] not in kept]
        end = self._clock() + self._choice.prove_seconds
        while wrong := ruler.unhealthy(names):
            if self._clock() >= end:
                raise PushProblem(
                    f"{len(wrong)} of {len(names)} rule groups are not evaluated well after "
                    f"{self._choice.prove_seconds:g} s: {'; '.join(wrong[:3])}"
                )
            self._pause(_POLL_SECONDS)
        self.report.proven += [f"rules {name}" for name in names]
