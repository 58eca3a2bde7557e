"""Which label values may become series: declared ones, and at most 64 others per label and host.

Free text, ids and user names never become labels; values beyond the limit count as `other`, so that the
number of series of a host is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from ..runtime.late_imports import loading
from ..runtime.logs import log
from .workflows import CHATMODES, MODELS, STAGES, WORKFLOWS, Workflow

MAX_OTHERS = 64
MAX_LENGTH = 100
OTHER = "other"
LABELS = ("chatmode", "workflow", "stage", "model")

# Control characters, line ends, characters without a width and marks that turn the direction of writing (both forge
# dashboards: two names that look the same), lone surrogates.
_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\uffff\U000e0000-\U000e0fff]"
)
# What a chat, a mail or a template would take for markup: names travel into notifications.
_MARKUP = re.compile(r"[<>`]|\{\{|\}\}|\]\(")
_DECLARED: dict[str, frozenset[str]] = {
    "chatmode": CHATMODES,
    "workflow": frozenset(WORKFLOWS),
    "stage": STAGES,
    "model": MODELS,
}


def unfit(value: str) -> str | None:
    """Why a text cannot be a label value; None if it can."""
    if not value:
        return "it is empty"
    if len(value) > MAX_LENGTH:
        return f"it has more than {MAX_LENGTH} characters"
    if _UNFIT.search(value):
        return "it contains control characters or characters that cannot be seen"
    if _MARKUP.search(value):
        return "it contains markup"
    with loading:
        # Only for a new value: compiling the patterns takes a millisecond.
        from ..runtime.redaction import redact_name

    if redact_name(value) != value:
        return "it looks like a credential or an e-mail address"
    return None


class LabelGuard:
    """Decides which value is recorded for a label.

    `admit(label, value, limit)` is the host's register (`store.labels`); without it the limit is the process's.
    What `workflows` declare is known. `on_overflow(label)` is called for every recording that becomes `other`.
    """

    def __init__(
        self,
        on_overflow: Callable[[str], None],
        admit: Callable[[str, str, int], bool] | None = None,
        workflows: Mapping[str, Workflow] = WORKFLOWS,
    ) -> None:
        self._on_overflow = on_overflow
        self._admit = admit or self.admit_here
        self._known: dict[str, set[str]] = {label: set(declared(label, workflows)) for label in LABELS}
        self._others: dict[str, set[str]] = {label: set() for label in LABELS}
        self._said: set[tuple[str, str]] = set()

    def resolve(self, label: str, value: str) -> str:
        """The value to record. Raises only TypeError, for anything but a string."""
        if value.__class__ is not str:
            if not isinstance(value, str):
                raise TypeError(f"{label} must be a string, not {type(value).__name__} ({value!r:.60})")
            value = str.__str__(value)  # str() of an enum member is its name, not its value.
        known = self._known[label]
        if value in known or value == OTHER:
            return value
        reason = unfit(value)
        if reason is None:
            if self._admit(label, value, MAX_OTHERS):
                known.add(value)
                return value
            reason = f"the host has {MAX_OTHERS} undeclared values of this label already"
        self._overflow(label, value, reason)
        return OTHER

    def admit_here(self, label: str, value: str, limit: int) -> bool:
        """The limit of this process alone, used when the host's register is unavailable."""
        others = self._others[label]
        if value not in others and len(others) >= limit:
            return False
        others.add(value)
        return True

    def _overflow(self, label: str, value: str, reason: str) -> None:
        if (label, reason) not in self._said:
            self._said.add((label, reason))
            log.warning("%s %r is recorded as %r: %s (logged once)", label, value[:120], OTHER, reason)
        self._on_overflow(label)


def declared(label: str, workflows: Mapping[str, Workflow] = WORKFLOWS) -> Iterable[str]:
    """The declared values of a label, sorted: the package's, and those of the workflows."""
    if workflows is WORKFLOWS or label == "model":
        return sorted(_DECLARED[label])
    if label == "workflow":
        return sorted(_DECLARED[label].union(workflows))
    stages = (stage for workflow in workflows.values() for stage in workflow.stages)
    return sorted(_DECLARED[label].union(getattr(s, "name" if label == "stage" else label) for s in stages))
