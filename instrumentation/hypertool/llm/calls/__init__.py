"""The life of an observed LLM call: the wrapper, budget reservations, streams, and what the caller gets back."""
