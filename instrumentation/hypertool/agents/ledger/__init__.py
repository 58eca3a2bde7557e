"""The ledger of one user's agents: one entry per model call, in a SQLite database that belongs to the user."""
