"""A webhook receiver for Alertmanager: every notification becomes JSON lines in the journal and in a file.

Alerts thus arrive on a host without any account. It listens on 127.0.0.1:9465
(`HYPERTOOL_ALERT_LOG_LISTEN`), takes alerts of Alertmanager's users only (`HYPERTOOL_ALERT_LOG_SENDERS`), and writes
`alerts.jsonl` in the state directory (where the host has a service, in its folder `service`), of bounded size (one
rotated file).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ..runtime.foreign_files import Folder
from ..runtime.logs import ERROR, WARNING, StateLog
from ..runtime.settings import ALERT_LOG_LISTEN, ALERT_LOG_LISTEN_DEFAULT
from ..store.store import Store
from .addresses import Address, parse_address
from .alert_lines import alert_lines
from .lifecycle import log_to_stderr, serve_until_stopped
from .senders import Senders
from .server import LocalHandler, LocalServer, listen
from .systemd import hold_stop_signals

FILE_NAME = "alerts.jsonl"
FILE_LIMIT = 5_000_000
#: How long the older file is kept at least: a flood of notifications then leaves the alerts from before it.
KEPT_SECONDS = 86400.0
# Some 2,000 alerts of this project. Parsed, the worst body needs some 40 times its size, and the unit has 256 MiB.
BODY_LIMIT = 3 << 20
#: Larger bodies are read one at a time, so that many slow clients together hold little memory.
SMALL_BODY = 64 << 10
BUSY_SECONDS = 5.0


class AlertFile:
    """Appends lines to a file of at most `limit` bytes; the one before it is kept as `<name>.1`, for a day at least.

    If the file is full again within that day, it begins anew; the journal still has its lines.
    """

    def __init__(self, path: Path, limit: int = FILE_LIMIT) -> None:
        self.path = path
        self._limit = limit
        self._lock = threading.Lock()

    def append(self, line: str) -> None:
        """Add one line, whole or not at all. Raises OSError."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        name = self.path.name
        with self._lock, Folder(self.path.parent) as folder:
            full = self._full(folder, len(data))
            if full and not self._older_is_recent(folder):
                folder.rename(name, name + ".1")
                full = False
            # Whatever the umask: the group may read it, where it may read the folder.
            descriptor = folder.create(name, 0o660, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                if full:
                    os.ftruncate(descriptor, 0)
                before = os.fstat(descriptor).st_size
                if os.write(descriptor, data) < len(data):
                    os.ftruncate(descriptor, before)
                    raise OSError(28, "No space left on device", str(self.path))
            finally:
                os.close(descriptor)

    def _full(self, folder: Folder, more: int) -> bool:
        try:
            return folder.status(self.path.name).st_size + more > self._limit
        except FileNotFoundError:
            return False

    def _older_is_recent(self, folder: Folder) -> bool:
        try:
            # Not the time of its last line: renaming it set this one.
            return time.time() - folder.status(self.path.name + ".1").st_ctime < KEPT_SECONDS
        except FileNotFoundError:
            return False


class AlertLog:
    """The HTTP server: POST takes a notification, GET /healthz says ok."""

    def __init__(self, address: Address, file: AlertFile) -> None:
        self._file = file
        self._state = StateLog()
        self.senders = Senders()
        self._parsing = threading.Lock()
        self.reading = threading.Lock()
        self._server = listen(address, ALERT_LOG_LISTEN.name, _Server, _handler(self))
        self.address = Address(address.host, self._server.server_address[1])

    def start(self) -> None:
        """Serve in a background thread."""
        threading.Thread(target=self._server.serve_forever, name="hypertool-alert-log", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def take(self, body: bytes) -> tuple[int, str]:
        """Write one notification; returns the HTTP status and a text for the answer. One body is parsed at a time."""
        with self._parsing:
            return self._take(body)

    def _take(self, body: bytes) -> tuple[int, str]:
        try:
            notification = json.loads(body)
        except (ValueError, RecursionError) as error:
            return 400, f"not JSON: {error}"
        if not isinstance(notification, dict) or not isinstance(notification.get("alerts"), list):
            return 400, "not an Alertmanager notification: expected an object with a list `alerts`"
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        lines = alert_lines({**notification, "received_at": stamp})
        print("\n".join(lines), flush=True)
        try:
            for line in lines:
                self._file.append(line)
        except OSError as error:
            self._state.change(
                "failing",
                ERROR,
                f"{self._file.path} cannot be written: {error.strerror}; Alertmanager tries again (logged once)",
            )
            return 503, f"cannot write: {error.strerror}"
        self._state.change("ok", WARNING, f"{self._file.path} can be written again")
        return 200, "ok"


def _handler(alert_log: AlertLog) -> type[BaseHTTPRequestHandler]:
    class Handler(LocalHandler):
        server_version = "hypertool-alert-log"

        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(200, "ok")
            elif self.path == "/":
                self._answer(
                    200, "Alertmanager posts notifications here; each is a line of the journal of this service"
                )
            else:
                self._answer(404, "not found; POST notifications here, GET /healthz")

        def do_POST(self) -> None:
            refusal = alert_log.senders.refusal(self.client_address, self.connection.getsockname())
            if refusal:
                return self._answer(403, refusal)
            # A browser sends this content type to loopback only after a preflight, which is refused.
            if self.headers.get_content_type() != "application/json":
                return self._answer(415, "expected Content-Type: application/json")
            length = self.headers.get("Content-Length", "")
            if not length.isascii() or not length.isdigit():
                return self._answer(411, "expected a Content-Length")
            if len(length) > 9 or int(length) > BODY_LIMIT:
                return self._answer(413, f"a notification may have {BODY_LIMIT} bytes")
            if int(length) <= SMALL_BODY:
                return self._answer(*self._read_and_take(int(length)))
            if not alert_log.reading.acquire(timeout=BUSY_SECONDS):
                return self._answer(503, "busy with other large notifications; try again")
            try:
                result = self._read_and_take(int(length))
            finally:
                alert_log.reading.release()
            return self._answer(*result)

        def _read_and_take(self, length: int) -> tuple[int, str]:
            try:
                body = self.rfile.read(length)
            except OSError:
                return 408, "too slow"
            if len(body) < length:
                return 400, "the body is shorter than its Content-Length"
            return alert_log.take(body)

        def _answer(self, status: int, text: str) -> None:
            data = text.encode("utf-8", "backslashreplace") + b"\n"
            with contextlib.suppress(OSError):  # The client is gone.
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

    return Handler


class _Server(LocalServer, ThreadingHTTPServer):
    pass


def run_alert_log() -> int:
    """The service: serves until SIGTERM or SIGINT, then returns 0. Raises HypertoolError before it serves."""
    log_to_stderr()
    address = parse_address(ALERT_LOG_LISTEN.read() or ALERT_LOG_LISTEN_DEFAULT, ALERT_LOG_LISTEN.name)
    directory = Store.locate().directory
    directory.ensure()
    hold_stop_signals()
    path = directory.private / FILE_NAME
    alert_log = AlertLog(address, AlertFile(path))
    return serve_until_stopped(
        alert_log, f"writing notifications from http://{alert_log.address}/ to {path}", "write here"
    )
