"""Any response object as a mapping of its fields; how to read a type is chosen once per type.

Each shape is thus written once, for SDK objects and plain dicts alike. A failing `getattr` costs 2 microseconds on a
pydantic object and may run foreign code; a look-up in `__dict__` costs 0.04 microseconds and runs none.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

View = Callable[[Any], Mapping[str, Any]]

_LIMIT = 1024
_EMPTY: Mapping[str, Any] = {}

# The names that any shape looks for. If a class keeps them in slots, properties or class attributes, only these are
# read, one by one; no other property ever runs.
_NAMES = """
    usage usage_metadata usageMetadata token_usage response_metadata llm_output generations message metadata data raw
    model model_name model_id model_version modelVersion id response_id responseId object type status choices
    candidates finish_reason finishReason stop_reason stopReason service_tier speed chunk response delta event
    input_tokens output_tokens total_tokens prompt_tokens completion_tokens prompt_tokens_details
    completion_tokens_details input_tokens_details output_tokens_details input_token_details output_token_details
    cached_tokens cache_write_tokens cache_creation_tokens reasoning_tokens thinking_tokens cache_creation
    cache_read_input_tokens cache_creation_input_tokens ephemeral_1h_input_tokens ephemeral_5m_input_tokens iterations
    prompt_token_count cached_content_token_count candidates_token_count thoughts_token_count
    tool_use_prompt_token_count total_token_count traffic_type inputTokens outputTokens totalTokens
    cacheReadInputTokens cacheWriteInputTokens embeddings results meta metrics raw_responses _raw_response
    prompt_eval_count eval_count done done_reason billed_units tokens prompt_token_details completion_token_details
    input_token_count output_token_count generated_token_count num_tokens_prompt_total num_tokens_generated
    cached_prompt_text_tokens cache_read_tokens cache_write_tokens details requests total_input_tokens
    total_output_tokens total_cached_tokens total_thought_tokens total_tool_use_tokens response_token_count x_groq
    messages tasks_output models_usage stats replies meta inner_content chat_response final_result orchestration_result
    tokens_evaluated tokens_predicted timings generated_tokens input_length prefill input_tokens_cache_read
    input_tokens_cache_write precached_prompt_tokens agent_invocations model_usage embedding
"""
KNOWN = frozenset(_NAMES.split())


def view(value: Any) -> Mapping[str, Any]:
    """The fields of `value`; empty if it has none. Do not modify the result."""
    if type(value) is dict:  # fast path: plain dicts
        return value
    known = _views.get(type(value))
    return known(value) if known is not None else learn(type(value))(value)


def learn(kind: type) -> View:
    """Choose how to read instances of `kind`, and remember it for the next one."""
    found = _choose(kind)
    if len(_views) >= _LIMIT:  # the table must not keep an endless number of generated classes alive
        _views.clear()
        _views.update(_BUILT_IN)
    _views[kind] = found
    return found


def _choose(kind: type) -> View:
    if issubclass(kind, Mapping):
        # huggingface_hub's answers are dicts with further fields as attributes.
        return _dict_and_attributes if issubclass(kind, dict) and kind.__dictoffset__ else _itself
    if issubclass(kind, (str, bytes, int, float, list, set, frozenset, type(None))):
        return _nothing
    if hasattr(kind, "__pydantic_extra__"):
        return _pydantic
    if hasattr(kind, "DESCRIPTOR") and hasattr(kind, "ListFields"):
        return _protobuf
    if issubclass(kind, tuple):
        return operator.methodcaller("_asdict") if hasattr(kind, "_asdict") else _nothing
    own = tuple(sorted({name for base in kind.__mro__ for name in vars(base)} & KNOWN))
    if not own:
        return _attributes
    return lambda value: {**{name: getattr(value, name, None) for name in own}, **_attributes(value)}


def _itself(value: Any) -> Mapping[str, Any]:
    return value  # type: ignore[no-any-return]


def _dict_and_attributes(value: Any) -> Mapping[str, Any]:
    more = vars(value)
    return {**more, **value} if more else value


def _protobuf(value: Any) -> Mapping[str, Any]:
    # `ListFields` omits a number that is 0.
    found = {one.name: getattr(value, one.name) for one in value.DESCRIPTOR.fields if _is_number(one)}
    found.update((one.name, inner) for one, inner in value.ListFields())
    return found


def _is_number(field: Any) -> bool:
    return not (field.is_repeated if hasattr(field, "is_repeated") else field.label == 3) and field.cpp_type in (
        1,
        2,
        3,
        4,
    )


def _nothing(value: Any) -> Mapping[str, Any]:
    return _EMPTY


def _attributes(value: Any) -> Mapping[str, Any]:
    return getattr(value, "__dict__", _EMPTY)


def _pydantic(value: Any) -> Mapping[str, Any]:
    # Pydantic keeps undeclared fields apart: LiteLLM's `usage`, and fields that a server adds to OpenAI's records.
    extra = value.__pydantic_extra__
    return {**value.__dict__, **extra} if extra else value.__dict__


_BUILT_IN: dict[type, View] = {dict: _itself, type(None): _nothing, str: _nothing, list: _nothing, tuple: _nothing}
_views: dict[type, View] = dict(_BUILT_IN)
