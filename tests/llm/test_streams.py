"""A stream gives what the whole response gives, or says that it was cut; it never gives a part for the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypertool.llm import Missing, StreamReader, Usage, extract
from tests.llm.encodings import ENCODINGS, PATIENT, Encoding

COUNTS = st.integers(min_value=0, max_value=10**6)
# A prompt is never empty, nor are its fresh tokens where the cache holds all but the last of it.
USAGES = st.tuples(st.integers(min_value=1, max_value=10**6), COUNTS, COUNTS, COUNTS, COUNTS).map(
    lambda parts: Usage(*parts)
)
TEXTS = st.lists(st.text(max_size=3), max_size=4)


def _read(chunks: list[object], complete: bool = True) -> StreamReader:
    reader = StreamReader()
    for chunk in chunks:
        reader.feed(chunk)
    return reader


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
@PATIENT
@given(usage=USAGES, texts=TEXTS)
def test_a_stream_reads_as_the_whole_response_does(encoding: Encoding, usage: Usage, texts: list[str]) -> None:
    expected = encoding.keeps(usage)
    assert extract(encoding.whole(usage)).usage == expected
    reader = _read(encoding.stream(usage, texts))
    assert reader.settled
    assert reader.finish(complete=True).usage == expected
    assert reader.finish(complete=False).usage == expected


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
@PATIENT
@given(usage=USAGES, texts=TEXTS, where=st.integers(min_value=0, max_value=9))
def test_cut_stream_is_whole_or_missing(encoding: Encoding, usage: Usage, texts: list[str], where: int) -> None:
    """A cut stream's usage is whole or missing, and never partial."""
    chunks = encoding.stream(usage, texts)
    reader = _read(chunks[:where])
    found = reader.finish(complete=False).usage
    assert found == (encoding.keeps(usage) if reader.settled else Missing("stream_cut"))
    if not any(name in str(chunk) for chunk in chunks[:where] for name in ("usage", "Metrics", "eval_count")):
        assert not reader.settled


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
@PATIENT
@given(usage=USAGES, noise=st.lists(st.sampled_from(["", b"", None, 3, {"x": 1}, ()]), max_size=3))
def test_chunks_that_say_nothing_change_nothing(encoding: Encoding, usage: Usage, noise: list[object]) -> None:
    chunks = [chunk for piece in encoding.stream(usage, ["a", "b"]) for chunk in (*noise, piece)]
    assert _read([*chunks, *noise]).finish().usage == encoding.keeps(usage)


@pytest.mark.parametrize(
    ("chunks", "complete", "reason"),
    [
        ([], True, "unrecognised"),
        ([], False, "stream_cut"),
        (["a", "b"], True, "no_usage"),
        (["a", "b"], False, "stream_cut"),
        ([{"apples": 1}], True, "unrecognised"),
        ([{"choices": [{"finish_reason": "stop"}]}], True, "no_usage"),
        (
            [{"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}],
            True,
            "stream_cut",
        ),
        ([{"type": "response.created", "response": {}}], True, "stream_cut"),
        ([{"choices": [], "usage": {"prompt_tokens": -5, "completion_tokens": 9, "total_tokens": 4}}], True, "invalid"),
        ([{"choices": [], "usage": {"prompt_tokens": float("nan"), "completion_tokens": 9}}], True, "invalid"),
        ([{"chunk": {"bytes": b'{"amazon-bedrock-invocationMetrics": broken'}}], True, "unrecognised"),
    ],
)
def test_a_stream_that_does_not_tell_says_why(chunks: list[object], complete: bool, reason: str) -> None:
    assert _read(chunks).finish(complete).usage == Missing(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1, 1.5, float("nan"), "5", True, 10**15])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_hostile_part_does_not_vanish_in_the_sum(value: object, place: int) -> None:
    """A hostile part of a LangChain stream does not vanish in the sum."""
    chunks: list[object] = []
    for number in range(3):
        count = value if number == place else 5
        chunks.append(
            {"response_metadata": {}, "usage_metadata": {"input_tokens": count, "output_tokens": 1, "total_tokens": 6}}
        )
    assert _read(chunks).finish().usage == Missing("invalid")


def test_cumulative_counts_are_never_taken_back() -> None:
    chunks: list[object] = [
        {
            "type": "message_start",
            "message": {"usage": {"input_tokens": 50, "cache_read_input_tokens": 8, "output_tokens": 1}},
        },
        {
            "type": "message_delta",
            "delta": {},
            "usage": {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 12},
        },
    ]
    assert _read(chunks).finish().usage == Usage(50, 8, output=12)


def test_the_reader_keeps_no_chunk() -> None:
    class Chunk:
        def __init__(self) -> None:
            self.choices: list[object] = []

    import weakref

    reader, chunk = StreamReader(), Chunk()
    ghost = weakref.ref(chunk)
    reader.feed(chunk)
    del chunk
    assert ghost() is None


def _chunk(**fields: object) -> object:
    """A chunk of OpenAI's own class with these fields only, as its servers' imitators leave them out."""
    made = type("ChatCompletionChunk", (), {"__module__": "openai.types.chat"})()
    made.__dict__.update(fields)
    return made


USED = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
PIECE = _chunk(finish_reason=None)


@pytest.mark.parametrize(
    "odd",
    [
        _chunk(),
        _chunk(choices=None, usage=None),
        _chunk(choices=[], usage=None),
        _chunk(choices=5),
        _chunk(choices=[PIECE]),
        _chunk(choices=[PIECE, PIECE], usage=None),
        _chunk(choices=[_chunk()], usage=None),
    ],
    ids=["nothing", "no choices", "empty", "a number", "no usage", "two choices", "no finish reason"],
)
def test_sdk_chunk_without_a_field_is_no_end(odd: object) -> None:
    """The quick look at OpenAI's chunks takes whatever lacks a field for a piece; the usage after it counts."""
    last = _chunk(choices=[], usage=USED)
    reading = _read([_chunk(id="c", choices=[PIECE], usage=None), odd, last]).finish()
    assert reading.usage == Usage(5, 0, 0, 2, 0)


def test_gemini_stream_goes_on_after_its_end() -> None:
    """Code execution ends an answer and goes on under the same id: cut in between, its usage is not final."""

    def chunk(given: int, made: int, stop: str | None) -> dict[str, object]:
        counts = {"promptTokenCount": given, "candidatesTokenCount": made, "totalTokenCount": given + made}
        return {"responseId": "r", "candidates": [{"finishReason": stop}], "usageMetadata": counts}

    chunks: list[object] = [chunk(330, 60, "STOP"), chunk(665, 73, None), chunk(665, 93, "STOP")]
    assert _read(chunks[:2]).finish(complete=False).usage == Missing("stream_cut")
    assert _read(chunks).finish().usage == Usage(665, 0, 0, 93, 0)
