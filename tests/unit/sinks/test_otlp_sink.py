"""What every sink promises whatever it sends to: the queue, the breaker, exact counting, the end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypertool.sinks.base import QUEUE_LIMIT, Outcome, SpanSink, Verdict, close_all
from hypertool.sinks.breaker import CircuitBreaker
from tests.support.hypertool_host import Host, wait_until

SENT, LATER, REFUSED = Verdict(Outcome.SENT), Verdict(Outcome.LATER, "down"), Verdict(Outcome.REFUSED, "no")


class Sink(SpanSink):
    """Answers each batch as `answer` says."""

    def __init__(self, answer: Callable[[list[Any]], Verdict], **options: Any) -> None:
        self.answer = answer
        self.counted: Counter[str] = Counter()
        self.batches: list[list[Any]] = []
        super().__init__("test", self.count, **options)

    def count(self, outcome: str, spans: int) -> None:
        self.counted[outcome] += spans

    def prepare(self) -> None:
        """Nothing to load."""

    def reset(self) -> None:
        """Nothing to let go of."""

    def send(self, batch: list[Any]) -> Verdict:
        self.batches.append(batch)
        return self.answer(batch)


def fill(sink: Sink, spans: int) -> None:
    for span in range(spans):
        sink.submit(span)


def test_everything_is_sent_in_order_and_counted() -> None:
    sink = Sink(lambda _: SENT)
    fill(sink, 1300)
    assert sink.flush(10)
    close_all([sink])
    assert [span for batch in sink.batches for span in batch] == list(range(1300))
    assert max(map(len, sink.batches)) <= 512
    assert sink.counted == {"success": 1300}


def test_a_full_queue_drops_and_never_blocks() -> None:
    going = threading.Event()
    sink = Sink(lambda _: SENT if going.wait(20) else LATER)
    sink.submit("first")
    wait_until(lambda: sink.batches, "the first batch to be on its way")
    started = time.monotonic()
    fill(sink, QUEUE_LIMIT + 100)
    assert time.monotonic() - started < 2
    assert sink.counted == {"dropped": 100}
    going.set()
    assert sink.flush(10)
    assert sink.counted == {"dropped": 100, "success": QUEUE_LIMIT + 1}


def test_late_answer_counts_once() -> None:
    """An answer after the sink has closed is not counted again."""
    going, answered = threading.Event(), threading.Event()

    def slow(_: list[Any]) -> Verdict:
        going.wait(20)
        answered.set()
        return SENT

    sink = Sink(slow)
    fill(sink, 10)
    started = time.monotonic()
    close_all([sink], seconds=0.2)
    assert time.monotonic() - started < 2
    assert sink.counted == {"dropped": 10}
    going.set()
    assert answered.wait(10)
    assert sink._thread is not None
    sink._thread.join(10)
    assert sink.counted == {"dropped": 10}


def test_all_sinks_share_one_bound() -> None:
    stuck = threading.Event()
    sinks = [Sink(lambda _: SENT if stuck.wait(20) else LATER) for _ in range(5)]
    for sink in sinks:
        fill(sink, 3)
    started = time.monotonic()
    close_all(sinks, seconds=0.3)
    assert 0.25 < time.monotonic() - started < 1.2
    assert [sink.counted for sink in sinks] == [{"dropped": 3}] * 5
    stuck.set()


def test_sender_error_is_a_failure() -> None:
    """An exception of the sender is a failure, and the sink goes on."""
    answers: list[Verdict | None] = [None, SENT]

    def broken(_: list[Any]) -> Verdict:
        answer = answers.pop(0)
        if answer is None:
            raise MemoryError("too big")
        return answer

    sink = Sink(broken)
    sink.submit("poison")
    assert sink.flush(10)
    sink.submit("good")
    assert sink.flush(10)
    assert sink.counted == {"failure": 1, "success": 1}


def test_a_closed_sink_drops() -> None:
    sink = Sink(lambda _: SENT)
    close_all([sink])
    fill(sink, 3)
    assert sink.counted == {"dropped": 3}


def test_a_sink_that_cannot_prepare_lives_on_and_sends() -> None:
    class Broken(Sink):
        def prepare(self) -> None:
            raise ImportError("half installed")

    sink = Broken(lambda _: SENT)
    fill(sink, 3)
    assert sink.flush(10)
    assert sink.counted == {"success": 3}


def test_requested_pause_is_kept() -> None:
    """A pause that the server asks for is kept before the circuit opens."""
    tries: list[float] = []

    def busy(_: list[Any]) -> Verdict:
        tries.append(time.monotonic())
        return SENT if len(tries) > 1 else Verdict(Outcome.LATER, "busy", retry_after=1.5)

    sink = Sink(busy)
    sink.submit("x")
    assert sink.flush(20)
    assert tries[1] - tries[0] >= 1.5


STORM = """
import itertools, signal
from tests.unit.sinks.test_otlp_sink import SENT, Sink
from hypertool.sinks.base import close_all
sink, signals = Sink(lambda _: SENT), itertools.count()
def handler(number, frame):
    next(signals)
    sink.submit("of a signal")
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
for _ in range(30_000):
    sink.submit("of the program")
