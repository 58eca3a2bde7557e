"""Prompts and completions of any provider, where they were asked for, are messages of the GenAI conventions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypertool.llm.describing import messages as content
from hypertool.llm.describing.fingerprint import fingerprint
from hypertool.llm.describing.messages import CONTENT_LIMIT, input_messages, output_messages, system_instructions
from hypertool.llm.describing.transcript import Transcript
from tests.support.hypertool_host import Host

WEATHER = {"type": "tool_call", "id": "t1", "name": "weather", "arguments": '{"city": "Paris"}'}
RAIN = {"type": "tool_call_response", "id": "t1", "response": "rain"}


@pytest.fixture(autouse=True)
def _isolated(own_settings: None) -> None:
    """Settings of its own for every test."""


def said(role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}], **more}


def part(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


PROMPTS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "text": ("hi", [said("user", "hi")]),
    "openai": (
        [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [part("hi")]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "rain"},
        ],
        [
            said("system", "be kind"),
            said("user", "hi"),
            {"role": "assistant", "parts": [WEATHER]},
            {"role": "tool", "parts": [RAIN]},
        ],
    ),
    "openai responses": (
        [
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "function_call", "call_id": "t1", "name": "weather", "arguments": '{"city": "Paris"}'},
            {"type": "function_call_output", "call_id": "t1", "output": "rain"},
        ],
        [said("user", "hi"), {"role": "user", "parts": [WEATHER]}, {"role": "user", "parts": [RAIN]}],
    ),
    "anthropic": (
        [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Paris"}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [part("rain")]}]},
        ],
        [
            said("user", "hi"),
            {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, WEATHER]},
            {"role": "user", "parts": [RAIN]},
        ],
    ),
    "gemini": (
        [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"function_call": {"id": "t1", "name": "weather", "args": {"city": "Paris"}}}]},
            {"role": "user", "parts": [{"function_response": {"id": "t1", "name": "weather", "response": "rain"}}]},
        ],
        [said("user", "hi"), {"role": "assistant", "parts": [WEATHER]}, {"role": "user", "parts": [RAIN]}],
    ),
    "bedrock": (
        [
            {"role": "user", "content": [{"text": "hi"}]},
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Paris"}}}],
            },
            {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "rain"}]}}]},
        ],
        [said("user", "hi"), {"role": "assistant", "parts": [WEATHER]}, {"role": "user", "parts": [RAIN]}],
    ),
    "an image": (
        [{"role": "user", "content": [part("see"), {"type": "image_url", "image_url": {"url": "data:AAAA"}}]}],
        [{"role": "user", "parts": [{"type": "text", "content": "see"}, {"type": "image_url"}]}],
    ),
}


@pytest.mark.parametrize("shape", PROMPTS)
def test_prompts_of_every_provider_are_equal_messages(shape: str) -> None:
    """Prompts of every provider become the same messages."""
    prompt, messages = PROMPTS[shape]
    assert json.loads(input_messages(prompt)) == messages


_CALL = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
RESPONSES: dict[str, Any] = {
    "openai": {
        "choices": [
            {"finish_reason": "stop", "message": {"role": "assistant", "content": "sun", "tool_calls": [_CALL]}}
        ]
    },
    "anthropic": {
        "type": "message",
        "role": "assistant",
        "stop_reason": "stop",
        "content": [part("sun"), {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Paris"}}],
    },
    "gemini": {
        "candidates": [
            {
                "finish_reason": "stop",
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "sun"},
                        {"function_call": {"id": "t1", "name": "weather", "args": {"city": "Paris"}}},
                    ],
                },
            }
        ]
    },
    "bedrock": {
        "stopReason": "stop",
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"text": "sun"},
                    {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Paris"}}},
                ],
            }
        },
    },
}


@pytest.mark.parametrize("shape", RESPONSES)
def test_completions_of_every_provider_are_equal(shape: str) -> None:
    """Completions of every provider become the same message."""
    assert json.loads(output_messages(RESPONSES[shape])) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "sun"}, WEATHER], "finish_reason": "stop"}
    ]


def _delta(**delta: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"delta": delta, "finish_reason": None}]}


def _block(**delta: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": 1, "delta": delta}}


STREAMS: dict[str, list[Any]] = {
    "openai": [
        _delta(content="su"),
        _delta(content="n"),
        _delta(tool_calls=[{"index": 0, "id": "t1", "function": {"name": "weather", "arguments": '{"city": '}}]),
        _delta(tool_calls=[{"index": 0, "function": {"arguments": '"Paris"}'}}]),
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {}},
    ],
    "anthropic": [
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "index": 0, "content_block": part("")},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "su"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "n"}},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t1", "name": "weather", "input": {}},
        },
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '{"city": "Paris"}'},
        },
        {"type": "message_delta", "delta": {"stop_reason": "stop"}},
        {"type": "message_stop"},
    ],
    "gemini": [
        {"candidates": [{"content": {"parts": [{"text": "su"}]}}]},
        {
            "candidates": [
                {
                    "finish_reason": "stop",
                    "content": {
                        "parts": [
                            {"text": "n"},
                            {"function_call": {"id": "t1", "name": "weather", "args": {"city": "Paris"}}},
                        ]
                    },
                }
            ]
        },
    ],
    "bedrock": [
        {"messageStart": {"role": "assistant"}},
        _block(text="su"),
        _block(text="n"),
        {"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t1", "name": "weather"}}}},
        _block(toolUse={"input": '{"city": '}),
        _block(toolUse={"input": '"Paris"}'}),
        {"messageStop": {"stopReason": "stop"}},
    ],
}


@pytest.mark.parametrize("shape", STREAMS)
def test_stream_is_assembled_to_the_whole_response(shape: str) -> None:
    """A stream is assembled to what the provider would have sent whole."""
    transcript = Transcript()
    for chunk in STREAMS[shape]:
        transcript.feed(chunk)
    assert json.loads(output_messages(transcript.response())) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "sun"}, WEATHER], "finish_reason": "stop"}
    ]


def test_closing_event_of_responses_is_the_whole() -> None:
    """The closing event of an OpenAI Responses stream is the whole response."""
    transcript = Transcript()
    transcript.feed({"type": "response.output_text.delta", "delta": "su"})
    assert "su" in output_messages(transcript.response()), "where it is cut, what came so far"
    transcript.feed(
        {
            "type": "response.completed",
            "response": {
                "output": [
                    {"type": "reasoning", "summary": [{"text": "hm"}]},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "sun"}]},
                ]
            },
        }
    )
    assert json.loads(output_messages(transcript.response())) == [
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}]},
        said("assistant", "sun"),
    ]


def test_a_credential_that_comes_in_pieces_is_redacted() -> None:
    transcript = Transcript()
    for piece in ("the key is sk-pr", "oj-abcd", "efgh1234", "5678, use it"):
        transcript.feed(_delta(content=piece))
    assert json.loads(output_messages(transcript.response()))[0]["parts"][0]["content"] == (
        "the key is [redacted], use it"
    )


def test_secrets_in_arguments_are_known_by_their_names() -> None:
    call = {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "1", "name": "log_in", "input": {"user": "ada", "password": "correct horse"}}
        ],
    }
    found = input_messages([call])
    assert "correct horse" not in found
    assert "ada" in found


def test_newest_messages_have_room_first() -> None:
    """The newest messages are kept first, and the number of those left out is recorded."""
    prompt = [{"role": "user", "content": f"{number} " + "x" * 3000} for number in range(10)]
    messages = json.loads(input_messages(prompt))
    assert messages[0]["parts"] == [{"type": "omitted", "messages": 7}]
    assert messages[-1]["parts"][0]["content"].startswith("9 x")
    assert sum(len(m["parts"][0].get("content", "")) for m in messages) <= CONTENT_LIMIT + 3


MANY = 50_000
CALL = {"id": "call-1", "function": {"name": "f", "arguments": "{}"}}
CROWDS: dict[str, list[dict[str, Any]]] = {
    "messages without text": [{"role": "user", "content": ""}] * MANY,
    "messages": [{"role": "user", "content": "x"}] * MANY,
    "parts without text": [{"role": "user", "content": [{"type": "text", "text": ""}] * MANY}],
    "pictures": [{"role": "user", "content": [{"type": "image", "source": {"data": "A"}}] * MANY}],
    "unknown parts": [{"role": "user", "content": [{"type": "odd"}] * MANY}],
    "calls of tools": [{"role": "assistant", "content": None, "tool_calls": [CALL] * MANY}],
}


@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.shared_host("S26")
def test_parts_without_text_take_room_too(crowd: str) -> None:
    """What is looked at in the caller's thread, and sent, is bounded by number as well as by length."""
    given = CROWDS[crowd]
    message = {"role": "assistant", **given[-1]}
    for found in (input_messages(given), output_messages({"choices": [{"message": message}] * MANY})):
        assert len(found) < 4 * CONTENT_LIMIT
        assert sum(len(one["parts"]) for one in json.loads(found)) < 600


