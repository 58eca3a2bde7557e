"""A sink that is down, in every way a server can be down: calls notice nothing, exits are short, each span counts once.

All of it for both sinks at once, over real sockets, in real processes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.dead_servers import DEATHS
from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import LangfuseReceiver
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.sinks import HEAD, exports, to_langfuse, to_otlp

SPANS = 2_000
# What a process may be held longer at its exit than one without sinks.
EXIT_SECONDS = 0.55
TRIES = 12

# Says which of its own calls touched the network, and when its last statement was done: what follows is the exit.
CALLS = """
import json, threading, time
network, caller = [], threading.get_ident()
def watch(event, _):
    if event.startswith(("socket.", "http.client.", "urllib.")) and threading.get_ident() == caller:
        network.append(event)
sys.addaudithook(watch)
for _ in range({spans}): llm("x")
{then}
print(json.dumps({{"network": network, "left": time.monotonic()}}))
"""


class Left(NamedTuple):
    """How a process ended: seconds from its last statement to its end, and what it logged."""

    seconds: float
    lines: list[str]


def leave(host: Host, environment: dict[str, str], spans: int = SPANS, then: str = "") -> Left:
    done = host.python(HEAD + CALLS.format(spans=spans, then=then), seconds=60, **environment)
    ended = time.monotonic()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["network"] == [], "the caller's thread waited for the network"
    return Left(ended - said["left"], done.stderr.splitlines())


@pytest.fixture(scope="module")
def exit_without_sinks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], float]:
    """Seconds that the same program takes to end where nothing is configured; measured again on each call."""

    def measure() -> float:
        return leave(Host(tmp_path_factory.mktemp("control")), {}).seconds

    return measure


@pytest.mark.parametrize("death", DEATHS)
def test_two_dead_sinks_hold_up_nothing(tmp_path: Path, death: str, exit_without_sinks: Callable[[], float]) -> None:
    """Two dead sinks hold up no call, hold the exit up for half a second at most, and each span is counted once."""
    how = DEATHS[death]
    longer = []
    with how.serve(tmp_path) as url:
        for attempt in range(TRIES):  # the machine may be busy: the promise is for an exit without other work
            host = Host(tmp_path / str(attempt))
            left = leave(host, {**to_otlp(url), **to_langfuse(url)})
            for sink in ("otlp", "langfuse"):
                assert sum(exports(host, sink).values()) == SPANS, exports(host, sink)
                # What was sent before the exit fails for good; what the exit cut off was dropped.
                assert set(exports(host, sink)) <= {how.outcome, "dropped"}
                (line,) = (line for line in left.lines if line.startswith(f"{sink}: "))
                assert how.word in line or "were not delivered" in line
            assert len(left.lines) == 2, left.lines
            longer.append(left.seconds - exit_without_sinks())
            if longer[-1] <= EXIT_SECONDS:
                return
    pytest.fail(f"the exit took {', '.join(f'{seconds:.2f}' for seconds in longer)} s more than one without sinks")


@pytest.mark.parametrize("death", ["refused", "black hole", "trickling", "reset", "unknown authority", "503", "401"])
@pytest.mark.parametrize("dead", ["otlp", "langfuse"])
def test_healthy_sink_beside_a_dead_one_gets_all(
    tmp_path: Path, host: Host, receiver: OtlpReceiver, langfuse: LangfuseReceiver, dead: str, death: str
) -> None:
    """A healthy sink beside a dead one gets everything."""
    how = DEATHS[death]
    with how.serve(tmp_path) as url:
        if dead == "otlp":
            environment, healthy, sink = {**to_otlp(url), **langfuse.environment}, langfuse, "spans.langfuse_sink()"
        else:
            environment, healthy, sink = {**to_otlp(receiver.url), **to_langfuse(url)}, receiver, "spans.sink()"
        left = leave(host, environment, 600, f"assert {sink}.flush(30)")
    (alive,) = {"otlp", "langfuse"} - {dead}
    assert len(healthy.wait(600)) == 600
    assert len({span.span_id for span in healthy.spans}) == 600, "none twice"
    assert exports(host, alive) == {"success": 600}
    assert sum(exports(host, dead).values()) == 600
    assert set(exports(host, dead)) <= {how.outcome, "dropped"}
    (line,) = left.lines
    assert line.startswith(f"{dead}: ")


def test_queue_of_two_thousand_is_sent_at_exit(
    tmp_path: Path, receiver: OtlpReceiver, langfuse: LangfuseReceiver
) -> None:
    """A queue of two thousand spans is delivered at the exit where the servers are healthy."""
    for attempt in range(TRIES):
        host = Host(tmp_path / str(attempt))
        leave(host, {**to_otlp(receiver.url), **langfuse.environment})
        assert all(sum(exports(host, sink).values()) == SPANS for sink in ("otlp", "langfuse"))
        if all(exports(host, sink) == {"success": SPANS} for sink in ("otlp", "langfuse")):
            return
    pytest.fail(f"not all was delivered: {exports(host, 'otlp')}, {exports(host, 'langfuse')}")


def test_exit_after_the_first_call_delivers_it(
    tmp_path: Path, receiver: OtlpReceiver, langfuse: LangfuseReceiver
) -> None:
    """A process that ends right after its first call delivers it, and loads nothing heavy for that."""
    for attempt in range(TRIES):
        host = Host(tmp_path / str(attempt))
        leave(
            host,
            {**to_otlp(receiver.url), **langfuse.environment},
            1,
            """
heavy = {"requests", "urllib3", "google", "httpx", "certifi"}
assert not heavy & {name.partition(".")[0] for name in sys.modules}
assert not [name for name in sys.modules if name.startswith("opentelemetry.exporter")]
""",
        )
        assert all(sum(exports(host, sink).values()) == 1 for sink in ("otlp", "langfuse"))
        if all(exports(host, sink) == {"success": 1} for sink in ("otlp", "langfuse")):
            return
    pytest.fail(f"not delivered: {exports(host, 'otlp')}, {exports(host, 'langfuse')}")


def test_dead_sinks_do_not_grow_memory(tmp_path: Path, host: Host) -> None:
    """A hundred thousand spans for dead sinks take the memory of two thousand."""
    with DEATHS["black hole"].serve(tmp_path) as url:
        leave(
            host,
            {**to_otlp(url), **to_langfuse(url)},
            5_000,
            """
import resource
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def make(number):
    for _ in range(number):
        spans.start("one", lambda: {"key": "x" * 1000}).end({})
make(5_000)
before = peak()
make(100_000)
assert peak() - before < 4 * 1024, f"{peak() - before} KiB more"
""",
        )
    for sink in ("otlp", "langfuse"):
        assert sum(exports(host, sink).values()) == 110_000
