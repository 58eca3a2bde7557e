"""What agents call at their events: counts what is new, and stops an agent whose budget blocks, in its own dialect."""
