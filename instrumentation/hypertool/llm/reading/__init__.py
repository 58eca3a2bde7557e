"""From a response to its usage: one file a provider shape, one table that registers them."""
