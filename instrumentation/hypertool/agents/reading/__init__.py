"""Readers of what agents keep: one small file per agent, each turning its records into calls."""
