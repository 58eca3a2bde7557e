"""What a process needs before anything is measured: logging, redaction, late imports, the workspace, settings."""
