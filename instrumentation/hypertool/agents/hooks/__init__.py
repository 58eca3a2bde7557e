"""The hooks that agents call at their events: they count new calls, and stop an agent with a blocking budget."""
