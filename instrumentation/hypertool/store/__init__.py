"""The files of one host: snapshots of live processes, the archive of finished ones, and their exact merge."""
