"""Readers of agents' own files: one small module per agent, each turning its records into calls."""
