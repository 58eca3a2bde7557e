"""Prompt workflows and persona files: one source each, written in the dialect of every coding agent."""
