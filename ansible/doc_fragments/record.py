"""The option of the modules that write down what is new to the host."""

from __future__ import annotations


class ModuleDocFragment:
    """Merged by `ansible-doc` where a module extends `record`."""

    DOCUMENTATION = r"""
options:
  record:
    description: The record's path.
    type: path
    default: /var/lib/hypertool-install/record.json
"""
