"""Names and numbers shared by all rooms: personas, workflows, instruments, label values, input checks."""
