"""The tokens of one LLM call as an exact, disjoint partition, and the reasons why they may be unknown."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, NoReturn, get_args

MAX_TOKENS = 10**12
"""More tokens than any call can use: a larger count is invalid."""

Reason = Literal["no_usage", "stream_cut", "invalid", "unrecognised"]
REASONS: tuple[str, ...] = get_args(Reason)
# Langfuse's names of the five parts.
_DETAILS = ("input", "input_cached_tokens", "input_cache_creation", "output", "output_reasoning_tokens")


class _Fields(NamedTuple):
    input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int
    cache_write_1h: int
    estimated: bool


class Usage(_Fields):
    """Tokens of one call, each counted in exactly one of five parts. Immutable.

    `input` is fresh input, `cached_input` input read from a cache, `cache_write` input written to a cache, `output`
    visible output, `reasoning` hidden output. `cache_write_1h` is the part *of* `cache_write` that is kept for an hour
    (it has its own price). `estimated` is True only for results of `estimate_usage`.

    Raises TypeError or ValueError for a count that is not a whole number from 0 to 10**12.
    """

    __slots__ = ()

    def __new__(
        cls,
        input: int = 0,
        cached_input: int = 0,
        cache_write: int = 0,
        output: int = 0,
        reasoning: int = 0,
        *,
        cache_write_1h: int = 0,
        estimated: bool = False,
    ) -> Usage:
        counts = (input, cached_input, cache_write, output, reasoning, cache_write_1h)
        for name, value in zip(_Fields._fields, counts, strict=False):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be a whole number of tokens, not {value!r:.60}")
            if not 0 <= value <= MAX_TOKENS:
                raise ValueError(f"{name} = {value!r:.60} tokens, expected 0 to {MAX_TOKENS}")
        if cache_write_1h > cache_write:
            raise ValueError(
                f"cache_write_1h = {cache_write_1h} is a part of cache_write = {cache_write} and cannot be larger"
            )
        return tuple.__new__(cls, (*counts, bool(estimated)))

    @property
    def input_tokens(self) -> int:
        """All input, cached and cache-written included (`gen_ai.usage.input_tokens`)."""
        return self[0] + self[1] + self[2]

    @property
    def output_tokens(self) -> int:
        """All output, reasoning included (`gen_ai.usage.output_tokens`)."""
        return self[3] + self[4]

    @property
    def total(self) -> int:
        """All tokens, each counted once."""
        return self[0] + self[1] + self[2] + self[3] + self[4]

    def usage_details(self) -> dict[str, int]:
        """The disjoint parts under Langfuse's names, without zeros (a zero would need a price that may not exist)."""
        return {name: part for name, part in zip(_DETAILS, self[:5], strict=True) if part}

    def gen_ai(self) -> dict[str, int]:
        """OpenTelemetry GenAI attributes: inclusive counts, and those of their parts that are not zero.

        Cache writes use the name `cache_creation`, not the draft's `cache_write`: a Langfuse server that maps these
        keys itself subtracts the former from the input and would count the latter twice.
        """
        keys = {
            "gen_ai.usage.input_tokens": self[0] + self[1] + self[2],
            "gen_ai.usage.output_tokens": self[3] + self[4],
        }
        if self[1]:
            keys["gen_ai.usage.cache_read.input_tokens"] = self[1]
        if self[2]:
            keys["gen_ai.usage.cache_creation.input_tokens"] = self[2]
        if self[4]:
            keys["gen_ai.usage.reasoning.output_tokens"] = self[4]
        return keys

    def __add__(self, other: object) -> Usage:  # adds the parts; a tuple would concatenate
        if not isinstance(other, Usage):
            return NotImplemented
        parts = [mine + theirs for mine, theirs in zip(self[:6], other[:6], strict=True)]
        return tuple.__new__(Usage, (*parts, self.estimated or other.estimated))

    def __radd__(self, other: object) -> Usage:
        """Supports `sum()` of usages, which starts at 0."""
        return self if other == 0 else NotImplemented

    def __mul__(self, other: object) -> NoReturn:  # a tuple would repeat its items
        raise TypeError(f"a Usage can only be added to another one, not multiplied by {type(other).__name__}")

    __rmul__ = __mul__


class Missing(NamedTuple):
    """The usage of a call is unknown, which is not zero.

    `no_usage`: the response has none. `stream_cut`: the stream ended before the usage arrived. `invalid`: the usage
    contradicts itself or is not a number. `unrecognised`: the response has an unknown shape.
    """

    reason: Reason


NO_USAGE = Missing("no_usage")
STREAM_CUT = Missing("stream_cut")
INVALID = Missing("invalid")
UNRECOGNISED = Missing("unrecognised")


class Billing(NamedTuple):
    """What determines the cost of a call besides its five parts.

    Audio tokens are those *of* the input, the cached input and the output. `web_searches` are calls of a provider's own
    search tool. `percent` is what a regional endpoint charges of the list price (Anthropic's `inference_geo`: 110).
    `stated_nano_usd` is the cost that the provider states itself (OpenRouter's `usage.cost`, xAI's
    `cost_in_usd_ticks`).
    """

    audio_input: int = 0
    audio_cached: int = 0
    audio_output: int = 0
    web_searches: int = 0
    percent: int = 100
    stated_nano_usd: int | None = None


class Reading(NamedTuple):
    """What a response reports about its call.

    `provider` is a `gen_ai.provider.name`, where the response tells. `service_tier` is the price class of the call
    where it is not the standard one ("flex", "priority", "batch", "fast", ...), and "mixed" where tokens of several
    models or tiers are in it; None means standard, or not said. `billing` is None where nothing but the tokens decides
    the cost. `parts` are the readings of the answers of which this is the sum: each has a price of its own.
    """

    usage: Usage | Missing
    model: str | None = None
    id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    provider: str | None = None
    service_tier: str | None = None
    billing: Billing | None = None
    parts: tuple[Reading, ...] = ()


# A Usage from seven values that are already checked, at a third of the cost of checking them again.
unchecked: Callable[[tuple[Any, ...]], Usage] = functools.partial(tuple.__new__, Usage)
