"""Describes an LLM call on its span: attributes, metadata, messages, and a fingerprint in place of a prompt."""
