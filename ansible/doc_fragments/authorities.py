"""The option of the modules that speak to Grafana Cloud over TLS."""

from __future__ import annotations


class ModuleDocFragment:
    """Merged by `ansible-doc` where a module extends `authorities`."""

    DOCUMENTATION = r"""
options:
  ca_file:
    description: PEM file on the host with the authorities to trust instead of the system's.
    type: str
    default: ""
"""
