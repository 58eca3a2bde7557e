"""A bell wakes its thread, whoever rings and however often."""

from __future__ import annotations

import signal
import threading
from typing import Any

from hypertool.runtime.bell import Bell


def test_many_rings_before_a_wait_are_one() -> None:
    bell = Bell()
    assert not bell.wait(0)
    for _ in range(3):
        bell.ring()
    assert bell.wait()
    assert not bell.wait(0)


def test_a_negative_timeout_does_not_wait() -> None:
    assert not Bell().wait(-5.0)


def test_a_ring_wakes_a_thread_that_waits() -> None:
    bell = Bell()
    woken = threading.Event()

    def wait() -> None:
        bell.wait()
        woken.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    bell.ring()
    assert woken.wait(30), "the thread was not woken within 30 s"
    thread.join(30)


def test_threads_may_ring_at_once() -> None:
    """No ring raises, and at least one is heard."""
    bell = Bell()
    errors: list[BaseException] = []

    def ring() -> None:
        try:
            for _ in range(2_000):
                bell.ring()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    heard = 0
    while any(thread.is_alive() for thread in threads):
        heard += bell.wait(0.001)
    for thread in threads:
        thread.join()
    assert not errors
    assert heard + bell.wait(0)


def test_a_signal_handler_may_ring() -> None:
    """While the main thread rings, too."""
    bell = Bell()
    rung: list[int] = []

    def handler(*_: Any) -> None:
        bell.ring()
        rung.append(1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for _ in range(50):
            signal.raise_signal(signal.SIGUSR1)
            bell.ring()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(rung) == 50
    assert bell.wait(0)
