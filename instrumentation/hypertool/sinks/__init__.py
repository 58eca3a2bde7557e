"""Where ended spans go: each sink has a bounded queue, a circuit breaker and its share of a bounded exit."""