def test_a_stream_without_end_is_kept_within_bounds() -> None:
    transcript = Transcript()
    for _ in range(100_000):
        transcript.feed(_delta(content="x" * 10))
    assert len(output_messages(transcript.response())) < CONTENT_LIMIT + 200


class Hostile:
    """Whatever is looked at fails."""

    role = "user"

    @property
    def content(self) -> Any:
        raise RuntimeError


@pytest.mark.parametrize("odd", [Hostile(), [Hostile()], 5, b"bytes", {"a": 1}, [], [None], object(), [[["x"]]]])
def test_nothing_that_is_given_raises(odd: Any) -> None:
    assert isinstance(json.loads(input_messages(odd)), list)
    assert isinstance(json.loads(output_messages(odd)), list)
    transcript = Transcript()
    transcript.feed(odd)
    assert isinstance(json.loads(output_messages(transcript.response())), list)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"system": "be kind"}, "be kind"),
        ({"system": [part("be kind")]}, "be kind"),
        ({"instructions": "be kind"}, "be kind"),
        ({"config": {"system_instruction": "be kind"}}, "be kind"),
    ],
)
def test_instructions_as_an_argument_of_their_own(arguments: dict[str, Any], text: str) -> None:
    """Instructions can be an argument of their own."""
    assert json.loads(system_instructions(arguments) or "") == [{"type": "text", "content": text}]
    assert system_instructions({"temperature": 1}) is None


