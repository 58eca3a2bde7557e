"""One line that observes every call of the installed provider SDKs: which methods, how they are patched and undone."""
