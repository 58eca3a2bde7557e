"""One file per shape of provider usage: its rule, its responses and its stream."""
