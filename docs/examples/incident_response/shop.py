"""A small service that takes orders: `/order`, `/healthz` and `/metrics` on loopback. Its code is a release folder.

`python shop.py [--root DIR] [--release NAME] [--port 8085]`. Without `--release` it runs what the link `current` names.
A customer of its own orders five times a second, so that there is something to measure.
"""

from __future__ import annotations

import argparse
import json
import runpy
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PORT = 8085


class Shop:
    """The orders of one release, counted by result."""

    def __init__(self, root: Path, release: str) -> None:
        self.version = (root / "releases" / release).resolve().name if release else (root / "current").resolve().name
        code = runpy.run_path(str(root / "releases" / self.version / "orders.py"))
        self._take: Callable[[Path], str] = code["take_order"]
        self._data = root / "data"
        self._lock = threading.Lock()
        self._counts = {"ok": 0, "failed": 0}

    def order(self) -> tuple[int, str]:
        """Take one order: status and text."""
        try:
            status, text, result = 200, self._take(self._data), "ok"
        except Exception as error:
            status, text, result = 500, f"{type(error).__name__}: {error}", "failed"
        with self._lock:
            self._counts[result] += 1
        return status, text

    def metrics(self) -> str:
        """The counters in Prometheus' text format."""
        with self._lock:
            lines = [f'shop_orders_total{{result="{result}"}} {count}' for result, count in self._counts.items()]
        return "\n".join(["# TYPE shop_orders_total counter", *lines, f'shop_info{{version="{self.version}"}} 1', ""])


def handler(shop: Shop) -> type[BaseHTTPRequestHandler]:
    """What answers requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers: dict[str, Callable[[], tuple[int, str]]] = {
                "/order": shop.order,
                "/healthz": lambda: (200, json.dumps({"version": shop.version})),
                "/metrics": lambda: (200, shop.metrics()),
            }
            status, text = answers.get(self.path, lambda: (404, "try /order, /healthz or /metrics"))()
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler


def main() -> None:
    """Serve until the process is ended."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--root", type=Path, default=HERE)
    arguments.add_argument("--release", default="")
    arguments.add_argument("--port", type=int, default=PORT)
    given = arguments.parse_args()
    shop = Shop(given.root, given.release)
    over = threading.Event()

    def customer() -> None:
        while not over.wait(0.2):
            shop.order()

    threading.Thread(target=customer, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", given.port), handler(shop)).serve_forever()


if __name__ == "__main__":
    main()
