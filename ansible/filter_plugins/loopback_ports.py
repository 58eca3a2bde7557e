"""Addresses of loopback in this repository's files, with the ports that a host has for them.

{{ lookup('file', 'prometheus.yml') | on_ports({9090: 9095}) }}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def on_ports(text: str, ports: Mapping[Any, Any]) -> str:
    """The text with each `127.0.0.1:PORT` on the port that is used instead. AnsibleFilterError for what is no port."""
    instead = {str(own): str(used) for own, used in ports.items()}
    for own, used in instead.items():
        if not used.isdigit() or not 1 <= int(used) <= 65535:
            raise AnsibleFilterError(f"the port instead of {own} is {used!r}; expected a number from 1 to 65535")
    return re.sub(r"\b127\.0\.0\.1:(\d+)\b", lambda found: f"127.0.0.1:{instead.get(found[1], found[1])}", text)


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Any]:
        """The filters of this file by name."""
        return {"on_ports": on_ports}
