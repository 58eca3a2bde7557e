"""Reads the calls that agents send over OTLP and that their session files lack."""
