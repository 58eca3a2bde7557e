"""The declared workflows, run with a simulated LLM: `hypertool baseline` and `hypertool workflow`."""
