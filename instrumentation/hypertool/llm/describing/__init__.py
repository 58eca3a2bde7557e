"""What a span says of an LLM call: attributes, metadata, messages, and a fingerprint in place of a prompt."""
