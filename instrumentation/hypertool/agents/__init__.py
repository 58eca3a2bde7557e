"""Real coding agents: what they used, read from what they keep, counted once and held to budgets."""
