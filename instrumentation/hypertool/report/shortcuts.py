"""Asks for long ranges in a form that reads a fraction of the samples, where it gives the same figures.

The dashboards count with `last_over_time(M[W]) - (what there was before)`. That is right whatever happened on a host,
and reads every sample of the window several times: at a scrape every 5 s, a quarter of a million for each series in 14
days. For a host that was scraped at both ends of a window, and whose counters neither fell nor vanished, the difference
of the two samples at its ends is the same number. What a host was like is asked first; hosts and columns for which it
does not hold are asked for as the dashboards do.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from .environment import quoted_pattern
from .model import Json

if TYPE_CHECKING:
    from .prometheus import Prometheus

#: From this range on, in seconds. Shorter ones are read in a second anyway.
FROM_SECONDS = 86400
#: Prometheus takes a sample for the present one for so long; a window has to be longer.
_LOOKBACK_SECONDS = 300
#: How often a host is looked at, at least; Prometheus gives 11,000 points of a series.
_LOOK_SECONDS, _MOST_LOOKS = 3600, 5000
#: Counters that only ever grow along with another one: one call of a model or an agent counts in all of them.
_ALONG = {
    "hypertool_agent_tokens_total": "hypertool_agent_calls_total",
    "hypertool_llm_cost_usd_total": "hypertool_llm_requests_total",
    "hypertool_llm_request_duration_seconds_count": "hypertool_llm_requests_total",
    "hypertool_llm_time_to_first_chunk_seconds_count": "hypertool_llm_requests_total",
    "hypertool_llm_tokens_total": "hypertool_llm_requests_total",
}
_HOST = "job, instance"
_INFO = "hypertool_build_info"
_KNOWN = f"last_over_time({_INFO}[30d:5m] offset W) unless on ({_HOST}) last_over_time({_INFO}[1h] offset W)"
#: What prometheus/generator/counting.py writes for a count: M the counter, N its `_count`, W the window, S the match.
_COUNT = (
    f"last_over_time(M[W]) - ( last_over_time(M[1h] offset W) or ( min_over_time(M[W]) and S "
    f"(count_over_time(N[W]) and on ({_HOST}) ({_KNOWN})) >= on ({_HOST}) group_left () "
    f"sum by ({_HOST}) (count_over_time({_INFO}[W])) ) ) >= 0 unless S resets(N[W]) > 0 or last_over_time(M[W])"
)
_GROUPS = {"M": r"hypertool_\w+(?:\{[^}]*\})?", "N": r"hypertool_\w+(?:\{[^}]*\})?", "W": r"\d+s"}


def _pattern() -> re.Pattern[str]:
    """The count as a pattern that takes any white space."""
    seen = set()
    text = ""
    for token in re.split(r"([MNWS]|\s+)", _COUNT):
        if token in _GROUPS:
            text += f"(?P={token})" if token in seen else f"(?P<{token}>{_GROUPS[token]})"
            seen.add(token)
        elif token == "S":
            text += r"(?:ignoring \(le\))?"
        else:
            text += re.escape(token) if token.strip() else r"\s*"
    return re.compile(text)


_COUNTED = _pattern()
_LAST = re.compile(rf"last_over_time\((?P<M>{_GROUPS['M']})\[(?P<W>\d+)s\](?P<at> @ (?:end\(\)|\d+))?\)")
#: Hosts with samples in the window for which its two ends do not tell all: not scraped at its end, or not at its start
#: though known before.
_UNSURE = f"""
sum by ({_HOST}) (count_over_time({_INFO}[W])) unless (
  sum by ({_HOST}) ({_INFO}) and (
    sum by ({_HOST}) ({_INFO} offset W)
    or (
      sum by ({_HOST}) ({_INFO})
      unless sum by ({_HOST}) (last_over_time({_INFO}[30d:5m] offset W))
      unless sum by ({_HOST}) (last_over_time({_INFO}[1h] offset W))
    )
  )
)
"""


class _Window(NamedTuple):
    """Windows of one width that end at `first`, every `step` seconds, up to `last`."""

    width: int
    first: int
    last: int
    step: int


#: By window and its end: hosts.
_Unsure = dict[_Window, dict[int, set[str]]]


def ask(prometheus: Prometheus, requests: list[Json], end: float, range_seconds: int) -> list[object]:
    """The result of each request, in their order, as `Prometheus.ask` gives it.

    Raises PrometheusUnavailable.
    """
    if range_seconds < FROM_SECONDS:
        return prometheus.ask(requests)
    windows = [windows_of(one) for one in requests]
    every = {window for many in windows for window in many}
    if not every:
        return prometheus.ask(requests)
    now = math.floor(end)
    first = min(window.first - window.width for window in every)
    changed = _changed(prometheus, _counters(requests), first, now)
    unsure = _unsure(prometheus, every, changed) if changed is not None else None
    if changed is None or unsure is None:
        return prometheus.ask(requests)
    pieces = [_pieces(one, many, unsure, changed, now) for one, many in zip(requests, windows, strict=True)]
    results = iter(prometheus.ask([piece for some in pieces for piece in some]))
    return [_joined([next(results) for _ in some]) for some in pieces]


def shorter(text: str, widths: set[int], slow: set[str], column: int = 0, now: int = 0) -> str:
    """The expression with its counts over windows of these widths taken from their ends, but for the `slow` hosts.

    Columns are as wide as their windows. Their counts are read in one pass: each column is compared with the one before
    it, where a counter that is there `now` and was not yet born is 0.
    """

    def counted(found: re.Match[str]) -> str:
        metric, width = found["M"], int(found["W"][:-1])
        if width not in widths:
            return found[0]
        quick = _with(metric, "!~", slow)
        if width == column:
            # Both without a name: one series from its birth on and before.
            points = f"(1 * {quick} or 0 * {quick} @ {now})[{width * 3 // 2}s:{width}s]"
            made = f"idelta({points}) and on ({_HOST}) {_INFO}"
        else:
            made = f"{quick} - {quick} offset {width}s >= 0 or {quick}"
        if not slow:
            return made
        # The mark keeps what is written as it was from being taken for more to shorten.
        asis = found[0].replace(metric, _with(metric, "=~", slow)).replace("last_over_time(", "last_over_time!(")
        return f"({made}) or ({asis})"

    def last(found: re.Match[str]) -> str:
        metric, at = found["M"], found["at"] or ""
        if int(found["W"]) not in widths:
            return found[0]
        quick = f"{_with(metric, '!~', slow)}{at}"
        return quick if not slow else f"({quick} or last_over_time({_with(metric, '=~', slow)}[{found['W']}s]{at}))"

    return _LAST.sub(last, _COUNTED.sub(counted, text)).replace("last_over_time!(", "last_over_time(")


def _with(metric: str, match: str, hosts: set[str]) -> str:
    """The selector limited to these hosts, or to all but these."""
    if not hosts:
        return metric
    name, _, rest = metric.partition("{")
    matchers = [one for one in (rest.removesuffix("}"),) if one]
    names = "|".join(quoted_pattern(host).replace('"', '\\"') for host in sorted(hosts))
    return f"{name}{{{', '.join([*matchers, f'instance{match}{chr(34)}{names}{chr(34)}'])}}}"


def _texts(request: Json) -> dict[str, str]:
    return dict(request["parameters"])


def windows_of(request: Json) -> list[_Window]:
    """The windows whose ends a shorter form of the request would look at."""
    asked = _texts(request)
    text = asked["query"]
    if request["path"] == "query":
        first = last = int(asked["time"])
        step = 1
    else:
        first, last, step = int(asked["start"]), int(asked["end"]), int(asked["step"])
    found = {_Window(int(one["W"][:-1]), first, last, step) for one in _COUNTED.finditer(text)}
    for one in _LAST.finditer(text):
        found.add(_Window(int(one["W"]), last if one["at"] else first, last, step))
    return sorted(window for window in found if window.width > _LOOKBACK_SECONDS)


def _counters(requests: list[Json]) -> list[str]:
    """The counters whose fall or end tells of all that are counted."""
    texts = [_texts(one)["query"] for one in requests]
    names = {
        found["M"].partition("{")[0] for text in texts for one in (_COUNTED, _LAST) for found in one.finditer(text)
    }
    whole = {re.sub("_bucket$", "_count", name) for name in names}
    return sorted({_ALONG.get(name, name) for name in whole})


def _changed(prometheus: Prometheus, counters: list[str], first: int, now: int) -> set[str] | None:
    """The hosts that are not there now, or on which a counter fell or vanished since `first`; None if none can tell."""
    look = max(_LOOK_SECONDS, (now - first) // _MOST_LOOKS)
    scraped = _request("query_range", f"sum by ({_HOST}) (count_over_time({_INFO}[{look}s]))", _looks(first, now, look))
    # Wide enough for both sides of any gap that `scraped` does not show.
    falls = [_falls(name, 4 * look, _looks(first, now, look)) for name in counters]
    there = [_request("query", f"count by ({_HOST}) ({name})", [["time", str(now)]]) for name in (_INFO, *counters)]
    answers = _lists(prometheus.ask([scraped, *falls, *there]))
    if answers is None:
        return None
    hosts, fallen, present = answers[0], answers[1 : len(counters) + 1], answers[len(counters) + 1 :]
    changed = {_host(one) for one in hosts} - {_host(one) for one in present[0]}
    changed |= _fallen_or_gone(fallen, present[1:])
    longest = {_host(one): _longest([pair[0] for pair in one["values"]]) for one in hosts}
    gaps = {host: gap for host, gap in longest.items() if gap > look and host not in changed}
    if gaps:
        gap = int(max(gaps.values()))
        span = _looks(first, now, gap)
        answers = _lists(prometheus.ask([_falls(_with(name, "=~", set(gaps)), 2 * gap, span) for name in counters]))
        if answers is None:
            return None
        changed |= _fallen_or_gone(answers, present[1:])
    return changed


def _looks(first: int, now: int, every: int) -> list[list[str]]:
    """From `first` or a little before to now."""
    count = (now - first) // every + 1
    return [["start", str(now - count * every)], ["end", str(now)], ["step", str(every)]]


def _falls(counter: str, width: int, span: list[list[str]]) -> Json:
    """How many series of each host fell how often, in windows of this width."""
    return _request("query_range", f'count_values by ({_HOST}) ("falls", resets({counter}[{width}s]))', span)


def _longest(moments: list[float]) -> float:
    """The longest time between two moments that follow each other."""
    return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)


def _request(path: str, text: str, more: list[list[str]]) -> Json:
    return {"path": path, "parameters": [["query", text], *more]}


def _host(one: Json) -> str:
    return str(one["metric"].get("instance", ""))


def _fallen_or_gone(fallen: list[list[Json]], present: list[list[Json]]) -> set[str]:
    """The hosts on which a counter fell, has fewer series than in the window before, or fewer now than in the last."""
    changed = set()
    for falls, now in zip(fallen, present, strict=True):
        series: dict[str, dict[float, int]] = {}
        for one in falls:
            counts = series.setdefault(_host(one), {})
            for moment, number in one["values"]:
                counts[moment] = counts.get(moment, 0) + int(number)
            if one["metric"]["falls"] != "0":
                changed.add(_host(one))
        there = {_host(one): int(one["value"][1]) for one in now}
        for host, counts in series.items():
            numbers = [number for _, number in sorted(counts.items())]
            if numbers != sorted(numbers) or numbers[-1] != there.get(host):
                changed.add(host)
    return changed


def _lists(answers: list[Any]) -> list[list[Json]] | None:
    """The answers, if there is no error among them."""
    return None if any(isinstance(answer, str) for answer in answers) else answers


def _unsure(prometheus: Prometheus, windows: set[_Window], changed: set[str]) -> _Unsure | None:
    """The hosts, by window and its end, whose samples at its two ends do not tell all, but for the `changed` ones."""
    listed = sorted(windows)
    requests: list[Json] = []
    for window in listed:
        text = _UNSURE.replace("W", f"{window.width}s")
        span = [["start", str(window.first)], ["end", str(window.last)], ["step", str(window.step)]]
        requests.append(_request("query_range", text, span))
    answers = _lists(prometheus.ask(requests))
    if answers is None:
        return None
    found: _Unsure = {}
    for window, answer in zip(listed, answers, strict=True):
        ends = found.setdefault(window, {})
        for one in answer:
            for moment, _ in one["values"] if _host(one) not in changed else []:
                ends.setdefault(int(moment), set()).add(_host(one))
    return found


def _pieces(request: Json, windows: list[_Window], unsure: _Unsure, changed: set[str], now: int) -> list[Json]:
    """The request in a shorter form, split where some of its columns have to be asked for as they are."""
    if not windows:
        return [request]
    asked = _texts(request)
    fixed = {window for window in windows if window.first == window.last}
    slow = changed.union(*(unsure[window].get(window.last, set()) for window in fixed))
    widths = {window.width for window in windows}
    if request["path"] == "query":
        return [_request("query", shorter(asked["query"], widths, slow), [["time", asked["time"]]])]
    first, last, step = int(asked["start"]), int(asked["end"]), int(asked["step"])
    # The end of the panel, not that of a piece.
    whole = asked["query"].replace("@ end()", f"@ {last}")
    text = shorter(whole, widths, slow, step, now)
    asis = shorter(whole, {window.width for window in fixed}, slow)
    odd = {moment for window in set(windows) - fixed for moment in unsure[window]}
    pieces: list[Json] = []
    began = first
    for moment in range(first, last + step, step):
        following = moment + step
        if following > last or (following in odd) != (moment in odd):
            span = [["start", str(began)], ["end", str(moment)], ["step", str(step)]]
            pieces.append(_request("query_range", asis if moment in odd else text, span))
            began = following
    return pieces


def _joined(results: list[Any]) -> object:
    """The pieces of one request as one result, or the first error among them."""
    errors = [result for result in results if isinstance(result, str)]
    if len(results) == 1 or errors:
        return (errors or results)[0]
    series: dict[tuple[tuple[str, str], ...], Json] = {}
    for one in (one for result in results for one in result):
        key = tuple(sorted(one["metric"].items()))
        series.setdefault(key, {"metric": one["metric"], "values": []})["values"].extend(one["values"])
    return [series[key] for key in sorted(series)]
