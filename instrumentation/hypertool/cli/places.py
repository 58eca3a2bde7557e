"""Where to see a run: addresses on this host, checked for a page and not only for an open port.

Debian's Prometheus has no web interface, or an old one under other paths, so each place has several candidates; the
first that shows a page is printed.
"""

from __future__ import annotations

from ..report.prometheus import LOGIN_FILE, LOGIN_USER, PROMETHEUS, own_password
from ..runtime.light_typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..simulation.workflows import WorkflowReport
    from ..store.store import HostState, Store

PROBE_SECONDS = 2.0
PAGE_LIMIT = 200_000
_EXPRESSION = "g0.expr=hypertool_persona_tokens_used_total&g0.tab=1"
_OVERVIEW = "user/overview.html?dashboard=hypertool-"
# Prometheus 3, Prometheus 2, and the classic pages, the only ones in Debian's packages of Prometheus 2; Debian's
# Prometheus 3 has none of them, but our own page.
_PROMETHEUS = (f"query?{_EXPRESSION}", f"graph?{_EXPRESSION}", f"classic/graph?{_EXPRESSION}", f"{_OVERVIEW}llm-cost")
_ALERTS = ("alerts", "classic/alerts", f"{_OVERVIEW}pipeline-health")
GRAFANA = "http://localhost:3000/"
_GRAFANA = b"Grafana"
# What Debian's packages serve instead of the pages they omit.
_NO_PAGE = (b"does not include the modern", b"does not include", b"not found")


class Place(NamedTuple):
    """A place where the run can be seen; `now` says what is there at this moment."""

    what: str
    url: str
    now: str

    @property
    def leads(self) -> bool:
        """Whether a browser finds something there, perhaps after a login."""
        return self.now == "shows a page" or self.now.startswith("asks for user")


def alerts_page(base: str = PROMETHEUS) -> Place:
    """The page of Prometheus that lists alerts."""
    return _first("alerts", base, _ALERTS)


def prometheus_pages(base: str = PROMETHEUS) -> list[Place]:
    """The pages of the Prometheus at `base`: overview, tokens, alerts and the runbook."""
    return [
        _first("overview", base, (f"{_OVERVIEW}persona-overview",)),
        _first("Prometheus", base, _PROMETHEUS),
        alerts_page(base),
        _first("runbook", base, ("user/runbook.html",)),
    ]


def pages(prometheus: str = PROMETHEUS, grafana: str = GRAFANA) -> list[Place]:
    """The web pages of this host's Prometheus and Grafana that there are."""
    boards = ("hypertool-persona-overview", "hypertool-workflow-performance")
    found = [
        *prometheus_pages(prometheus),
        *(_first("Grafana", grafana, (f"d/{board}",), _GRAFANA) for board in boards),
    ]
    return [place for place in found if place.leads]


def places(endpoint: str, store: Store, report: WorkflowReport, after: HostState, traces: list[Place]) -> list[Place]:
    """The metrics endpoint, the pages of this host, and the places of the run's traces."""
    return [Place("metrics", endpoint, _endpoint_now(endpoint, store, report, after)), *pages(), *traces]


def _first(what: str, base: str, paths: tuple[str, ...], words: bytes = b"") -> Place:
    """The first of these pages that shows something, else the first one with the reason why it does not."""
    found = [Place(what, base + path, _look(base + path, words)) for path in paths]
    return next((place for place in found if place.now == "shows a page"), found[0])


def _look(url: str, words: bytes) -> str:
    """What a browser would find at `url`; a page without `words` is that of another program."""
    from base64 import b64encode
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import ProxyHandler, Request, build_opener

    headers = {}
    password = own_password(url)
    if password:
        headers["Authorization"] = "Basic " + b64encode(f"{LOGIN_USER}:{password}".encode()).decode()
    try:
        with build_opener(ProxyHandler({})).open(Request(url, headers=headers), timeout=PROBE_SECONDS) as answer:
            kind, page = answer.headers.get_content_type(), answer.read(PAGE_LIMIT)
    except HTTPError as refused:
        if refused.code == 401:
            return f"asks for user {LOGIN_USER} and the password in {LOGIN_FILE}"
        return f"no page there ({refused.code})"
    except (OSError, HTTPException) as error:
        return "nobody listens there now" if "refused" in str(error) else f"does not answer: {error}"
    if kind != "text/html" or any(words in page[:2000] for words in _NO_PAGE):
        return "no page there: this Prometheus has no web interface"
    return "shows a page" if words in page else "another program has this port"


def _endpoint_now(endpoint: str, store: Store, report: WorkflowReport, after: HostState) -> str:
    """Whether the host's endpoint shows the run's tokens: it may serve another store than this user's."""
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    try:
        with build_opener(ProxyHandler({})).open(endpoint, timeout=2.0) as answer:
            served = answer.read(5_000_000).decode("utf-8", "replace").splitlines()
    except (OSError, HTTPException) as error:
        return "nobody listens there now" if "refused" in str(error) else f"does not answer: {error}"
    later = store.read()  # Other processes keep counting.
    for stage in report.stages:
        key = (stage.persona, stage.chatmode, stage.model)
        labels = f'chatmode="{stage.chatmode}",model="{stage.model}",persona="{stage.persona}"'
        want = f"hypertool_persona_tokens_used_total{{{labels}}} "
        values = [float(line[len(want) :].split()[0]) for line in served if line.startswith(want)]
        if not values or not after.tokens[key] <= values[0] <= later.tokens[key]:
            return "does not show this run: it serves another state directory"
    return "shows this run"
