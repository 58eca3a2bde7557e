"""A real Chromium on hostile pages, on the host whose services they try."""

from .pages import FORGED, PORTS, Attempts, check_page, hostile_pages, names_of_pages

__all__ = ["FORGED", "PORTS", "Attempts", "check_page", "hostile_pages", "names_of_pages"]
