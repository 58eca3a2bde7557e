"""A program whose types mypy, strictly, and pyright must see as they are written here (`test_types.py`)."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from hypertool import ObservableLLM, get_persona_metrics, observe_llm
from hypertool.llm.calls.signatures import ObservedFunction


class Reply:
    """What the functions below return."""


def plain(prompt: str, temperature: float = 0.0) -> Reply:
    return Reply()


async def later(prompt: str) -> Reply:
    return Reply()


def words(prompt: str) -> Iterator[str]:
    yield prompt


async def words_later(prompt: str) -> AsyncIterator[str]:
    yield prompt


@observe_llm("m", persona="backend-engineer")
def local(prompt: str, temperature: float = 0.0) -> Reply:
    return Reply()


@observe_llm()
async def local_later(prompt: str) -> Reply:
    return Reply()


@observe_llm("m")
async def local_words(prompt: str) -> AsyncIterator[str]:
    yield prompt


class Client:
    """Methods of every kind."""

    def __call__(self, prompt: str) -> Reply:
        return Reply()

    def plain(self, prompt: str, temperature: float = 0.0) -> Reply:
        return Reply()

    async def later(self, prompt: str) -> Reply:
        return Reply()

    @observe_llm("m")
    def ask(self, prompt: str) -> Reply:
        return Reply()

    @observe_llm("m")
    async def ask_later(self, prompt: str) -> Reply:
        return Reply()

    @observe_llm("m")
    @staticmethod
    def ask_anyone(prompt: str) -> Reply:
        return Reply()


wrapped = ObservableLLM(plain, "m")
assert_type(wrapped("Hello", temperature=0.5), Reply)
assert_type(wrapped("Hello", persona="backend-engineer", chatmode="bug-fix"), Reply)
assert_type(wrapped("Hello", metadata={"a": 1}), Reply)
assert_type(wrapped.wrap_sync("Hello"), Reply)
for word in ObservableLLM(words, "m")("Hello"):
    assert_type(word, str)
assert_type(ObservableLLM(Client(), "m")("Hello"), Reply)
assert_type(ObservableLLM(Client().plain, "m")("Hello", temperature=0.5), Reply)
assert_type(ObservableLLM(functools.partial(Client().plain, temperature=0.5), "m")("Hello"), Reply)
assert_type(local("Hello", 0.5), Reply)
assert_type(local("Hello", persona="backend-engineer"), Reply)
assert_type(Client().ask("Hello"), Reply)
assert_type(Client().ask("Hello", persona="backend-engineer"), Reply)
assert_type(Client.ask_anyone("Hello"), Reply)
name: ObservedFunction[[str, float], Reply] = local
metrics = ObservableLLM(plain, None, metrics=get_persona_metrics())


async def work() -> None:
    wrapped_later = ObservableLLM(later, "m")
    assert_type(await wrapped_later("Hello"), Reply)
    assert_type(await wrapped_later("Hello", persona="backend-engineer"), Reply)
    assert_type(wrapped_later.wrap_sync("Hello"), Reply)
    assert_type(await wrapped_later.wrap_async("Hello"), Reply)
    assert_type(await wrapped.wrap_async("Hello"), Reply)
    assert_type(await local_later("Hello", chatmode="bug-fix"), Reply)
    assert_type(await Client().ask_later("Hello"), Reply)
    async for word in local_words("Hello"):
        assert_type(word, str)
    async for word in ObservableLLM(words_later, "m")("Hello"):
        assert_type(word, str)
    assert_type(await ObservableLLM(Client().later, "m")("Hello"), Reply)
    assert_type(await observe_llm("m")(Client().later)("Hello"), Reply)
