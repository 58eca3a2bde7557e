"""Servers on one's own machine with an API of their own: llama.cpp and LM Studio.

* llama.cpp's `/completion` (https://github.com/ggml-org/llama.cpp/tree/master/tools/server): `tokens_evaluated` is the
  whole prompt, of which `timings.cache_n` came from the cache. In a stream the counts grow; the last chunk has `stop`.
* LM Studio's `/api/v1/chat` (https://lmstudio.ai/docs/developer/rest/chat): `stats.total_output_tokens` includes
  `reasoning_output_tokens`.
"""

from __future__ import annotations

from ..answers import Answers
from ..counts import Record, count, settle, usage_of
from ..fields import Fields, reading
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
