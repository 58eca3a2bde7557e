"""What a program calls to record personas, tokens, stages and gates."""
