"""Names and numbers that everything agrees on: personas, workflows, instruments, label values, input checks."""
