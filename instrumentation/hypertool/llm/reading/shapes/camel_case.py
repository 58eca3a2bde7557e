"""OpenAI's chat record under names in camel or Pascal case: Oracle's and Tencent's clouds, the AI SDK up to version 4.

* Oracle (https://docs.oracle.com/en-us/iaas/api/#/en/generative-ai-inference/20231130/datatypes/Usage): `promptTokens`,
  `promptTokensDetails.cachedTokens`, `completionTokensDetails.reasoningTokens`.
* Tencent Hunyuan (https://cloud.tencent.com/document/api/1729/105701): `Usage.PromptTokens` in `Response`.
* The AI SDK (https://ai-sdk.dev/docs/reference/ai-sdk-core/generate-text): `promptTokens` up to version 4; since
  version 6 `inputTokens` with `inputTokenDetails`, or both counts as objects with a total and its parts.
"""

from __future__ import annotations

import re
from typing import Any

from ..counts import Record, count, known, names, settle, usage_of
from ..fields import Fields, reading, reasons
from ..usage import Missing, Reading, Usage
from ..view import view
from . import openai_chat

_HUMP = re.compile(r"(?<!^)(?=[A-Z])")
_AI_SDK = names(
    "inputTokens inputTokenDetails outputTokens outputTokenDetails totalTokens reasoningTokens cachedInputTokens"
)
_GIVEN = names("noCacheTokens cacheReadTokens cacheWriteTokens total noCache cacheRead cacheWrite")
_MADE = names("textTokens reasoningTokens total text reasoning")


def usage(record: Record) -> Usage | Missing:
    """The partition of a record with `promptTokens` or `PromptTokens`."""
    return openai_chat.usage(_snake_case(record))


def _snake_case(record: Record) -> dict[str, Any]:
    return {_HUMP.sub("_", name).lower(): _snake_case(view(value)) or value for name, value in record.items()}


def ai_sdk(record: Record) -> Usage | Missing:
    """The AI SDK's record: the input includes the cache, the output the reasoning."""
    get = record.get
    known(record, _AI_SDK)
    given, made = get("inputTokens"), get("outputTokens")
    inner, outer = view(get("inputTokenDetails")), view(get("outputTokenDetails"))
    if view(given):
        inner, given = view(given), view(given).get("total")
    if view(made):
        outer, made = view(made), view(made).get("total")
    known(inner, _GIVEN)
    known(outer, _MADE)
    cached = inner.get("cacheReadTokens", inner.get("cacheRead"))
    written = inner.get("cacheWriteTokens", inner.get("cacheWrite"))
    thought = outer.get("reasoningTokens", outer.get("reasoning"))
    return settle(count(given), count(made), count(cached), count(written), count(thought), count(get("totalTokens")))


def hunyuan(fields: Fields, provider: str | None) -> Reading:
    """A response of Tencent's cloud, inside or outside its `Response`."""
    inner = view(fields.get("Response")) or fields
    return reading(
        usage_of(usage, inner.get("Usage")),
        inner.get("Model"),
        inner.get("Id"),
        reasons(inner.get("Choices"), "FinishReason"),
        provider,
        None,
    )
