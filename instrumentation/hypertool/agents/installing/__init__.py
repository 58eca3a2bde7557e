"""Puts our hooks into agents' own configuration files and takes them out again, without touching anything else."""