@pytest.mark.parametrize(
    ("value", "records"),
    [
        ("SPAN_ONLY", True),
        ("span_and_event", True),
        ("true", True),
        ("", False),
        ("NO_CONTENT", False),
        ("false", False),
        ("EVENT_ONLY", False),
        ("yes please", False),
    ],
)
def test_contents_are_recorded_by_choice_only(
    value: str, records: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(content.VARIABLE, value)
    assert content.captures.__wrapped__() is records
    odd = value in ("EVENT_ONLY", "yes please")
    assert [content.VARIABLE in record.getMessage() for record in caplog.records] == [True] * odd


# The fingerprint


def test_only_equal_prompts_have_equal_fingerprints() -> None:
    """Equal prompts have equal fingerprints, and different ones do not."""
    chat = [{"role": "user", "content": "hi"}]
    assert fingerprint("hi") == fingerprint("".join(["h", "i"])) != fingerprint("ho")
    assert fingerprint(chat) == fingerprint([{"role": "user", "content": "".join(["h", "i"])}])
    assert fingerprint(chat) != fingerprint([{"role": "system", "content": "hi"}])
    assert fingerprint(None) is None
    assert fingerprint("a\ud800") is not None


def test_fingerprints_of_objects_have_no_addresses() -> None:
    """Fingerprints of SDK objects do not depend on where the objects are in memory."""

    class Message:
        def __init__(self, text: str) -> None:
            self.role, self.content = "user", text

    assert fingerprint([Message("hi")]) == fingerprint([Message("hi")]) != fingerprint([Message("ho")])
    endless: list[Any] = []
    endless.append(endless)
    fingerprint(endless)


def test_the_fingerprint_is_keyed_by_the_host(tmp_path: Path) -> None:
    hosts = [Host(tmp_path / name) for name in ("one", "two")]
    code = "from hypertool.llm.describing.fingerprint import fingerprint; print(fingerprint('yes'))"
    first, again, other = (host.python(code).stdout for host in (hosts[0], *hosts))
    assert first == again != other
    assert len(first.strip()) == 16
    key = hosts[0].state / "fingerprint.key"
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o660, 32)
    key.write_bytes(b"short")
    assert hosts[0].python(code).stdout not in (first, other), "a damaged key is made anew"
