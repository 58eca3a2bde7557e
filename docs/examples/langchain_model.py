"""LangChain: a chat model called whole and streamed, and as a step of a chain. The messages carry the usage.

The model here is the smallest that langchain-core allows, on the stand-in; yours (ChatOpenAI, ChatAnthropic, ...) is
wrapped in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import counted
import openai
import stand_in
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from hypertool import ObservableLLM, WorkflowTracer, observe_llm

MODEL = "gpt-4o-mini"


class SmallChatModel(BaseChatModel):
    """OpenAI's wire format behind LangChain's interface."""

    client: Any

    @property
    def _llm_type(self) -> str:
        return "small"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        answer = self._ask(messages)
        message = AIMessage(
            answer.choices[0].message.content,
            usage_metadata=_usage(answer.usage),
            response_metadata={"model_name": answer.model},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._ask(messages, stream=True, stream_options={"include_usage": True}):
            text = chunk.choices[0].delta.content or "" if chunk.choices else ""
            usage = _usage(chunk.usage) if chunk.usage else None
            yield ChatGenerationChunk(message=AIMessageChunk(content=text, usage_metadata=usage))

    def _ask(self, messages: list[BaseMessage], **more: Any) -> Any:
        return self.client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": str(message.content)} for message in messages], **more
        )


def _usage(usage: Any) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        input_token_details=InputTokenDetails(cache_read=usage.prompt_tokens_details.cached_tokens),
        output_token_details=OutputTokenDetails(reasoning=usage.completion_tokens_details.reasoning_tokens),
    )


model = SmallChatModel(client=openai.OpenAI(api_key="none", base_url=f"{stand_in.start()}/v1"))
invoke = ObservableLLM(model.invoke, MODEL, provider="openai")
stream = ObservableLLM(model.stream, MODEL, provider="openai")


@observe_llm(MODEL, provider="openai")
def review(messages: Any) -> Any:
    """The model as a function of your own; a step of a chain is one."""
    return model.invoke(messages)


with WorkflowTracer("feature_implementation") as workflow:
    with workflow.stage_context("api_design", "backend-engineer"):
        print("whole:   ", invoke("Design the API of a shop.").content)
    with workflow.stage_context("frontend_components", "frontend-engineer"):
        print("streamed:", "".join(str(chunk.content) for chunk in stream("Draw its first page.")))
    with workflow.stage_context("testing_validation", "testing-specialist"):
        chain = ChatPromptTemplate.from_template("Review {what}.") | RunnableLambda(review)
        print("chain:   ", chain.invoke({"what": "both"}).content)

counted.show()
