"""The bridge and the few firewall rules of our own engine: made one by one, and taken back one by one.

dockerd would set the FORWARD policy of the machine to DROP and leave its chains behind when it ends.
Our engine runs with --iptables=false, and what its hosts need is added here, marked, and removed again.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from progress import SandboxError, say
from state import tag

CANDIDATES = ["10.213.0.1/24", "10.217.0.1/24", "10.223.0.1/24", "192.168.213.1/24", "172.29.213.1/24"]
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def bridge_name() -> str:
    return f"htsbx{tag()}" if tag() else "htsbx0"


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SandboxError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _free_subnet() -> str:
    taken = [
        ipaddress.ip_network(route["dst"], strict=False)
        for route in json.loads(_run(["ip", "-json", "-4", "route"]))
        if route["dst"] != "default"
    ]
    for candidate in CANDIDATES:
        network = ipaddress.ip_interface(candidate).network
        if not any(network.overlaps(other) for other in taken):
            return candidate
    raise SandboxError(f"none of the subnets {', '.join(CANDIDATES)} is free on this machine")


def _rules(bridge: str, subnet: str) -> list[tuple[str, list[str]]]:
    network = str(ipaddress.ip_interface(subnet).network)
    mark = ["-m", "comment", "--comment", f"hypertool-sandbox {bridge}"]
    answers = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"]
    return [
        ("nat", ["POSTROUTING", "-s", network, "!", "-o", bridge, *mark, "-j", "MASQUERADE"]),
        ("filter", ["FORWARD", "-i", bridge, *mark, "-j", "ACCEPT"]),
        ("filter", ["FORWARD", "-o", bridge, *answers, *mark, "-j", "ACCEPT"]),
    ]


def _present(table: str, rule: list[str]) -> bool:
    return subprocess.run(["iptables", "-w", "-t", table, "-C", *rule], capture_output=True).returncode == 0


def raise_bridge() -> dict[str, Any]:
    """Make (or complete) the bridge; returns what has to be taken back."""
    for tool in ("ip", "iptables"):
        if not shutil.which(tool):
            raise SandboxError(f"`{tool}` is missing; install it (packages iproute2 and iptables)")
    bridge = bridge_name()
    links = json.loads(_run(["ip", "-json", "-4", "address"]))
    found = [
        f"{address['local']}/{address['prefixlen']}"
        for link in links
        if link["ifname"] == bridge
        for address in link["addr_info"]
    ]
    subnet = found[0] if found else _free_subnet()
    if not Path(f"/sys/class/net/{bridge}").exists():
        _run(["ip", "link", "add", bridge, "type", "bridge"])
    if not found:
        _run(["ip", "address", "add", subnet, "dev", bridge])
    _run(["ip", "link", "set", bridge, "up"])
    for table, rule in _rules(bridge, subnet):
        if not _present(table, rule):
            _run(["iptables", "-w", "-t", table, "-I", *rule])
    forwarding = FORWARDING.read_text(encoding="utf-8").strip()
    if forwarding != "1":
        FORWARDING.write_text("1", encoding="utf-8")
    return {"bridge": bridge, "subnet": subnet, "forwarding_was": forwarding}


def remove_bridge(made: dict[str, Any]) -> None:
    """Take back what raise_bridge made; harmless when some of it is gone already."""
    bridge, subnet = made["bridge"], made["subnet"]
    for table, rule in _rules(bridge, subnet):
        while _present(table, rule):
            _run(["iptables", "-w", "-t", table, "-D", *rule])
    if Path(f"/sys/class/net/{bridge}").exists():
        _run(["ip", "link", "delete", bridge])
    if made["forwarding_was"] == "0":
        others = [link for link in Path("/sys/class/net").iterdir() if (link / "bridge").is_dir()]
        if others:
            say(f"leaving IP forwarding on: {', '.join(link.name for link in others)} may need it")
        else:
            FORWARDING.write_text("0", encoding="utf-8")
