"""An interpreter that ends with something open: it exits at once, and what was open is counted."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest

from tests.support.debian_binaries import BinariesUnavailable
from tests.support.hypertool_host import ROOT, Host
from tests.support.pythons import SUPPORTED, here, newest_of_debian

HEAD = """
import os, sys, threading, atexit
from hypertool import ObservableLLM
def chunks(prompt):
    for text in ("a", "b", "c"):
        yield {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [{"delta": {"content": text}}]}
llm = ObservableLLM(chunks, "gpt-4o", default_persona="backend")
"""
ENDS = {
    "script": "s = llm('x'); next(s)",
    "thread": """
        kept = []
        def work():
            s = llm('x'); next(s); kept.append(s)
        t = threading.Thread(target=work); t.start(); t.join()
    """,
    "generator": """
        def outer():
            s = llm('x')
            try:
                yield next(s)
            finally:
                del s
        g = outer(); next(g)
    """,
    "del": """
        class Holder:
            def __init__(self):
                self.s = llm('x'); next(self.s)
            def __del__(self):
                self.s.close()
        holder = Holder()
    """,
    "cycle": """
        class Holder: pass
        holder = Holder(); holder.self = holder; holder.s = llm('x'); next(holder.s)
    """,
    "atexit": "atexit.register(lambda: globals().__setitem__('s', llm('x')) or next(s))",
    "late atexit": "s = llm('x'); atexit.register(lambda: next(s))",
    "sys.exit": "s = llm('x'); next(s); sys.exit(0)",
    "fork": "s = llm('x'); next(s); pid = os.fork(); sys.exit(0) if pid == 0 else os.waitpid(pid, 0)",
    "threads' exit": "threading._register_atexit(lambda: globals().__setitem__('s', llm('x')) or next(s))",
    "late thread": """
        begun = threading.Event()
        def work():
            s = llm('x'); next(s); begun.set(); threading.Event().wait()
        threading.Thread(target=work, daemon=True).start(); begun.wait()
    """,
    "after others": "llm('y').__next__(); s = llm('x'); next(s)",
}


def packages(tmp_path: Path) -> dict[str, str]:
    """What another interpreter needs: Python 3.10 has no parser for TOML of its own."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "tomli.py").write_text("from pip._vendor.tomli import *\n")
    return {"PYTHONPATH": f"{ROOT / 'instrumentation'}:{tmp_path / 'packages'}"}


@pytest.fixture(scope="module")
def pythons() -> dict[str, str]:
    return here()


@pytest.fixture(params=SUPPORTED)
def python(request: pytest.FixtureRequest, pythons: dict[str, str]) -> str:
    """The program of each supported version that can be had."""
    version = request.param
    if version not in pythons and version == SUPPORTED[-1]:
        try:
            pythons[version] = newest_of_debian()
        except BinariesUnavailable as error:
            pytest.skip(f"no Python {version}: {error}")
    if version not in pythons:
        pytest.skip(f"no Python {version} on the PATH or of pyenv: install it")
    return pythons[version]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.shared_host("S4")
def test_open_stream_at_the_end_exits_at_once(host: Host, tmp_path: Path, python: str, end: str) -> None:
    """A stream left open by the last line of a program holds the exit up no longer than any other, and is counted."""
    began = time.monotonic()
    done = host.start([python, "-c", HEAD + textwrap.dedent(ENDS[end])], 30, packages(tmp_path))
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert sum(host.store.read().requests.values()) == (2 if end == "after others" else 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert took < 10, "the exit waits for something that never comes"


SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = f"import sys; sys.path[:] = {sys.path!r}" + '''
from hypertool import get_persona_metrics
for _ in range(7):
    get_persona_metrics().record_token_usage("backend", "default", "simulated", 10)
'''
made = interpreters.create()
problem = interpreters.run_string(made, code)
assert problem is None, problem
interpreters.destroy(made)
"""


@pytest.mark.shared_host("S25")
def test_records_of_a_sub_interpreter_are_counted(host: Host, tmp_path: Path, python: str) -> None:
    """A sub-interpreter without daemon threads publishes in the thread that records, and as it ends."""
    done = host.start([python, "-c", SUBINTERPRETER], 30, packages(tmp_path))
    assert done.returncode == 0, done.stderr
    assert sum(host.store.read().tokens.values()) == 70, done.stderr
