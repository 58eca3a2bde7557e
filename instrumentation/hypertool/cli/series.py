"""`hypertool status --series`: what each metric can cost, and what this host sends to Grafana Cloud now."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..runtime.light_typing import TYPE_CHECKING, Any, NamedTuple
from .output import print_json, print_table, say

if TYPE_CHECKING:
    from ..domain.personas import Catalogue

#: Written by the playbook where the destination is Grafana Cloud.
COLLECTOR_FILE = Path("/etc/hypertool/collector.json")
PAGE_LIMIT = 20_000_000
PAGE_SECONDS = 10.0
#: Prometheus makes these for every target; Alloy sends them through the same filter as the rest.
_OF_TARGET = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Job(NamedTuple):
    """One scraped page: its series, those that are sent, and the seconds between scrapes with and without saving."""

    job: str
    exposed: int
    sent: int
    seconds: float
    seconds_without: float

    def points(self) -> float:
        """Data points a minute that are sent."""
        return self.sent * 60 / self.seconds

    def points_without(self) -> float:
        """Data points a minute if everything were sent, as often as to a Prometheus on the host."""
        return self.exposed * 60 / self.seconds_without


class Bill(NamedTuple):
    """What one host sends to Grafana Cloud; `held` is the collector's own count of series, None if it is unknown."""

    jobs: list[Job]
    held: int | None
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """The JSON form. Billable are the series, or the points a minute where these are more."""
        with_, without = (
            {
                "series": series,
                "points_per_minute": round(points),
                "billable_series": max(series, round(points)),
            }
            for series, points in (
                (sum(job.sent for job in self.jobs), sum(job.points() for job in self.jobs)),
                (sum(job.exposed for job in self.jobs), sum(job.points_without() for job in self.jobs)),
            )
        )
        return {
            "jobs": [{**job._asdict(), "points_per_minute": round(job.points(), 1)} for job in self.jobs],
            "sent": with_,
            "without_saving": without,
            "held_by_collector": self.held,
            "notes": self.notes,
        }


def status_series(catalogue: Catalogue, as_json: bool) -> int:
    """Print the series of each metric, and the bill of this host if it sends to Grafana Cloud."""
    from ..domain.series_budget import budget

    found = budget(catalogue)
    bill = read_bill(COLLECTOR_FILE)
    if as_json:
        print_json({"series": [metric._asdict() for metric in found], "host": bill.document() if bill else None})
        return 0
    print_table(("metric", "from start", "at most"), found)
    say()
    if bill is None:
        say("This host sends nothing to Grafana Cloud (no collector is set up for it), so no series is billed.")
        return 0
    for line in lines(bill):
        say(line)
    return 0


def lines(bill: Bill) -> list[str]:
    """The bill in words, with its table above."""
    print_table(
        ("job", "series", "sent", "every", "points a minute"),
        [(job.job, job.exposed, job.sent, f"{job.seconds:g} s", round(job.points())) for job in bill.jobs],
    )
    document = bill.document()
    sent, without = document["sent"], document["without_saving"]
    text = [
        f"To Grafana Cloud: {sent['series']} series, {sent['points_per_minute']} points a minute: "
        f"{sent['billable_series']} billable series.",
        f"Everything, as often as on the host itself: {without['series']} series, "
        f"{without['points_per_minute']} points a minute: {without['billable_series']} billable series.",
    ]
    if bill.held is not None:
        text.append(
            f"The collector holds {bill.held} series: with targets of your own, pushed metrics, and what ended in the "
            "last two hours."
        )
    return [*text, *bill.notes]


def read_bill(path: Path) -> Bill | None:
    """Count the series of the pages that the file names; None without the file."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        return _bill(settings)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        return Bill([], None, [f"{path} cannot be used ({error!r}); run the playbook again."])


def _bill(settings: dict[str, Any]) -> Bill:
    """Raises KeyError and TypeError for settings that lack something."""
    jobs, notes = [], []
    for one in settings["jobs"]:
        try:
            jobs.append(count(one, _page(one["url"], settings.get("password_file"))))
        except (OSError, ValueError, re.error) as error:
            notes.append(f"Job {one['job']} is not counted: {one['url']} {error}.")
    return Bill(jobs, _held(settings, notes), notes)


def count(settings: dict[str, Any], page: str) -> Job:
    """Count one page in the Prometheus text format. Raises re.error for a filter that is no regular expression."""
    kept = re.compile(settings["kept"])
    names = [match.group() for line in page.splitlines() if (match := _NAME.match(line))]
    of_target = list(_OF_TARGET)
    sent = [name for name in names if kept.fullmatch(name)]
    sent += [name for name in of_target if kept.fullmatch(name) or not settings["filters_up"]]
    return Job(
        settings["job"], len(names) + len(of_target), len(sent), settings["seconds"], settings["seconds_without"]
    )


def _held(settings: dict[str, Any], notes: list[str]) -> int | None:
    """The active series of the collector, from its own metrics."""
    try:
        page = _page(settings["collector_url"], settings.get("password_file"))
    except (OSError, ValueError) as error:
        notes.append(f"The collector does not say how many series it holds: {settings['collector_url']} {error}.")
        return None
    found = re.findall(
        r"^(?:prometheus_remote_write_wal_storage_active_series|prometheus_agent_active_series)(?:\{.*\})? (\S+)$",
        page,
        re.MULTILINE,
    )
    return int(sum(float(value) for value in found)) if found else None


def _page(url: str, password_file: str | None) -> str:
    """The text of a page on this host. Raises OSError and ValueError with words that follow the address."""
    from base64 import b64encode
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import urlsplit
    from urllib.request import ProxyHandler, Request, build_opener

    from ..runtime.services import LOOPBACK, stranger

    headers = {}
    parts = urlsplit(url)
    if password_file and parts.hostname in LOOPBACK:
        person = stranger(parts.hostname, parts.port or 80)
        if person is not None:
            raise OSError(f"is held by a process of user {person}, expected a service; end it")
        try:
            password = Path(password_file).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            password = ""
        except OSError as error:
            raise OSError(f"needs the password in {password_file} ({error.strerror}); run this as root") from None
        if password:
            headers["Authorization"] = "Basic " + b64encode(f"hypertool:{password}".encode()).decode()
    try:
        with build_opener(ProxyHandler({})).open(Request(url, headers=headers), timeout=PAGE_SECONDS) as answer:
            data: bytes = answer.read(PAGE_LIMIT + 1)
    except HTTPError as refused:
        raise OSError(f"answers {refused.code}") from None
    except (OSError, HTTPException) as error:
        raise OSError(f"does not answer ({getattr(error, 'reason', error)})") from None
    if len(data) > PAGE_LIMIT:
        raise ValueError(f"has more than {PAGE_LIMIT} bytes")
    return data.decode("utf-8", "replace")
