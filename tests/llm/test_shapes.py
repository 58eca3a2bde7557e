"""Dicts and unknown objects are read as SDK objects are; broken ones have a reason and are never an exception."""

from __future__ import annotations

import copy
import itertools
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypertool.llm import Missing, Reading, StreamReader, Usage, extract
from hypertool.llm.reading import extract as table
from hypertool.llm.reading import view as views
from hypertool.llm.reading.billing import of_chat
from hypertool.llm.reading.counts import usage_of
from hypertool.llm.reading.shapes import openai_chat
from tests.llm.encodings import PATIENT


def _openai(given: str, made: str) -> dict[str, Any]:
    return {
        f"{given}_tokens": 100,
        f"{made}_tokens": 50,
        "total_tokens": 150,
        f"{given}_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
        f"{made}_tokens_details": {"reasoning_tokens": 10},
    }


# Shape -> a whole response as a plain dict, and its partition.
BODIES: dict[str, tuple[dict[str, Any], Usage]] = {
    "chat": (
        {
            "model": "m",
            "id": "i",
            "choices": [{"finish_reason": "stop"}],
            "usage": _openai("prompt", "completion"),
        },
        Usage(50, 30, 20, 40, 10),
    ),
    "responses": (
        {
            "model": "m",
            "id": "i",
            "object": "response",
            "status": "completed",
            "usage": _openai("input", "output"),
        },
        Usage(50, 30, 20, 40, 10),
    ),
    "anthropic": (
        {
            "model": "m",
            "id": "i",
            "type": "message",
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": 50,
                "output_tokens": 50,
                "cache_read_input_tokens": 30,
                "cache_creation_input_tokens": 20,
                "output_tokens_details": {"thinking_tokens": 10},
            },
        },
        Usage(50, 30, 20, 40, 10),
    ),
    "gemini": (
        {
            "modelVersion": "m",
            "responseId": "i",
            "candidates": [{"finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": 80,
                "cachedContentTokenCount": 30,
                "candidatesTokenCount": 40,
                "thoughtsTokenCount": 10,
                "totalTokenCount": 130,
            },
        },
        Usage(50, 30, 0, 40, 10),
    ),
    "converse": (
        {
            "stopReason": "end_turn",
            "usage": {
                "inputTokens": 50,
                "outputTokens": 40,
                "totalTokens": 140,
                "cacheReadInputTokens": 30,
                "cacheWriteInputTokens": 20,
            },
        },
        Usage(50, 30, 20, 40),
    ),
    "langchain": (
        {
            "response_metadata": {"model_name": "m", "finish_reason": "stop"},
            "usage_metadata": {
                "input_tokens": 100,
                "output_tokens": 50,
                "total_tokens": 150,
                "input_token_details": {"cache_read": 30, "cache_creation": 20},
                "output_token_details": {"reasoning": 10},
            },
        },
        Usage(50, 30, 20, 40, 10),
    ),
    "bare": ({"model": "m", "input_tokens": 50, "output_tokens": 40}, Usage(50, output=40)),
}


