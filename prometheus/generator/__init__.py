"""Writes the generated parts of prometheus/: recording rules, and the runbook's rule blocks and page.

Run it from the top folder of the checkout: `python3 -m prometheus.generator`.
"""
