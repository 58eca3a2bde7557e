"""`instrument()` for the installed provider SDKs: which methods it patches, and how it patches and restores them."""
