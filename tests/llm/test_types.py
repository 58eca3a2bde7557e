"""What type checkers and `inspect` see of an observed function is what they saw of the function itself."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector, observe_llm
from tests.dashboards.npm import installed
from tests.llm.calls import CHAT, CHUNK, LAST, counted

HERE = Path(__file__).resolve().parent
KINDS = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    asyncio.iscoroutinefunction,
)


def plain(prompt: str) -> Any:
    return CHAT


async def later(prompt: str) -> Any:
    return CHAT


def streamed(prompt: str) -> Iterator[Any]:
    yield CHUNK
    yield LAST


async def streamed_later(prompt: str) -> AsyncIterator[Any]:
    yield CHUNK
    yield LAST


class Callables:
    """Objects whose call is async, or generates."""

    async def __call__(self, prompt: str) -> Any:
        return CHAT


def test_mypy_sees_real_return_types() -> None:
    """mypy --strict sees the types that typed_program.py asserts: wrapped, decorated, sync, async."""
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.11", str(HERE / "typed_program.py")]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_sees_real_return_types() -> None:
    """pyright sees them, too; it infers what mypy asks to be written."""
    pyright = installed("pyright") / "node_modules" / "pyright" / "index.js"
    command = ["node", pyright, "--pythonpath", sys.executable, "--pythonversion", "3.11", HERE / "typed_program.py"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1] / "instrumentation")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("function", [plain, later, streamed, streamed_later])
@pytest.mark.parametrize("observe", [lambda f: ObservableLLM(f, "m"), observe_llm("m")], ids=["wrapped", "decorated"])
def test_inspect_sees_the_kind_of_function(observe: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Starlette and LangChain decide by `inspect` how to call a function: coroutine and generator functions stay so."""
    observed = observe(function)
    assert [kind(observed) for kind in KINDS] == [kind(function) for kind in KINDS]
    assert inspect.signature(observed) == inspect.signature(function)


def test_inspect_sees_async_callable_objects() -> None:
    """An object whose `__call__` is async is a coroutine function once it is wrapped."""
    assert inspect.iscoroutinefunction(ObservableLLM(Callables(), "m"))


def test_decorated_generator_methods_bind(metrics: PersonaMetricsCollector) -> None:
    """A decorated generator works as a method, and is counted."""

    class Client:
        @observe_llm("m", metrics=metrics)
        def stream(self, prompt: str) -> Iterator[Any]:
            yield {**CHUNK, "of": self}
            yield LAST

    client = Client()
    assert inspect.isgeneratorfunction(client.stream)
    assert next(iter(client.stream("x")))["of"] is client
    assert list(client.stream("x"))[-1] is LAST
    assert counted(metrics, "llm")["unknown", "m", "success"] == 1


@pytest.mark.parametrize("function", [plain, later, streamed, streamed_later])
def test_wrapped_functions_can_be_pickled(function: Callable[..., Any]) -> None:
    """Process pools send functions by pickle; looking like a function must not get in the way."""
    assert pickle.loads(pickle.dumps(ObservableLLM(function, "m"))).model == "m"


def test_wrapping_does_not_load_asyncio() -> None:
    """asyncio takes a quarter of the start-up; a synchronous program never loads it."""
    program = (
        "import sys; from hypertool import ObservableLLM, TokenBudgetExceeded\n"
        "class Bad(Exception): pass\n"
        "def fail(prompt): raise Bad\n"
        "ObservableLLM(lambda p: 'text', 'm', metrics=False)('x')\n"
        "try: ObservableLLM(fail, 'm', metrics=False)('x')\n"
        "except Bad: pass\n"
        "sys.exit('asyncio' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HERE.parents[1] / "instrumentation", timeout=60, check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "model"),
    [
        (lambda model, messages: CHAT, ("gpt-4o", []), {}, "gpt-4o"),
        (lambda **request: CHAT, (), {"model": "gpt-4o", "messages": []}, "gpt-4o"),
        (lambda **request: CHAT, (), {"modelId": "amazon.nova-lite-v1:0"}, "amazon.nova-lite-v1:0"),
        (lambda prompt: CHAT, ("x",), {}, "gpt-4o-2024-08-06"),
        (lambda prompt: "text", ("x",), {}, "unknown"),
    ],
    ids=["positional", "keyword", "bedrock", "response", "nowhere"],
)
def test_model_none_is_taken_from_the_call(
    metrics: PersonaMetricsCollector, function: Any, args: Any, kwargs: Any, model: str
) -> None:
    """Without a model of its own a wrapper takes each call's: from the arguments, else from the response."""
    ObservableLLM(function, None, metrics=metrics)(*args, **kwargs)
    assert counted(metrics, "llm") == {("unknown", model, "success"): 1}


def test_model_none_is_taken_from_the_client(metrics: PersonaMetricsCollector) -> None:
    """A bound method of a client that names its model (LangChain) gives its calls that model."""

    class Chat:
        model_name = "claude-sonnet-4-5"

        def invoke(self, prompt: str) -> Any:
            return CHAT

    ObservableLLM(Chat().invoke, metrics=metrics)("x")
    assert counted(metrics, "llm") == {("unknown", "claude-sonnet-4-5", "success"): 1}
