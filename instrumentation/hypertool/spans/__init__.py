"""Spans of workflows, stages and LLM calls: their life, who creates them, and the values they carry."""
