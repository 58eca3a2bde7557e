"""Draws the Grafana dashboards of this project without Grafana, from the figures of a Prometheus."""
