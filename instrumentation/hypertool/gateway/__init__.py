"""A reverse proxy on loopback between agents and model providers: counts calls, and refuses them at a budget."""
