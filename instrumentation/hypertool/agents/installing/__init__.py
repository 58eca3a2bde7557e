"""Adds our hooks to agents' own configuration files and removes them, without touching anything else."""
