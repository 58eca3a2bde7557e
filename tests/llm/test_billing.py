"""What a response says of its bill besides tokens reaches the cost: audio, searches, region, a stated cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hypertool import ObservableLLM, PersonaMetricsCollector
from hypertool.llm import Missing, Usage, extract
from hypertool.llm.describing.attributes import at_end
from hypertool.llm.reading.usage import Billing, Reading
from hypertool.llm.record import make_record
from tests.llm.billed_rows import BILLED, Billed
from tests.llm.calls import CHAT, counted, stream
from tests.llm.encodings import fed
from tests.llm.provider_rows import WHOLE, Row
from tests.llm.streamed import streamed
from tests.llm.test_shapes import as_object

CLAUDE = {
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "id": "m",
    "content": [],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1000, "output_tokens": 100},
}
GEMINI = {
    "modelVersion": "gemini-2.5-flash",
    "candidates": [],
    "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
}


def _with(response: dict[str, Any], key: str, **more: Any) -> dict[str, Any]:
    return {**response, key: {**response[key], **more}}


@pytest.mark.parametrize(
    ("response", "billing", "nano"),
    [
        (_with(CHAT, "usage", cost=0.0123), Billing(stated_nano_usd=12_300_000), 12_300_000),
        (
            _with(CHAT, "usage", cost=0.001, is_byok=True, cost_details={"upstream_inference_cost": 0.02}),
            Billing(stated_nano_usd=21_000_000),
            21_000_000,
        ),
        (_with(CLAUDE, "usage", server_tool_use={"web_search_requests": 3}), Billing(web_searches=3), 34_500_000),
        (_with(CLAUDE, "usage", inference_geo="us"), Billing(percent=110), 4_950_000),
        (_with(CLAUDE, "usage", inference_geo="global"), None, 4_500_000),
        (
            _with(GEMINI, "usageMetadata", promptTokensDetails=[{"modality": "AUDIO", "tokenCount": 400}]),
            Billing(audio_input=400),
            180_000 + 400_000 + 250_000,
        ),
    ],
    ids=["stated", "own_key", "searches", "region", "no_region", "audio"],
)
def test_bill_is_read_and_priced(
    metrics: PersonaMetricsCollector, response: dict[str, Any], billing: Billing | None, nano: int
) -> None:
    """The reading has it, and the cost counted is right to the nano-dollar."""
    assert extract(response).billing == billing
    ObservableLLM(lambda prompt: response, "m", metrics=metrics)("x")
    assert counted(metrics, "usd") == {("unknown", "m"): nano}


def _short(cost: Any) -> str:
    return "huge" if isinstance(cost, int) and cost > 10**9 else str(cost)


@pytest.mark.parametrize(
    "cost", [-1, float("nan"), float("inf"), True, "0.1", {"total_cost": 1}, 1e9, 10**5000, Decimal("sNaN")], ids=_short
)
def test_impossible_stated_cost_is_not_believed(metrics: PersonaMetricsCollector, cost: Any) -> None:
    """Then the price table counts, whole and streamed."""
    response = _with(CHAT, "usage", cost=cost)
    ObservableLLM(lambda prompt: response, "m", metrics=metrics)("x")
    list(ObservableLLM(stream(*streamed(response) or ()), "m", metrics=metrics)("x"))
    assert counted(metrics, "usd") == {("unknown", "m"): 2 * 450_000}


STATED = {
    "chat stated",
    "chat stated as nothing",
    "chat stated for no known model",
    "chat own key",
    "chat ticks",
    "response stated",
    "response ticks",
    "langchain stated",
    "two stated",
}


def _name(row: Billed | Row) -> str:
    return row[0].replace(" ", "-")


def _cost(reading: Reading, model: str = "m") -> int | None:
    return make_record("p", "c", model, "success", 1.0, reading).nano_usd


@pytest.mark.parametrize("row", BILLED, ids=_name)
def test_response_costs_what_it_is_billed(row: Billed) -> None:
    """The cost of a whole response is right to the nano-dollar, as a dict and as an object."""
    assert _cost(extract(row[1])) == row[2]
    whole = row[1] if isinstance(row[1], list) else [row[1]]
    assert _cost(extract([as_object(one) for one in whole])) == row[2]


@pytest.mark.parametrize("row", BILLED, ids=_name)
def test_stream_costs_what_it_is_billed(row: Billed) -> None:
    """The streamed form costs the same, and says as the whole one does whether the provider stated it."""
    chunks = streamed(row[1])
    assert chunks is not None
    found, whole = fed(chunks).finish(), extract(row[1])
    assert _cost(found) == _cost(extract(chunks)) == row[2]
    assert found.billing == whole.billing
    # LangChain's records are dicts in its objects, too.
    if "AIMessageChunk" not in str(chunks):
        assert _cost(fed([as_object(chunk) for chunk in chunks]).finish()) == row[2]


@pytest.mark.parametrize("row", BILLED, ids=_name)
def test_stated_cost_is_marked_on_the_span(row: Billed) -> None:
    """Whole and streamed alike: only where the provider stated the cost of the whole call."""
    chunks = streamed(row[1])
    assert chunks is not None
    for reading in (extract(row[1]), fed(chunks).finish()):
        said = at_end(make_record("p", "c", "m", "success", 1.0, reading), None)
        assert said.get("hypertool.cost_stated", False) == (row[0] in STATED)


@pytest.mark.parametrize("row", BILLED, ids=_name)
def test_cut_stream_states_no_cost(row: Billed) -> None:
    """A stream that ends before its usage is missing, and nothing of its bill is believed."""
    chunks = streamed(row[1])
    assert chunks is not None
    for where in range(len(chunks)):
        reader = fed(chunks[:where])
        found = reader.finish(complete=False)
        if isinstance(found.usage, Missing):
            assert found.billing is None
            assert found.parts == ()
            assert _cost(found) is None
        else:
            assert reader.settled


@pytest.mark.parametrize("row", [row for row in WHOLE if streamed(row[1]) is not None], ids=_name)
@pytest.mark.parametrize("model", ["gpt-4o", "gemini-2.5-flash"])
def test_stream_costs_as_its_whole_response(row: Row, model: str) -> None:
    """Each documented response that can be streamed has the same usage, bill and cost either way."""
    chunks = streamed(row[1])
    assert chunks is not None
    found, whole = fed(chunks).finish(), extract(row[1])
    assert (found.usage, found.billing, found.service_tier) == (whole.usage, whole.billing, whole.service_tier)
    # A dict may not say whose it is where the events of a stream do.
    priced = [one._replace(provider=None, model=None) for one in (found, whole)]
    assert _cost(priced[0], model) == _cost(priced[1], model)
    assert (_cost(priced[0], model) is not None) == isinstance(whole.usage, Usage)


def test_streamed_call_is_counted_at_the_stated_cost(metrics: PersonaMetricsCollector) -> None:
    """The cost in the last chunk is what an observed call counts; a call that was cut off counts none."""
    chunks = streamed(_with(CHAT, "usage", cost=0.0123))
    assert chunks is not None
    observed = ObservableLLM(stream(*chunks), "m", metrics=metrics)
    list(observed("x"))
    cut = ObservableLLM(stream(*chunks[:-1], error=ConnectionError("gone")), "m", metrics=metrics)
    with pytest.raises(ConnectionError):
        list(cut("x"))
    assert counted(metrics, "usd") == {("unknown", "m"): 12_300_000}


@pytest.mark.parametrize(
    ("package", "provider"), [("groq", "groq"), ("together", "together_ai"), ("cerebras", "cerebras")]
)
def test_stream_of_an_sdk_names_its_provider(package: str, provider: str) -> None:
    """An SDK's chunks are of the provider that its responses are of, so that both have one price."""

    def made(name: str, fields: dict[str, Any]) -> Any:
        one = type(name, (), {"__module__": f"{package}.types.chat"})()
        vars(one).update(fields)
        return one

    chunks = [made("ChatCompletionChunk", fields) for fields in streamed(CHAT) or ()]
    assert fed(chunks).finish().provider == extract(made("ChatCompletion", CHAT)).provider == provider
