"""Generates the dashboards in grafana/dashboards; run it with `python3 -m grafana.generator`."""
