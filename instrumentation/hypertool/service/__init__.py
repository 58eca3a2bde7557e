"""The services of a host: the exporter on :9464, the alert log on :9465, and what they share."""
