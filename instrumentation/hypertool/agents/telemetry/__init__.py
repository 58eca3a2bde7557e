"""What agents send over OTLP, read for the calls that their session files lack."""
