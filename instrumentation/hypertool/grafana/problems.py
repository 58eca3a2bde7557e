"""What went wrong with a request, in one line: the server's own words, and what to do about them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import HypertoolError

FAILED, REFUSED, PARTLY = 1, 3, 4
_WORDS = 400  # characters of the server's words that a message repeats


class PushProblem(HypertoolError):
    """A push that cannot go on. `code` is the exit code of the command."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code


class Answer(NamedTuple):
    """An HTTP answer; header names are in lower case."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body. Raises PushProblem if it is not JSON, as the login page of a proxy."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise PushProblem(
                f"{self.method} {self.url}: expected JSON, got {self.text[:60]!r}; is this the address of a Grafana, "
                f"without a login page in front of it?"
            ) from None

    def document(self) -> dict[str, Any]:
        """The body, which must be a JSON object. Raises PushProblem otherwise."""
        found = self.json()
        if not isinstance(found, dict):
            raise PushProblem(f"{self.method} {self.url}: expected a JSON object, got {self.text[:60]!r}")
        return found


def said(answer: Answer) -> str:
    """The server's own words: of a Kubernetes Status, of a Grafana error, or plain text; empty if there are none."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        words = "" if "<html" in answer.text[:500].lower() else answer.text
    else:
        words = next((str(found[key]) for key in ("error", "message", "msg", "text") if found.get(key)), "")
        details = found.get("details")
        causes = details.get("causes") if isinstance(details, dict) else None
        for cause in causes if isinstance(causes, list) else ():
            if isinstance(cause, dict):
                words += f" [{cause.get('field', '')}: {cause.get('message', '')}]"
    words = " ".join(re.sub(r"[\x00-\x1f\x7f]+", " ", words).split())
    return words if len(words) <= _WORDS else words[:_WORDS] + "..."


def problem(answer: Answer, doing: str) -> PushProblem:
    """What the answer means for the person who wanted `doing`."""
    words = said(answer)
    text = f"{doing}: HTTP {answer.status}" + (f", {words}" if words else "")
    return PushProblem(f"{text}; {_advice(answer, words)}", REFUSED if answer.status in (401, 403) else FAILED)


_BY_STATUS = {
    401: "the token is not accepted: check that it is complete, not expired, and of this organisation or stack",
    404: "check the address, and that the thing still exists",
    409: "it was changed at the same moment: run the command again",
    412: "it was changed at the same moment: run the command again",
    422: "the server does not take this content: see the fields that it names",
    429: "the server limits the rate of requests: wait a minute and run the command again",
}
_BY_WORDS = (
    ("invalid namespace", "the token belongs to another stack or organisation than the address"),
    ("rules per rule group limit", "split the group"),
    ("rule groups limit", "remove groups, or have the limit of the tenant raised"),
    ("namespace is protected", "choose another namespace with --namespace"),
    ("no org id", "the ruler wants a user: give --ruler-user, or for a Mimir with tenants --ruler-tenant"),
    ("scheduler interval", "Grafana-managed rules need intervals that are a multiple of 10 s"),
    ("data source not found", "give the uid of a Prometheus data source with --datasource"),
    ("quota reached", "delete something, or have the quota raised"),
    ("refresh interval is too low", "this server wants a longer refresh of dashboards (min_refresh_interval)"),
)


def _advice(answer: Answer, words: str) -> str:
    for part, advice in _BY_WORDS:
        if part in words.lower():
            return advice
    if 300 <= answer.status < 400:
        return f"the server redirects to {answer.headers.get('location', 'nowhere')[:200]}: give that address"
    if answer.status == 403:
        return "the token may not do this: give its service account the role Editor, or the permissions named above"
    if answer.status >= 500:
        return "the server failed: its log says why; run the command again"
    return _BY_STATUS.get(answer.status, "see the message of the server")


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with each of the secrets replaced by asterisks."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "********")
    return text
