"""A patched method: the SDK's own function with every call observed; all its arguments belong to the SDK."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..calls.call import Call, Caller, current_call
from ..calls.observed import PATCH, Observed, named_prompt

_BEDROCK = frozenset({"Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream"})
_OUTERMOST: set[Caller] = set()


class PatchedMethod(Observed):
    """Like a wrapped function, but arguments such as `metadata` belong to the SDK, and each call names its model.

    `uninstrument()` sets `retired`, for a patch that another tool has wrapped in the meantime.
    """

    replacement: Callable[..., Any]
    retired = False

    def strip(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return kwargs

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, dict[str, Any]]:
        prompt = named_prompt(kwargs)
        if prompt is None and len(args) > self.place:
            prompt = args[self.place]
        return self.caller.call(None, None, prompt, kwargs, None, None, self.model(args, kwargs)), kwargs


class PatchedBedrock(PatchedMethod):
    """botocore's single method for all services: the operation's parameters hold the model and the prompt."""

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, dict[str, Any]]:
        parameters = args[2] if len(args) > 2 else kwargs.get("api_params") or {}
        prompt = parameters.get("messages", parameters.get("body"))
        model = parameters.get("modelId")
        return self.caller.call(None, None, prompt, parameters, None, None, model), kwargs


def patched(original: Callable[..., Any], caller: Caller, outermost: bool, bedrock: bool) -> PatchedMethod:
    """A patch whose `replacement` has the same name and kind (sync or async) as `original`."""
    observed = (PatchedBedrock if bedrock else PatchedMethod)(original, caller)
    if outermost:
        _OUTERMOST.add(caller)

    if bedrock:

        @functools.wraps(original)
        def api_call(client: Any, operation_name: str, api_params: Any) -> Any:
            if operation_name not in _BEDROCK or _inside_another(observed):
                return original(client, operation_name, api_params)
            return observed.run((client, operation_name, api_params), {})

        replacement: Callable[..., Any] = api_call
    elif inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def async_method(*args: Any, **kwargs: Any) -> Any:
            if _inside_another(observed):
                return await original(*args, **kwargs)
            return await observed.run_async(args, kwargs)

        replacement = async_method
    else:

        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            if _inside_another(observed):
                return original(*args, **kwargs)
            return observed.run(args, kwargs)

        replacement = method
    observed.replacement = replacement
    setattr(replacement, PATCH, observed)
    return observed


def _inside_another(observed: PatchedMethod) -> bool:
    """Whether an enclosing call counts this one (LiteLLM calls OpenAI's client), or the patch has been undone."""
    if observed.retired:
        return True
    around = current_call()
    return around is not None and around.caller in _OUTERMOST and not around.done
