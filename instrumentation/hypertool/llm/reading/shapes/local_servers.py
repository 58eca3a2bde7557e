"""Servers on one's own machine with an API of their own: llama.cpp, LM Studio, text-generation-inference.

* llama.cpp's `/completion` (https://github.com/ggml-org/llama.cpp/tree/master/tools/server): `tokens_evaluated` is the
  whole prompt, of which `timings.cache_n` came from the cache. In a stream the counts grow; the last chunk has `stop`.
* LM Studio's `/api/v1/chat` (https://lmstudio.ai/docs/developer/rest/chat): `stats.total_output_tokens` includes
  `reasoning_output_tokens`.
* text-generation-inference's `/generate` (https://huggingface.co/docs/text-generation-inference): `details` of the
  answer, or of a stream's last chunk, count what was generated; the prompt is `input_length` or the list `prefill`, and
  a server that tells neither has half a record.
"""

from __future__ import annotations

from ..answers import Answers
from ..counts import BadCount, Record, count, partition, settle, usage_of
from ..fields import Fields, reading, text
from ..usage import Missing, Reading, Usage
from ..view import view


def llama_cpp_usage(record: Record) -> Usage | Missing:
    """The partition of a completion's own fields."""
    cached = count(view(record.get("timings")).get("cache_n"))
    return settle(count(record.get("tokens_evaluated")), count(record.get("tokens_predicted")), cached, 0, 0, 0)


def llama_cpp(fields: Fields, provider: str | None) -> Reading:
    """A completion."""
    return reading(usage_of(llama_cpp_usage, fields), fields.get("model"), None, (), provider, None)


def llama_cpp_step(answers: Answers, fields: Fields) -> None:
    """A chunk of a completion."""
    if answers.ended:
        answers.begin(fields.get("model"), None, None)
    last = fields.get("stop") is True
    record = {name: fields.get(name) for name in ("tokens_evaluated", "tokens_predicted", "timings")}
    answers.take(record, llama_cpp_usage, last)
    answers.ended = last


def lm_studio_usage(record: Record) -> Usage | Missing:
    """The partition of an answer's `stats`."""
    get = record.get
    made, thought = count(get("total_output_tokens")), count(get("reasoning_output_tokens"))
    return settle(count(get("input_tokens")), made, 0, 0, thought, 0)


def lm_studio(fields: Fields, provider: str | None) -> Reading:
    """An answer."""
    found = usage_of(lm_studio_usage, fields.get("stats"))
    return reading(found, fields.get("model_instance_id"), fields.get("response_id"), (), provider, None)


def tgi_usage(record: Record) -> Usage | Missing:
    """The partition of an answer's `details`."""
    given = record.get("input_length") or len(record.get("prefill") or ())
    if not given:
        raise BadCount("an answer without its prompt")
    return partition(count(given), 0, 0, count(record.get("generated_tokens")), 0)


def tgi(fields: Fields, provider: str | None) -> Reading:
    """An answer, or the last chunk of a stream."""
    details = view(fields.get("details"))
    stop = text(details.get("finish_reason"))
    return reading(usage_of(tgi_usage, details), None, None, (stop,) if stop else (), provider, None)


def tgi_step(answers: Answers, fields: Fields) -> None:
    """A chunk: a token; the last one has the details."""
    if answers.ended:
        answers.begin(None, None, None)
        answers.needs_end = True
    if view(fields.get("details")):
        found = tgi(fields, None)
        answers.reasons += found.finish_reasons
        answers.take(fields["details"], tgi_usage, True)
        answers.ended = True
