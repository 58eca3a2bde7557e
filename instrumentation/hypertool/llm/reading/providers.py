"""The provider of a call as a `gen_ai.provider.name` (OpenTelemetry GenAI conventions, as of 2026-06)."""

from __future__ import annotations

from typing import Any

# Names as SDKs, LiteLLM (`custom_llm_provider`) and LangChain (`model_provider`, `ls_provider`) give them.
_NAMES = {
    "openai": "openai",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "anthropic": "anthropic",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "google_genai": "gcp.gen_ai",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "google_vertexai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
    "groq": "groq",
    "deepseek": "deepseek",
    "cohere": "cohere",
    "perplexity": "perplexity",
    "watsonx": "ibm.watsonx.ai",
}


def provider_name(given: Any) -> str | None:
    """The convention's name for a provider that an SDK names, or None if there is none."""
    return _NAMES.get(given) if isinstance(given, str) else None
