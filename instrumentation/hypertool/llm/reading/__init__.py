"""From a response to its usage: one file per provider shape, and tables that register the shapes."""
