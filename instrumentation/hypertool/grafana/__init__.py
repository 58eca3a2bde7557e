"""Putting dashboards and rules into a Grafana and a Mimir: what `hypertool grafana` does."""
