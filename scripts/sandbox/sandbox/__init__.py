"""Throwaway Debian hosts with a real systemd, in containers of the local Docker Engine."""
