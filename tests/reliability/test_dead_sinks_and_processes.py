"""Dead sinks and the ends of processes: killed, interrupted, crashed, forked; and servers that come back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import free_port
from tests.support.dead_servers import DEATHS
from tests.support.hypertool_host import Host, wait_until
from tests.support.langfuse_receiver import PUBLIC, SECRET, LangfuseReceiver
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.sinks import HEAD, exports, to_langfuse, to_otlp

SINKS = ("otlp", "langfuse")
# See test_dead_sinks.py.
EXIT_SECONDS = 0.55
TRIES = 12


def start(host: Host, code: str, **environment: str) -> subprocess.Popen[str]:
    """A program that stays; its output can be read line by line."""
    program = host.home / "agent.py"
    program.write_text(HEAD + textwrap.dedent(code))
    return host.background(
        [sys.executable, "-u", str(program)], environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("death", ["black hole", "refused"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killed_process_counts_each_span_once(
    tmp_path: Path, host: Host, langfuse: LangfuseReceiver, number: int, death: str
) -> None:
    """A killed process has each span counted once when it is folded."""
    with DEATHS[death].serve(tmp_path) as url:
        process = start(
            host,
            """
            import time
            for _ in range(300): llm("x")
            assert spans.langfuse_sink().flush(30)
            print("ready", flush=True)
            time.sleep(60)
        """,
            **to_otlp(url),
            **langfuse.environment,
        )
        assert line_of(process) == "ready"

        def published() -> bool:
            totals = host.store.merge().totals
            return totals.pending.get("otlp", 0) + sum(exports(host, "otlp").values()) == 300 and exports(
                host, "langfuse"
            ) == {"success": 300}

        wait_until(published, "the process to publish by itself what its sinks have", 20)
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == -number
    wait_until(host.store.fold, "the dead process to be folded")
    assert exports(host, "otlp") == {"dropped": 300}
    assert exports(host, "langfuse") == {"success": 300}
    assert len(langfuse.spans) == 300
    host.store.fold()
    assert exports(host, "otlp") == {"dropped": 300}, "once"


@pytest.mark.parametrize("impatient", [False, True])
def test_interrupted_process_counts_each_span_once(tmp_path: Path, host: Host, impatient: bool) -> None:
    """An interrupted process counts each span once, also where its exit is interrupted."""
    with DEATHS["black hole"].serve(tmp_path) as url:
        process = start(
            host,
            """
            import atexit, time
            for _ in range(300): llm("x")
            atexit.register(print, "leaving", flush=True)
            print("ready", flush=True)
            time.sleep(60)
        """,
            **to_otlp(url),
            **to_langfuse(url),
        )
        assert line_of(process) == "ready"
        process.send_signal(signal.SIGINT)
        assert line_of(process) == "leaving"
        if impatient:
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    assert said.count("were not delivered") == 2, said
    assert [exports(host, sink) for sink in SINKS] == [{"dropped": 300}] * 2


@pytest.mark.parametrize("end", ["raise RuntimeError('a bug of the application')", "sys.exit(3)", "1 / 0"])
def test_a_crash_counts_each_span_once(tmp_path: Path, host: Host, langfuse: LangfuseReceiver, end: str) -> None:
    with DEATHS["trickling"].serve(tmp_path) as url:
        done = host.python(
            HEAD
            + f"""
