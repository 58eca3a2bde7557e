# Grafana Cloud as a destination: checks before anything is changed, and proof of delivery.
