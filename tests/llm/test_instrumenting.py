"""`hypertool.instrument()`: patches modules whenever they are imported, imports nothing itself, and can be undone.

The calls of the real SDKs are in sdk/instrumented.py; here a small package stands where an SDK would.
"""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hypertool
from hypertool import ObservableLLM, PersonaMetricsCollector
from hypertool.llm.instrumenting import instrument as instrumenting
from hypertool.llm.instrumenting.instrumentor import HypertoolInstrumentor
from hypertool.llm.instrumenting.targets import Target
from tests.llm.calls import counted

SDK = """
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
class Client:
    def create(self, *, model, messages, metadata=None):
        return {"object": "chat.completion", "model": model, "choices": [], "usage": USAGE, "metadata": metadata}
class AsyncClient:
    async def create(self, *, model, messages):
        return Client().create(model=model, messages=messages)
"""
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": []}


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package that is installed, not loaded, and in the table."""
    (tmp_path / "house_sdk.py").write_text(SDK)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    targets = tuple(Target("house_sdk", "house_sdk", owner, ("create",)) for owner in ("Client", "AsyncClient"))
    monkeypatch.setattr(instrumenting, "TARGETS", targets)
    yield "house_sdk"
    hypertool.uninstrument()
    sys.modules.pop("house_sdk", None)


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded_before", "loaded_after"])
def test_sdk_is_patched_whenever_it_is_loaded(metrics: PersonaMetricsCollector, sdk: str, loaded: bool) -> None:
    """A module that is loaded is patched at once, another one when it is imported."""
    if loaded:
        importlib.import_module(sdk)
    hypertool.instrument(metrics=metrics, persona="backend-engineer")
    importlib.import_module(sdk).Client().create(**ASK)
    assert counted(metrics, "llm") == {("backend-engineer", "gpt-4o", "success"): 1}


def test_nothing_is_imported_for_it(sdk: str) -> None:
    """Installed SDKs that the program does not use are not loaded."""
    hypertool.instrument()
    assert sdk not in sys.modules


def test_uninstrument_restores_the_very_functions(metrics: PersonaMetricsCollector, sdk: str) -> None:
    """After undoing, the class has the functions that it had, and a module loaded later is not patched."""
    module = importlib.import_module(sdk)
    before = [module.Client.create, module.AsyncClient.create]
    hypertool.instrument(metrics=metrics)
    assert [module.Client.create, module.AsyncClient.create] != before
    hypertool.uninstrument()
    assert [module.Client.create, module.AsyncClient.create] == before


def test_patch_that_others_wrapped_is_retired(metrics: PersonaMetricsCollector, sdk: str) -> None:
    """A wrapper by the user stays theirs after undoing; it passes through and counts nothing."""
    module = importlib.import_module(sdk)
    hypertool.instrument(metrics=metrics)
    ours = module.Client.create
    module.Client.create = lambda self, **ask: ours(self, **ask)
    hypertool.uninstrument()
    module.Client().create(**ASK)
    assert counted(metrics, "llm") == {}


def test_instrument_again_after_undoing(metrics: PersonaMetricsCollector, sdk: str) -> None:
    """Switching on, off and on again counts each call once."""
    for _ in range(2):
        hypertool.instrument(metrics=metrics)
        hypertool.instrument(metrics=metrics)
        importlib.import_module(sdk).Client().create(**ASK)
        hypertool.uninstrument()
    assert counted(metrics, "llm") == {("unknown", "gpt-4o", "success"): 2}


def test_wrapped_patched_method_counts_once(metrics: PersonaMetricsCollector, sdk: str) -> None:
    """A wrapper around a patched method is the one that counts, under its own model."""
    hypertool.instrument(metrics=metrics)
    client = importlib.import_module(sdk).Client()
    ObservableLLM(client.create, "declared", metrics=metrics)(**ASK, persona="backend-engineer")
    assert counted(metrics, "llm") == {("backend-engineer", "declared", "success"): 1}


def test_patched_arguments_are_the_sdks(metrics: PersonaMetricsCollector, sdk: str) -> None:
    """`metadata` is the SDK's own parameter here, and arrives."""
    hypertool.instrument(metrics=metrics)
    client = importlib.import_module(sdk).Client()
    assert client.create(**ASK, metadata={"a": 1})["metadata"] == {"a": 1}
    with pytest.raises(TypeError, match="persona"):
        client.create(**ASK, persona="backend-engineer")


def test_async_method_stays_one(metrics: PersonaMetricsCollector, sdk: str) -> None:
    """An async method is awaited as before, and counted."""
    hypertool.instrument(metrics=metrics)
    asyncio.run(importlib.import_module(sdk).AsyncClient().create(**ASK))
    assert counted(metrics, "llm") == {("unknown", "gpt-4o", "success"): 1}


def test_opentelemetry_entry_point_switches_it_on(sdk: str) -> None:
    """`opentelemetry-instrument` finds us by the entry point of the distribution."""
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    assert f'hypertool = "{HypertoolInstrumentor.__module__}:{HypertoolInstrumentor.__name__}"' in text
    module = importlib.import_module(sdk)
    before = module.Client.create
    HypertoolInstrumentor().instrument(tracer_provider=None)
    assert module.Client.create is not before
    HypertoolInstrumentor().uninstrument()
    assert module.Client.create is before


def test_instrument_without_any_sdk_is_quiet(tmp_path: Path) -> None:
    """Where no SDK is installed there is nothing to do, and nothing to say."""
    code = "import hypertool; hypertool.instrument(); hypertool.uninstrument()"
    root = Path(__file__).resolve().parents[2] / "instrumentation"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
