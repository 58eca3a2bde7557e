"""Hypertool: metrics, traces and budgets of multi-persona LLM agent workflows."""

__version__ = "0.1.0"