for _ in range(300): llm("x")
assert spans.langfuse_sink().flush(30)
{end}
""",
            **to_otlp(url),
            **langfuse.environment,
        )
    assert done.returncode in (1, 3)
    assert exports(host, "otlp") == {"dropped": 300}
    assert exports(host, "langfuse") == {"success": 300}


FORK = """
import json, os, time
for _ in range(100): llm("x")
child = os.fork()
if child == 0:
    for _ in range(50): llm("x")
    {flush}
    with open("left", "w") as file: file.write(str(time.monotonic()))
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
ended = time.monotonic()
for _ in range(30): llm("x")
{flush}
print(json.dumps(ended - float(open("left").read())))
"""


@pytest.mark.parametrize("death", ["black hole", "refused", "503", "401"])
def test_parent_and_child_count_their_own_spans(tmp_path: Path, death: str) -> None:
    """Parent and child of a fork count their own spans, once each."""
    how, longer = DEATHS[death], []
    with how.serve(tmp_path) as url:
        for attempt in range(TRIES):  # see test_dead_sinks.py
            host = Host(tmp_path / str(attempt))
            done = host.python(HEAD + FORK.format(flush=""), **to_otlp(url), **to_langfuse(url))
            assert done.returncode == 0, done.stderr
            for sink in SINKS:
                assert sum(exports(host, sink).values()) == 180
                assert set(exports(host, sink)) <= {how.outcome, "dropped"}
            control = Host(tmp_path / f"control {attempt}").python(HEAD + FORK.format(flush=""))
            longer.append(json.loads(done.stdout) - json.loads(control.stdout))
            if longer[-1] <= EXIT_SECONDS:
                return
    pytest.fail(f"the child's exit took {longer} s more than one without sinks")


def test_healthy_sink_gets_parents_and_childs_spans(tmp_path: Path, host: Host, langfuse: LangfuseReceiver) -> None:
    """A healthy sink beside a dead one gets the spans of parent and child."""
    with DEATHS["black hole"].serve(tmp_path) as url:
        done = host.python(
            HEAD + FORK.format(flush="assert spans.langfuse_sink().flush(30)"), **to_otlp(url), **langfuse.environment
        )
    assert done.returncode == 0, done.stderr
    assert len({span.span_id for span in langfuse.wait(180)}) == 180 == len(langfuse.spans)
    assert exports(host, "langfuse") == {"success": 180}
    assert exports(host, "otlp") == {"dropped": 180}


@pytest.mark.parametrize("death", ["refused", "503", "401"])
def test_recovered_servers_get_spans_again(tmp_path: Path, host: Host, death: str) -> None:
    """Servers that recover get spans again, without any action."""
    status = 200 if death == "refused" else int(death)
    servers: dict[str, Any] = {
        "otlp": OtlpReceiver(port=free_port(), status=status),
        "langfuse": LangfuseReceiver(port=free_port(), status=status),
    }
    urls = {name: f"http://127.0.0.1:{server.port}" for name, server in servers.items()}
    if death != "refused":
        for server in servers.values():
            server.__enter__()
    process = start(
        host,
        """
        import logging, os, time
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        made = 0
        while not os.path.exists("stop"):
            llm("x")
            made += 1
            time.sleep(0.005)
        assert spans.sink().flush(30) and spans.langfuse_sink().flush(30)
        print(made)
    """,
        **to_otlp(urls["otlp"]),
        **{**to_langfuse(urls["langfuse"]), "LANGFUSE_PUBLIC_KEY": PUBLIC, "LANGFUSE_SECRET_KEY": SECRET},
    )
    try:
        wait_until(lambda: all(exports(host, sink).get("dropped") for sink in SINKS), "both circuits to open", 30)
        for server in servers.values():
            if death == "refused":
                server.__enter__()
            server.status = 200
        for server in servers.values():
            server.wait(50, 40)
        (host.work / "stop").touch()
        said, logged = process.communicate(timeout=60)
    finally:
        for server in servers.values():
            server.__exit__()
    assert process.returncode == 0, logged
    for sink, server in servers.items():
        lines = [line for line in logged.splitlines() if f"{sink}: " in line]
        assert [line.split()[0] for line in lines] == ["WARNING", "INFO"], lines
        assert "spans are accepted again" in lines[1]
        counts = exports(host, sink)
        assert sum(counts.values()) == int(said)
        assert counts["success"] == len(server.spans)
        assert ("failure" in counts) == (death == "401")


def test_a_server_that_asks_for_a_pause_gets_it(host: Host, receiver: OtlpReceiver) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": "2"}
    done = host.python(
        HEAD
        + """
import os, time
from urllib.request import urlopen
llm("x")
assert not spans.sink().flush(1.0)
urlopen(os.environ["REPAIR"], data=b"")
assert spans.sink().flush(20)
""",
        **to_otlp(receiver.url),
        REPAIR=f"{receiver.url}/repair",
    )
    assert done.returncode == 0, done.stderr
    assert len(receiver.requests) == 2
    first, second = receiver.at
    assert 1.9 < second - first < 12
    assert exports(host, "otlp") == {"success": 1}
