"""One file for each shape of a provider's usage: its rule, its responses and its stream."""
