"""The numbers of one process, in memory; no module here knows a disk."""
