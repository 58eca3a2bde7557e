"""LangChain messages, chunks, results and events.

An integration may leave the provider's own record in `response_metadata`; it is read as well as `usage_metadata`, and
the more complete of the two counts. Only the provider's record has Anthropic's compactions, and Mistral's and
Moonshot's cached tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import billing
from .answers import Answers
from .counts import usage_of
from .fields import Fields, quick_reading, text, tier
from .providers import provider_name
from .records import BILLS, read_usage, reader_of
from .shapes.langchain import grown, usage
from .sums import added
from .usage import NO_USAGE, Billing, Missing, Reading, Usage
from .view import view


def response(fields: Fields, provider: str | None) -> Reading:
    """An AIMessage: `usage_metadata`, and the provider's record in `response_metadata`."""
    get = fields.get
    about = view(get("response_metadata"))
    record = get("usage_metadata")
    raw = about.get("token_usage") or about.get("usage") or about.get("usage_metadata")
    if raw is None and "prompt_eval_count" in about:
        raw = about
    found = usage_of(usage, record)
    if raw is not None and get("type") != "AIMessageChunk":  # adding up chunks also adds up their metadata
        found = _fuller(found, raw)
    else:
        raw = None
    stop = text(about.get("finish_reason") or about.get("stop_reason") or about.get("stopReason"))
    named = provider_name(about.get("model_provider") or about.get("ls_provider"))
    return quick_reading(
        Reading,
        (
            found,
            text(about.get("model_name") or about.get("model") or about.get("model_id")),
            text(about.get("id") or get("id")),
            (stop,) if stop else (),
            named or provider,
            tier(about.get("service_tier")),
            _bill(about, raw, record) if raw is not None or "cost" in about else billing.of_langchain(record),
            (),
        ),
    )


def _bill(about: Fields, raw: Any, record: Any) -> Billing | None:
    """What the integration says, else what the provider's own record does, else LangChain's."""
    return billing.stated(about) or (None if raw is None else _raw_bill(raw)) or billing.of_langchain(record)


def _raw_bill(raw: Any) -> Billing | None:
    read = reader_of(view(raw))
    bill = BILLS.get(read) if read is not None else None
    return bill(raw) if bill is not None else None


def _fuller(found: Usage | Missing, raw: Any) -> Usage | Missing:
    own = read_usage(raw)
    if isinstance(own, Missing):
        return own if found is NO_USAGE else found
    if isinstance(found, Missing):
        return own
    if own.total != found.total:
        return own if own.total > found.total else found
    return own if own[1] + own[2] + own[4] > found[1] + found[2] + found[4] else found


def generations(fields: Fields, provider: str | None) -> Reading:
    """LLMResult and ChatResult: one call per prompt; every choice of a prompt repeats its usage."""
    rows: Iterable[Any] = fields.get("generations") or ()
    firsts = [row[0] if isinstance(row, list) and row else row for row in rows]
    readings = [response(view(view(first).get("message")), provider) for first in firsts]
    if rows and not isinstance(rows[0], list):  # type: ignore[index]
        readings = readings[:1]
    found = [one.usage for one in readings if isinstance(one.usage, Usage)]
    said = view(fields.get("llm_output"))
    leading = readings[0] if readings else Reading(NO_USAGE)
    model = leading.model or text(said.get("model_name"))
    if found and len(found) == len(readings):
        whole = added(readings)
        return whole._replace(model=model, id=leading.id, finish_reasons=leading.finish_reasons)
    if said:
        raw = said.get("token_usage") or said.get("usage")
        return leading._replace(usage=_fuller(NO_USAGE, raw), model=model, billing=_raw_bill(raw))
    missing = next((one.usage for one in readings if not isinstance(one.usage, Usage)), NO_USAGE)
    return leading._replace(usage=missing, model=model)


def step(answers: Answers, chunk: Any) -> None:
    """Take a chunk of a message, or a whole message."""
    fields = view(chunk)
    if fields.get("type") == "ai":  # a whole message, not a chunk
        found = response(fields, None)
        return answers.take_reading(found._replace(id=text(fields.get("id")) or found.id))
    about = fields.get("response_metadata")
    identity = text(fields.get("id"))
    if not answers.known or (answers.ended and identity and answers.id and identity != answers.id):
        answers.begin(None, identity, None)
        answers.ended = False
    if about:
        found = response({"response_metadata": about}, None)
        answers.model, answers.provider = answers.model or found.model, answers.provider or found.provider
        answers.reasons += found.finish_reasons
        answers.tier = answers.tier or found.service_tier
        answers.said = found.billing or answers.said
        answers.ended = answers.ended or bool(found.finish_reasons)
    answers.id = answers.id or identity
    last = fields.get("chunk_position") == "last"
    record = fields.get("usage_metadata")
    if record is not None:
        answers.take(grown(answers.record, view(record)), usage, last or answers.ended, billing.of_langchain)
    answers.ended = answers.ended or last
    return None


def generation_step(answers: Answers, chunk: Any) -> None:
    """A chunk of a generation."""
    step(answers, view(chunk).get("message"))


def event(answers: Answers, fields: Fields) -> None:
    """An event of `astream_events`: the end event has the whole answer of a model, so chunk events are not read."""
    answers.known = True
    kind, data = fields.get("event"), view(fields.get("data"))
    if kind in ("on_chat_model_start", "on_llm_start"):
        answers.begin(None, fields.get("run_id"), None)
        answers.needs_end = True
    elif kind in ("on_chat_model_end", "on_llm_end"):
        output = data.get("output")
        inner = view(output)
        found = generations(inner, None) if "generations" in inner else response(inner, None)
        answers.take_reading(found._replace(id=text(fields.get("run_id")) or found.id))
        answers.settled = True
