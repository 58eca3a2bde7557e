"""What observes LLM calls can be copied and pickled, as the functions that it observes can."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import hypertool
from hypertool import LangfuseIntegration, ObservableLLM, PersonaMetricsCollector, observe_llm
from tests.llm.calls import CHAT, counted


def answer(prompt: str) -> dict[str, Any]:
    return dict(CHAT)


@observe_llm("chunks")
def chunks(prompt: str) -> Iterator[str]:
    yield prompt


class Team:
    """As frameworks copy their agents: with clients, histories and an LLM inside."""

    def __init__(self, metrics: PersonaMetricsCollector) -> None:
        self.llm = ObservableLLM(self.ask, "team", metrics=metrics, default_persona="testing-specialist")
        self.metrics = metrics
        self.asked: list[str] = []

    def ask(self, prompt: str) -> dict[str, Any]:
        self.asked.append(prompt)
        return dict(CHAT)


class Named(ObservableLLM[..., Any]):
    def __init__(self, name: str) -> None:
        super().__init__(answer, f"model of {name}", default_chatmode="bug-fix", provider="openai")
        self.name = name


def test_deep_copy_calls_its_own_function(metrics: PersonaMetricsCollector) -> None:
    """A copied object's LLM calls the copy's method, and counts in the same collector."""
    team = Team(metrics)
    other = copy.deepcopy(team)
    other.llm("one")
    assert (team.asked, other.asked) == ([], ["one"])
    assert other.metrics is metrics
    assert sum(counted(metrics, "tok").values()) == 120


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_copy_of_a_subclass_keeps_all(again: Any) -> None:
    """Its own attributes, the settings of its calls, and what `inspect` sees."""
    made = again(Named("ann"))
    assert (type(made), made.name, made.model) == (Named, "ann", "model of ann")
    assert made._observed.caller.setting == Named("ann")._observed.caller.setting
    assert made.__wrapped__ is answer
    assert made("x") == CHAT


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_shared_things_stay_shared(again: Any) -> None:
    """The process's collector and a decorated generator function are what they were."""
    assert again(hypertool.get_persona_metrics()) is hypertool.get_persona_metrics()
    assert again(chunks) is chunks


def test_pickle_holds_no_key() -> None:
    """A pickled integration takes the keys of the process that reads it."""
    ours = LangfuseIntegration("pk-lf-1", "sk-lf-secret", "http://localhost:1")
    written = pickle.dumps(ours)
    assert b"sk-lf" not in written
    assert pickle.loads(written) is hypertool.get_langfuse_integration()
    assert copy.deepcopy({"langfuse": ours})["langfuse"] is ours


def test_collector_of_its_own_stays_here(metrics: PersonaMetricsCollector) -> None:
    """A registry belongs to its process: the error says so."""
    with pytest.raises(TypeError, match="registry of its own cannot be sent to another process"):
        pickle.dumps(ObservableLLM(answer, "m", metrics=metrics))
