"""The life of an observed LLM call: wrapper, budget reservation, streams, and the result for the caller."""
