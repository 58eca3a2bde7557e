"""Spans on their way out: counted exactly once, whatever the other side does, and the process never held for long."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from tests.support.hypertool_host import Host
from tests.support.otlp_receiver import OtlpReceiver, refused_url

SPANS = 60

RUN = """
import time
from hypertool import WorkflowTracer
from hypertool.spans import span as spans
with WorkflowTracer("warm"):
    pass
spans.sink().wait_until_ready(20)
for _ in range(29):
    with WorkflowTracer("w") as w:
        w.trace_stage("s", "backend", lambda: 1)
with WorkflowTracer("last"):
    pass
"""


FLUSH = """
from hypertool.spans import span as spans
assert spans.sink().flush(20)
"""


def exports(host: Host) -> dict[str, int]:
    return {key[1]: value for key, value in host.counters("exp").items()}


def test_healthy_endpoint_gets_every_span(host: Host, receiver: OtlpReceiver) -> None:
    """A healthy endpoint gets every span, and the time of the last success is served."""
    before = int(time.time())
    host.python(RUN + FLUSH, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert len(receiver.wait(SPANS)) == SPANS
    assert exports(host) == {"success": SPANS}
    latest = host.store.merge().totals.latest
    assert latest["ok", "otlp"] / 1e6 >= before


def test_a_connection_that_breaks_is_one_try(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = []

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(server.accept()[0])
                    accepted[-1].close()

        threading.Thread(target=hang_up, daemon=True).start()
        done = host.python(RUN, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{server.getsockname()[1]}")
        assert (done.returncode, len(accepted)) == (0, 1)
    assert exports(host) == {"dropped": SPANS}


def test_outage_loses_nothing_queued(host: Host, receiver: OtlpReceiver) -> None:
    """A process logs the start and end of an outage once each, and loses no queued span."""
    receiver.status = 503
    done = host.python(
        """
        import os, sys, time
        from hypertool import WorkflowTracer
        from hypertool.spans import span as spans
        def runs(number):
            for _ in range(number):
                with WorkflowTracer("w"): pass
        runs(10)
        assert not spans.sink().flush(1.0)
        from urllib.request import urlopen
        urlopen(os.environ["REPAIR"], data=b"")
        assert spans.sink().flush(20.0)
        runs(5)
        assert spans.sink().flush(5.0)
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        REPAIR=f"{receiver.url}/repair",
    )
    assert done.returncode == 0, done.stderr
    assert len(receiver.wait(15)) == 15
    assert exports(host) == {"success": 15}
    assert len(done.stderr.splitlines()) == 1, "the recovery is news, not a warning: " + done.stderr


def test_discarded_spans_count_as_failures(host: Host, receiver: OtlpReceiver) -> None:
    """Spans that the server reports as rejected count as failures."""
    receiver.reject = 4
    done = host.python(RUN + FLUSH, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert exports(host) == {"success": SPANS - 4, "failure": 4}
    assert "rejected 4 spans (too old)" in done.stderr


def test_other_protocol_warns_once(host: Host, receiver: OtlpReceiver) -> None:
    """Another protocol is one warning, and http/protobuf is used."""
    done = host.python(RUN + FLUSH, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert len(receiver.wait(SPANS)) == SPANS
    (line,) = done.stderr.splitlines()
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported" in line
    assert "4318" in line


def test_fork_sends_only_its_own_spans(host: Host, receiver: OtlpReceiver) -> None:
    """A forked child starts with an empty queue and sends its own spans."""
    done = host.python(
        """
        import os, sys
        from hypertool import WorkflowTracer
        with WorkflowTracer("warm"): pass
        with WorkflowTracer("parents"): pass
        child = os.fork()
        with WorkflowTracer("child" if not child else "parent"): pass
        from hypertool.spans import span as spans
        assert spans.sink().flush(20)
        if not child:
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )
    assert done.returncode == 0, done.stderr
    names = sorted(span.name for span in receiver.wait(4))
    assert names == ["workflow.child", "workflow.parent", "workflow.parents", "workflow.warm"]
    assert exports(host) == {"success": 4}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_multiprocessing_child_sends_its_spans(host: Host, receiver: OtlpReceiver, method: str) -> None:
    done = host.python(
        f"""
        import multiprocessing
        from hypertool import WorkflowTracer
        from hypertool.spans import span as spans
        def work():
            with WorkflowTracer("child"): pass
            spans.sink().wait_until_ready(20)
        if __name__ == "__main__":
            with WorkflowTracer("parent"): pass
            child = multiprocessing.get_context({method!r}).Process(target=work)
            child.start()
            child.join()
            spans.sink().wait_until_ready(20)
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(span.name for span in receiver.wait(2)) == ["workflow.child", "workflow.parent"]
    assert exports(host) == {"success": 2}


def test_fork_with_busy_threads_never_hangs(host: Host, receiver: OtlpReceiver) -> None:
    """A fork in a process with busy threads never hangs."""
    done = host.python(
        """
        import os, sys, threading
        from hypertool import WorkflowTracer
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                with WorkflowTracer("w"): pass
        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads: thread.start()
        for _ in range(20):
            child = os.fork()
            if not child:
                with WorkflowTracer("child"): pass
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
    """,
        seconds=60,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )
    assert done.returncode == 0, done.stderr


def test_configured_exports_start_at_zero(host: Host) -> None:
    """Exports of a configured sink are at 0 before anything is sent."""
    done = host.python(
        """
        import os
        from hypertool import WorkflowTracer, get_persona_metrics
        with WorkflowTracer("w"):
            get_persona_metrics().flush()
            from hypertool.store.store import Store
            totals = Store.locate().merge().totals
            print({k[2]: v for k, v in totals.counters.items() if k[0] == "exp"}, totals.latest["ok", "otlp"])
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT=refused_url(),
    )
    assert done.stdout == "{'success': 0, 'failure': 0, 'dropped': 0} 0\n"


def test_broken_settings_never_stop_the_work(host: Host, receiver: OtlpReceiver) -> None:
    """A broken setting is one log line and never an error in the program."""
    receiver.status = 200
    for variables in (
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"},
        {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/such/file"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION": "best"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "nonsense"},
        {"OTEL_TRACES_SAMPLER": "sometimes"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "not a url"},
    ):
        done = host.python(RUN, **{"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **variables})
        assert done.returncode == 0, (variables, done.stderr)
        assert "Traceback" not in done.stderr, (variables, done.stderr)
    assert host.counters("qg") == {("w", "s", "pass"): 29 * 6}