def as_object(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_object(inner) for key, inner in value.items()})
    return [as_object(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("shape", BODIES)
def test_dict_object_and_stream_of_one_agree(shape: str) -> None:
    body, usage = BODIES[shape]
    reading = extract(body)
    assert reading.usage == usage
    assert extract(as_object(body)) == reading
    assert extract(MappingProxyType(body)) == reading
    if shape not in ("responses", "anthropic", "bare"):  # their streams are events, not responses
        stream = StreamReader()
        stream.feed({"metadata": body} if shape == "converse" else body)
        assert stream.finish().usage == usage
    if shape not in ("converse", "bare"):
        assert (reading.model, len(reading.finish_reasons)) == ("m", 1)


def _counts(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(body, dict):
        return [found for key, inner in body.items() for found in _counts(inner, (*path, key))]
    return [path] if isinstance(body, int) else []


HOSTILE = [-1, 10**15, 1.5, math.nan, math.inf, "12", "x", True, b"1", [1], {"a": 1}, object()]


@pytest.mark.parametrize("shape", BODIES)
def test_hostile_count_only_makes_usage_invalid(shape: str) -> None:
    """A hostile count makes the usage invalid, and changes nothing else."""
    body, _ = BODIES[shape]
    for path in _counts(body):
        if path[-1] == "totalTokens":  # is not looked at, as models differ in it
            continue
        for value in HOSTILE:
            broken = copy.deepcopy(body)
            at: Any = broken
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = value
            assert extract(broken).usage == Missing("invalid"), (path, value)
            assert extract(as_object(broken)).usage == Missing("invalid"), (path, value)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (None, "no_usage"),
        ("just text", "no_usage"),
        (b"bytes", "no_usage"),
        (3, "no_usage"),
        ({}, "unrecognised"),
        ({"answer": 42}, "unrecognised"),
        (object(), "unrecognised"),
        ([], "unrecognised"),
        ((1, 2), "unrecognised"),
        ({"usage": {"apples": 3}}, "unrecognised"),
        ({"usage": None}, "no_usage"),
        ({"choices": []}, "no_usage"),
        ({"usage": {}, "choices": []}, "no_usage"),
        ({"usage": 5}, "invalid"),
        ({"usage": "lots", "choices": []}, "invalid"),
        (mock.Mock(), "unrecognised"),
        ({"input": "hello", "output": "world"}, "unrecognised"),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": None}}, "invalid"),
        ({"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}, "no_usage"),
        ({"usage": {"total_tokens": 9, "prompt_tokens": None}}, "invalid"),
        # parts larger than the whole
        (
            {
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 15,
                    "prompt_tokens_details": {"cached_tokens": 11},
                }
            },
            "invalid",
        ),
        (
            {
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "completion_tokens_details": {"reasoning_tokens": 6},
                }
            },
            "invalid",
        ),
        (
            {
                "usage": {
                    "input_tokens": 10,
                    "output_tokens": 5,
                    "cache_creation_input_tokens": 3,
                    "cache_creation": {"ephemeral_1h_input_tokens": 4},
                }
            },
            "invalid",
        ),
        (
            {"usageMetadata": {"promptTokenCount": 10, "toolUsePromptTokenCount": 9, "cachedContentTokenCount": 11}},
            "invalid",
        ),
    ],
)
def test_what_is_not_known_is_missing_with_its_reason(response: Any, reason: str) -> None:
    assert extract(response).usage == Missing(reason)  # type: ignore[arg-type]


class Explosive:
    @property
    def usage(self) -> Any:
        raise RuntimeError("boom")


class Slots:
    __slots__ = ("model", "usage")

    def __init__(self) -> None:
        self.model, self.usage = "m", {"input_tokens": 5, "output_tokens": 2}


class Lazy:
    @property
    def usage(self) -> Any:
        return {"input_tokens": 5, "output_tokens": 2}

    @property
    def text(self) -> Any:
        raise AssertionError("a property that no shape asks for was run")


@dataclass(frozen=True)
class Tokens:
    prompt_tokens: int = 5
    completion_tokens: int = 2


@dataclass
class Answer:
    usage: Tokens = field(default_factory=Tokens)


class Pair(NamedTuple):
    usage: Any
    text: str = ""


class OurDict(dict):  # type: ignore[type-arg]
    pass


@pytest.mark.predecessor("D11")
@pytest.mark.parametrize(
    "response",
    [
        Slots(),
        Lazy(),
        Answer(),
        Pair({"input_tokens": 5, "output_tokens": 2}),
        Pair(Tokens()),
        mock.Mock(usage=mock.Mock(input_tokens=5, output_tokens=2)),
        OurDict(usage=Tokens()),
        SimpleNamespace(usage=Tokens(), model="m"),
    ],
)
def test_any_kind_of_object_is_read(response: Any) -> None:
    assert extract(response).usage == Usage(5, output=2)


def test_exploding_object_is_unrecognised_once(caplog: pytest.LogCaptureFixture) -> None:
    """An object whose attributes raise is unrecognised, and that is reported once."""
    with caplog.at_level(logging.WARNING, "hypertool"):
        for _ in range(3):
            assert extract(Explosive()) == Reading(Missing("unrecognised"))
    assert [record.message.count("Explosive") for record in caplog.records] == [1]
    stream = StreamReader()
    stream.feed(Explosive())
    assert stream.finish().usage == Missing("unrecognised")


def test_endless_new_classes_are_not_all_kept() -> None:
    """Classes that are made without end are not all remembered."""
    for number in range(2500):
        kind = type(f"Made{number}", (), {"usage": {"input_tokens": 5, "output_tokens": 2}})
        assert extract(kind()).usage == Usage(5, output=2)
    assert len(table._readers) <= 1024
    assert len(views._views) <= 1030


def _own_records() -> Iterator[dict[str, Any]]:
    """OpenAI's own record with counts that agree, that contradict each other, and that are no counts."""
    odd = (None, 0, 7, 200, -1, True, 3.0, "", "7")
    counts = [
        (100, 20, 120),
        (100, 20, 121),
        (100, 20, 0),
        (0, 0, 0),
        (-5, 25, 20),
        (10**12, 1, 10**12 + 1),
        (1.0, 2, 3),
    ]
    for (asked, made, total), cached, write, thought in itertools.product(counts, odd, odd[:5], odd):
        for heard, said in ((0, None), (5, 0), (0, 5)):
            yield {
                "prompt_tokens": asked,
                "completion_tokens": made,
                "total_tokens": total,
                "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": write, "audio_tokens": heard},
                "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": said},
            }


def test_the_quick_reader_agrees_with_the_whole_one() -> None:
    """OpenAI's own record has a reader of its own for speed; where it answers, it answers as the whole reader does."""
    answered = 0
    for record in _own_records():
        quick = openai_chat.own_usage(record)
        if quick is not None:
            answered += 1
            assert quick == usage_of(openai_chat.usage, record), record
            assert of_chat(record) is None, record
    assert answered > 10


def test_the_quick_reader_takes_openais_own_record() -> None:
    record = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": None},
    }
    assert openai_chat.own_usage(record) == Usage(60, 40, 0, 15, 5)
    assert openai_chat.own_usage({**record, "cost": 1}) is None


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(views.KNOWN)) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=25,
)


@PATIENT
@given(JUNK)
def test_no_response_raises_in_the_callers_code(junk: Any) -> None:
    """No response, whatever it is, raises an exception in the caller's code."""
    for value in (junk, as_object(junk) if _nameable(junk) else junk):
        reading = extract(value)
        assert isinstance(reading.usage, (Usage, Missing))
        if isinstance(reading.usage, Usage):
            assert reading.usage.total > 0
            assert min(reading.usage[:6]) >= 0
        stream = StreamReader()
        stream.feed(value)
        assert isinstance(stream.finish(False).usage, (Usage, Missing))


def _nameable(value: Any) -> bool:
    return all(_nameable(inner) for inner in value.values()) if isinstance(value, dict) else True
