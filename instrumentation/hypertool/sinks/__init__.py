"""Where ended spans go: each sink has a bounded queue, a circuit breaker and a share of the bounded exit."""