signal.setitimer(signal.ITIMER_REAL, 0)
close_all([sink], 20)
made = 30_000 + next(signals)
assert sum(sink.counted.values()) == made == sink.submitted, (sink.counted, made, sink.submitted)
assert made > 30_000
"""


def test_span_ended_by_a_signal_handler(tmp_path: Path) -> None:
    """A span that a signal handler ends during another neither hangs nor miscounts."""
    # So does the garbage collector, when it closes an abandoned stream.
    done = Host(tmp_path).python(STORM, 60)
    assert done.returncode == 0, done.stderr


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_open_circuit_drops_at_once() -> None:
    """An open circuit drops at once, and one successful try closes it."""
    clock = Clock()
    answers = [REFUSED, REFUSED, REFUSED]
    sink = Sink(lambda _: answers.pop(0) if answers else SENT, breaker=lambda: CircuitBreaker(clock=clock))
    for _ in range(3):
        sink.submit("x")
        assert sink.flush(10)
    assert sink.counted == {"failure": 3}
    fill(sink, 50)
    assert sink.counted == {"failure": 3, "dropped": 50}
    assert len(sink.batches) == 3, "nothing was tried"
    clock.now += 5.1
    fill(sink, 2)
    assert sink.flush(10)
    assert sink.counted == {"failure": 3, "dropped": 50, "success": 2}


def test_an_open_circuit_ends_without_a_try() -> None:
    sink = Sink(lambda _: LATER, breaker=lambda: CircuitBreaker(threshold=1))
    fill(sink, 4)
    assert not sink.flush(0.3)
    started = time.monotonic()
    close_all([sink])
    assert time.monotonic() - started < 0.4
    assert sink.counted == {"dropped": 4}
    assert len(sink.batches) == 1


def test_breaker_opens_on_the_third_failure() -> None:
    """The breaker opens on the third failure, and its pauses grow up to a limit."""
    clock = Clock()
    breaker = CircuitBreaker(clock=clock)
    assert [breaker.failure(), breaker.failure(), breaker.is_open] == [False, False, False]
    assert breaker.failure()
    pauses = []
    for _ in range(6):
        pauses.append(breaker.seconds_left())
        assert breaker.is_open
        clock.now += breaker.seconds_left()
        assert not breaker.is_open
        breaker.failure()
    assert pauses == pytest.approx([5, 10, 20, 40, 60, 60])
    breaker.success()
    assert breaker.seconds_left() == 0
    assert not breaker.failure()
    assert not breaker.is_open


def test_server_named_pause_is_limited() -> None:
    """A pause that the server names is kept, up to a limit."""
    for asked, pause in ((7.0, 7.0), (3600.0, 60.0)):
        breaker = CircuitBreaker(clock=Clock())
        assert breaker.failure(asked)
        assert breaker.seconds_left() == pytest.approx(pause)
