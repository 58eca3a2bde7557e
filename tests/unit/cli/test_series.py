"""`hypertool status --series`: the bill of a host that sends to Grafana Cloud."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hypertool.cli.series import lines, read_bill

OWN = "# TYPE a_total counter\n" + "".join(f'a_total{{n="{n}"}} 1\n' for n in range(10))
NODE = "node_load1 0.5\nnode_boot_time_seconds 1e9\n" + "".join(f'node_cpu{{cpu="{n}"}} 1\n' for n in range(50))
COLLECTOR = 'prometheus_remote_write_wal_storage_active_series{component_id="x"} 21\nprocess_start_time_seconds 1\n'


class Pages(BaseHTTPRequestHandler):
    """Three pages, and one that asks for a password."""

    def do_GET(self) -> None:
        page = {"/own": OWN, "/node": NODE, "/collector": COLLECTOR, "/locked": NODE}.get(self.path)
        known = self.headers["Authorization"] == "Basic " + b64encode(b"hypertool:secret").decode()
        body = (page or "").encode()
        self.send_response(404 if page is None else 401 if self.path == "/locked" and not known else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def job(name: str, url: str, kept: str = ".*", seconds: float = 60, without: float = 15) -> dict[str, Any]:
    return {
        "job": name,
        "url": url,
        "kept": kept,
        "filters_up": True,
        "seconds": seconds,
        "seconds_without": without,
    }


def settings(folder: Path, address: str, *jobs: dict[str, Any], password: Path | None = None) -> Path:
    path = folder / "collector.json"
    said = {"collector_url": f"{address}/collector", "jobs": jobs, "password_file": str(password) if password else None}
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


def test_bill_with_and_without_saving(tmp_path: Path, address: str) -> None:
    """Series, points and billable series are those of the pages, filtered and unfiltered."""
    own, node = job("hypertool", f"{address}/own", without=5), job("node", f"{address}/node", "node_boot_.*|up|")
    bill = read_bill(settings(tmp_path, address, own, node))
    assert bill is not None
    document = bill.document()
    # Five series belong to each target; of those, the filter of `node` keeps `up`.
    assert document["sent"] == {"series": 15 + 2, "points_per_minute": 17, "billable_series": 17}
    assert document["without_saving"] == {
        "series": 15 + 57,
        "points_per_minute": 15 * 12 + 57 * 4,
        "billable_series": 408,
    }
    assert (document["held_by_collector"], document["notes"]) == (21, [])


def test_slow_scrapes_are_billed_by_series(tmp_path: Path, address: str) -> None:
    bill = read_bill(settings(tmp_path, address, job("hypertool", f"{address}/own", seconds=120)))
    assert bill is not None
    assert bill.document()["sent"] == {"series": 15, "points_per_minute": 8, "billable_series": 15}


def test_unfiltered_target_series_are_counted(tmp_path: Path, address: str) -> None:
    """Prometheus adds its five series for a target after the filter."""
    one = {**job("node", f"{address}/node", "node_load1"), "filters_up": False}
    bill = read_bill(settings(tmp_path, address, one))
    assert bill is not None
    assert bill.jobs[0].sent == 6


def test_password_is_sent_from_its_file(tmp_path: Path, address: str) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n", encoding="utf-8")
    bill = read_bill(settings(tmp_path, address, job("node", f"{address}/locked"), password=password))
    assert bill is not None
    assert (bill.jobs[0].exposed, bill.notes) == (57, [])


@pytest.mark.parametrize(
    ("path", "kept", "words"),
    [("/absent", ".*", "answers 404"), ("/locked", ".*", "answers 401"), ("/own", "(", "unterminated subpattern")],
)
def test_uncounted_job_is_named(tmp_path: Path, address: str, path: str, kept: str, words: str) -> None:
    """A page that cannot be counted is a note; the others are counted."""
    bad, good = job("bad", address + path, kept), job("good", f"{address}/own")
    bill = read_bill(settings(tmp_path, address, bad, good))
    assert bill is not None
    assert [one.job for one in bill.jobs] == ["good"]
    assert words in bill.notes[0]
    assert "Job bad is not counted" in bill.notes[0]


def test_bill_in_words(tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    bill = read_bill(settings(tmp_path, address, job("hypertool", f"{address}/own", without=5)))
    assert bill is not None
    said = lines(bill)
    assert said[0] == "To Grafana Cloud: 15 series, 15 points a minute: 15 billable series."
    assert said[1].endswith("15 series, 180 points a minute: 180 billable series.")
    assert capsys.readouterr().out.splitlines()[1].split() == ["hypertool", "15", "15", "60", "s", "15"]


@pytest.mark.parametrize("text", ["{", '"a"', '{"jobs": [{}]}', '{"jobs": 1}', "\x00"])
def test_broken_settings_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "collector.json"
    path.write_text(text, encoding="utf-8")
    bill = read_bill(path)
    assert bill is not None
    assert "run the playbook again" in bill.notes[0]


def test_host_without_a_cloud_has_no_bill(tmp_path: Path) -> None:
    assert read_bill(tmp_path / "collector.json") is None
