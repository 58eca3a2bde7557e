"""A call says which of Langfuse's prompts it was made with, and the server links its generation to it."""

from __future__ import annotations

import textwrap

import pytest

from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import LangfuseReceiver

HEAD = """
from types import SimpleNamespace
from hypertool import LangfuseIntegration, ObservableLLM
from hypertool.spans import span as spans
REPLY = {"model": "gpt-4o", "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}
llm = ObservableLLM(lambda text: REPLY, "gpt-4o")
"""
FLUSH = "\nassert spans.langfuse_sink().flush(20)\n"


def run(host: Host, langfuse: LangfuseReceiver, code: str) -> str:
    """What it says on stderr."""
    done = host.python(HEAD + textwrap.dedent(code) + FLUSH, **langfuse.environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_generation_is_linked_to_its_prompt(host: Host, langfuse: LangfuseReceiver) -> None:
    """A generation is linked to its prompt, and the link is not part of the input."""
    said = run(
        host,
        langfuse,
        """
        llm("x", metadata={"langfuse_prompt": {"name": "reviewer", "version": 3}, "ticket": 7})
    """,
    )
    langfuse.wait(1)
    (call,) = langfuse.generations()
    assert said == ""
    assert call.prompt == ("reviewer", 3)
    assert (call.input, call.output) == (None, None), "the server takes what begins with gen_ai.prompt for the input"
    assert langfuse.spans[0].attributes["hypertool.metadata.ticket"] == 7
    assert "hypertool.metadata.langfuse_prompt" not in langfuse.spans[0].attributes


def test_the_compatible_api_links_too(host: Host, langfuse: LangfuseReceiver) -> None:
    run(
        host,
        langfuse,
        """
        integration = LangfuseIntegration()
        trace = integration.start_trace("review", "backend", "bug-fix", {})
        integration.create_generation(trace, "ask", "gpt-4o", "p", "c", REPLY["usage"],
                                      {"langfuse_prompt": SimpleNamespace(name="reviewer", version=4)})
        integration.end_trace(trace)
    """,
    )
    langfuse.wait(2)
    assert langfuse.observation("ask").prompt == ("reviewer", 4)


def test_fallback_and_wrong_prompts_are_not_linked(host: Host, langfuse: LangfuseReceiver) -> None:
    """A fallback prompt is not linked, and a wrong one is reported once."""
    said = run(
        host,
        langfuse,
        """
        llm("x", metadata={"langfuse_prompt": SimpleNamespace(name="reviewer", version=0, is_fallback=True)})
        for _ in range(2):
            llm("x", metadata={"langfuse_prompt": "reviewer"})
    """,
    )
    langfuse.wait(3)
    assert {call.prompt for call in langfuse.generations()} == {(None, None)}
    assert said.count("langfuse_prompt links no prompt") == 1, said


def test_functions_own_metadata_has_no_link(host: Host, langfuse: LangfuseReceiver) -> None:
    """A function with a metadata argument of its own gets it without the link."""
    run(
        host,
        langfuse,
        """
        got = []
        def create(messages, metadata=None):
            got.append(metadata)
            return REPLY
        ObservableLLM(create, "gpt-4o")([], metadata={"team": "a", "langfuse_prompt": {"name": "r", "version": 1}})
        assert got == [{"team": "a"}], got
    """,
    )
    langfuse.wait(1)
    assert langfuse.generations()[0].prompt == ("r", 1)


def test_langfuses_own_prompt_object_is_understood(host: Host, langfuse: LangfuseReceiver) -> None:
    """The prompt object of the langfuse package is understood."""
    pytest.importorskip("langfuse", reason="the langfuse package is not installed: pip install 'langfuse>=5,<6'")
    run(
        host,
        langfuse,
        """
        from langfuse.api import Prompt_Text
        from langfuse.model import TextPromptClient
        prompt = TextPromptClient(Prompt_Text(name="reviewer", version=5, prompt="Review {{what}}", config={},
                                              labels=[], tags=[]))
        llm(prompt.compile(what="this"), metadata={"langfuse_prompt": prompt})
    """,
    )
    langfuse.wait(1)
    assert langfuse.generations()[0].prompt == ("reviewer", 5)
