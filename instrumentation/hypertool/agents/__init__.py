"""Real coding agents: reads their usage from the files they keep, counts each call once, and enforces budgets."""
