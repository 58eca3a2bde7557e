"""A real Langfuse server, where the environment names one: what it has stored, read over its public API."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

import pytest
import requests

# Not LANGFUSE_...: every test takes those out of its environment.
VARIABLES = ("HYPERTOOL_TEST_LANGFUSE_HOST", "HYPERTOOL_TEST_LANGFUSE_PUBLIC_KEY", "HYPERTOOL_TEST_LANGFUSE_SECRET_KEY")
_FIELDS = "core,basic,model,usage,prompt,trace_context"
# Queued on the server's side; ten minutes where it reads the older tables only.
SECONDS = 120.0


class Stored(NamedTuple):
    """One trace: its observations and scores, as the API has them."""

    observations: list[dict[str, Any]]
    scores: list[dict[str, Any]]


class LangfuseServer:
    """`environment` is what a process needs to send there."""

    def __init__(self, host: str, public: str, secret: str) -> None:
        self.host = host.rstrip("/")
        self.environment = {"LANGFUSE_PUBLIC_KEY": public, "LANGFUSE_SECRET_KEY": secret, "LANGFUSE_HOST": self.host}
        self._session = requests.Session()
        self._session.auth = (public, secret)

    @classmethod
    def from_environment(cls) -> LangfuseServer:
        """Skips the test where no server is named."""
        values = [os.environ.get(name, "") for name in VARIABLES]
        if not all(values):
            pytest.skip(
                f"no Langfuse server is named: set {', '.join(VARIABLES)} to one (a project of its own: "
                "the test leaves a trace there)"
            )
        return cls(*values)

    def wait_for(self, trace_id: str, observations: int, scores: int) -> Stored:
        """The trace, once it is whole. AssertionError after two minutes."""
        deadline = time.monotonic() + SECONDS
        while True:
            found = self._read(trace_id)
            if len(found.observations) >= observations and len(found.scores) >= scores:
                return found
            assert time.monotonic() < deadline, (
                f"waited {SECONDS} s for {observations} observations and {scores} scores of trace {trace_id} at "
                f"{self.host}; it has {len(found.observations)} and {len(found.scores)}"
            )
            time.sleep(2.0)

    def _read(self, trace_id: str) -> Stored:
        newest = self._get("/api/public/v2/observations", traceId=trace_id, fields=_FIELDS)
        if newest is not None:
            scores = self._get("/api/public/v3/scores", traceId=trace_id, fields="core,details,subject") or {}
            return Stored(newest["data"], scores.get("data", []))
        trace = self._get(f"/api/public/traces/{trace_id}")  # servers before 4, which keep whose it is with the trace
        if trace is None:
            return Stored([], [])
        return Stored(
            [{**one, "sessionId": trace["sessionId"], "tags": trace["tags"]} for one in trace["observations"]],
            trace["scores"],
        )

    def _get(self, path: str, **query: str) -> dict[str, Any] | None:
        answer = self._session.get(self.host + path, params=query, timeout=20)
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, f"{self.host}{path} answered {answer.status_code}: {answer.text[:300]}"
        document: dict[str, Any] = answer.json()
        return document
