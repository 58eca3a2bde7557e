"""The addresses that commands, plays and guides may name, and which test opens each of them."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"http://(?:localhost|127\.0\.0\.1|\[::1\]):(\d+)((?:/[\w./-]*)?)")
#: Opened by tests/push/test_real_addresses.py in a real Grafana, the dashboards of the alert rules too.
OF_GRAFANA = {"", "/", "/d/", "/api/health"}
#: Opened by tests/alloy/test_addresses.py in a real Alloy.
OF_ALLOY = {"", "/metrics", "/-/ready", "/-/reload", "/-/healthy"} | {
    "/api/v0/component/prometheus.exporter.unix.host/metrics"
}
#: Opened by the health check of Langfuse's own container, which tests/compose starts.
OF_LANGFUSE = {"/api/public/health"}
#: Port -> paths that show something, and who opens them. An empty path is a prefix, or the end of a tunnel.
#: "Here" is tests/unit/cli/test_addresses.py.
SHOWN = {
    "9464": {"/metrics", ""},  # here
    "9465": {"/", "/healthz"},  # here
    "9466": {"/", "/anthropic", "/openai/v1", "/gemini"},  # here, and what is below by tests/gateway
    "9093": {"", "/api/v2/alerts", "/-/ready", "/api/v2/silences"},  # here; the last one is for programs
    # test_places.py opens the pages on each release, tests/hosts the classic one; the others are for programs.
    "9090": {"", "/", "/user/overview.html", "/user/runbook.html", "/user/", "/classic/graph", "/metrics", "/-/ready"}
    | {"/query", "/graph", "/alerts", "/classic/alerts"}
    | {"/api/v1/targets", "/api/v1/write", "/api/v1/query"},
    "12345": OF_ALLOY,
    "9100": {"/metrics"},  # tests/hosts
    "4318": {"", "/v1/traces"},  # for programs: OTLP
    "3000": OF_GRAFANA | OF_LANGFUSE,
    "3001": {""},  # a Langfuse of the reader's
}
#: Programs of an example or a test, named in its own text.
OF_EXAMPLES = {"8123", "3030", "9001"}


def unknown(text: str) -> list[str]:
    """The addresses in a text that nobody opens."""
    text = re.sub(r"\{\{[^}]*default\((\d+)\)[^}]*\}\}", r"\1", text)
    return [
        f"{port}{path}"
        for port, path in ADDRESS.findall(text)
        if port not in OF_EXAMPLES and path.rstrip(".") not in SHOWN.get(port, set())
    ]
