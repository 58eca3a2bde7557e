"""Workflow runs and their stages, as metrics and as spans."""
