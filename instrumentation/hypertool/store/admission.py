"""Which label values of a snapshot become series: the rules of `domain.labels`, enforced again when files are merged.

A client may be old, another program or hostile, so its own limits are not trusted. A value that is not admitted
becomes `other`, and the sums stay exact. A user may introduce as many values as the host has room for, minus a share
reserved for each other member of the store's group, so that no single user can exhaust the limit.
"""

from __future__ import annotations

import grp
import pwd
import time
from collections.abc import Callable, Iterable, Mapping

from ..domain.instruments import (
    AGENT_SOURCES,
    AGENT_UNRECOGNISED_REASONS,
    AGENTS,
    BY_KEY,
    EXPORT_OUTCOMES,
    GATE_RESULTS,
    LABEL_OVERFLOW,
    LLM_OUTCOMES,
    SINKS,
    TOKEN_KINDS,
    USAGE_MISSING_REASONS,
)
from ..domain.labels import LABELS, MAX_OTHERS, OTHER, declared, unfit
from ..domain.personas import RESERVED, is_name
from ..domain.workflows import WORKFLOWS, Workflow
from .snapshot_format import Key
from .totals import Totals

MAX_PERSONAS = 256
# Label sets that one user may introduce; each persona, model and so on in them must be admitted as well.
MAX_SETS = 2000
MEMBERS_SECONDS = 60.0

_CLOSED = {
    "result": frozenset(GATE_RESULTS),
    "outcome": frozenset((*LLM_OUTCOMES, *EXPORT_OUTCOMES)),
    "reason": frozenset((*USAGE_MISSING_REASONS, *AGENT_UNRECOGNISED_REASONS)),
    "kind": frozenset(TOKEN_KINDS),
    "agent": frozenset(AGENTS),
    "source": frozenset(AGENT_SOURCES),
    "sink": frozenset(SINKS),
    "label": frozenset(LABELS),
}
_PERSONAS = ("persona", "from_persona", "to_persona")


def limit_of(label: str) -> int:
    """How many undeclared values of that label a host may have."""
    return MAX_PERSONAS if label == "persona" else MAX_OTHERS


def share(limit: int, members: int) -> int:
    """How many of `limit` values one of `members` users may introduce: an eighth is reserved for each other member."""
    kept = limit // 8
    return max(kept, limit - kept * (members - 1))


class Members:
    """The number of users of a store: the members of its group, and the owners of files that were seen in it."""

    def __init__(self, group: int | None) -> None:
        self._group = group
        self._seen: set[int] = set()
        self._known: set[int] = set()
        self._until = float("-inf")

    def see(self, users: Iterable[int]) -> None:
        """Note users that have files in the store."""
        self._seen.update(users)

    def count(self, users: set[int]) -> int:
        """The number of members, including those users."""
        self._seen |= users
        if self._group is not None and time.monotonic() > self._until:
            self._until = time.monotonic() + MEMBERS_SECONDS
            self._known = _of_group(self._group)
        return len(self._seen | self._known)


def _of_group(group: int) -> set[int]:
    found: set[int] = set()
    try:
        for name in grp.getgrgid(group).gr_mem:
            found.add(pwd.getpwnam(name).pw_uid)
    except (KeyError, OSError):
        pass  # no such group, or a member that is not a user; owners of files count anyway
    return found


class Admission:
    """Rewrites the label values of a snapshot. `admit(label, value, user)` asks the register of the store."""

    def __init__(self, admit: Callable[[str, str, int], bool]) -> None:
        self._admit = admit
        self._workflows: Mapping[str, Workflow] = WORKFLOWS
        self._declared = {label: frozenset(declared(label)) for label in LABELS}
        self._fit: dict[str, bool] = {}

    def declare(self, workflows: Mapping[str, Workflow]) -> None:
        """What these workflows declare is admitted, and takes none of the free places."""
        if workflows is not self._workflows:
            self._workflows = workflows
            self._declared = {label: frozenset(declared(label, workflows)) for label in LABELS}

    def apply(self, totals: Totals, user: int) -> None:
        """Rewrite what must not become a series; adds the number of such values to the label's overflow counter."""
        overflow: dict[tuple[str, str], None] = {}

        def value_of(label: str, value: str) -> str:
            if self._may(label, value, user):
                return value
            overflow[label, value] = None
            return OTHER

        def key_of(key: Key) -> Key | None:
            known = BY_KEY.get(key[0])
            if known is None and not self._may("metric", key[0], user):
                return None  # not a metric of any version, or too many unknown ones
            labels = known.labels if known is not None else ("unknown",) * (len(key) - 1)
            new = tuple(value_of(label, value) for label, value in zip(labels, key[1:], strict=True))
            return key if new == key[1:] else (key[0], *new)

        totals.rename(key_of, value_of)
        for label, _value in overflow:
            if label in LABELS:
                key = (LABEL_OVERFLOW.key, label)
                totals.counters[key] = totals.counters.get(key, 0) + 1

    def _may(self, label: str, value: str, user: int) -> bool:
        closed = _CLOSED.get(label)
        if closed is not None:
            return value in closed
        if label in _PERSONAS:
            return value in RESERVED or (is_name(value) and self._admit("persona", value, user))
        if value == OTHER or value in self._declared.get(label, ()):
            return True
        fit = self._fit.get(value)
        if fit is None:
            if len(self._fit) > 4096:
                self._fit.clear()
            fit = self._fit[value] = unfit(value) is None
        return fit and self._admit(label, value, user)


def within_sets(totals: Totals, known: Totals, room: int) -> tuple[Totals, int]:
    """The totals with at most `room` label sets that are not in `known`, and how many new sets there are.

    Further sets are counted under `other` in every label, in a copy.
    """
    new = 0

    def key_of(key: Key) -> Key:
        nonlocal new
        if key in known.counters or key in known.histograms or key in known.latest:
            return key
        if new < room:
            new += 1
            return key
        return (key[0], *(OTHER for _ in key[1:]))

    if len(totals.counters) + len(totals.histograms) + len(totals.latest) <= room:
        for key in totals.counters:
            new += key not in known.counters
        for key in totals.histograms:
            new += key not in known.histograms
        for key in totals.latest:
            new += key not in known.latest
        return totals, new
    limited = Totals()
    limited.add(totals)
    limited.rename(key_of, lambda _label, value: value)
    return limited, new
