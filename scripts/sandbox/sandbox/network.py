"""The bridge and the few firewall rules of our own engine, each added and removed individually.

dockerd would set the machine's FORWARD policy to DROP and leave its chains behind when it ends. Our engine runs with
--iptables=false; the rules that its hosts need are added here, marked, and removed again.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .progress import SandboxError, say
from .state import delete_tree, docker_dir, load, save, tag

CANDIDATES = ["10.213.0.1/24", "10.217.0.1/24", "10.223.0.1/24", "192.168.213.1/24", "172.29.213.1/24"]
CANDIDATES += ["10.229.0.1/24", "192.168.217.1/24", "172.29.217.1/24"]
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def bridge_name() -> str:
    return f"htsbx{tag()}" if tag() else "htsbx0"


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SandboxError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _networks_dir() -> Path:
    return docker_dir() / "network"


def _memory() -> Path:
    """A file among Docker's own network state, because it describes that state and is deleted with it."""
    return _networks_dir() / "hypertool-sandbox.json"


def remembered() -> str:
    """The subnet that Docker kept for its bridge; empty if that is unknown, or not one of ours."""
    subnet = load(_memory()).get("subnet")
    return subnet if isinstance(subnet, str) and subnet in CANDIDATES else ""


def remember(subnet: str) -> None:
    save(_memory(), {"subnet": subnet})


def forget() -> bool:
    """Make a stopped Docker forget its networks, never its images and containers; returns whether there were any.

    dockerd assigns the bridge the address from its last run, whatever address the bridge has by now. Without this
    folder it takes the bridge as it is.
    """
    known = _networks_dir().exists()
    # First, so that an interrupted deletion does not look complete.
    _memory().unlink(missing_ok=True)
    delete_tree(_networks_dir())
    return known


def choose(preferred: Sequence[str], taken: Mapping[str, str]) -> str:
    """The first subnet that overlaps none of `taken` (destination to device): preferred ones, then the candidates."""
    for candidate in [*(subnet for subnet in preferred if subnet in CANDIDATES), *CANDIDATES]:
        network = ipaddress.ip_interface(candidate).network
        if not any(network.overlaps(ipaddress.ip_network(other, strict=False)) for other in taken):
            return candidate
    routes = ", ".join(f"{destination} ({device})" for destination, device in taken.items())
    raise SandboxError(
        f"none of the subnets {', '.join(CANDIDATES)} is free on this machine: it has routes to {routes}; "
        "remove one that is in the way (`ip route`), or another set of hosts, and run this again"
    )


def _taken(bridge: str) -> dict[str, str]:
    """This machine's routes (destination to device), without those of our own bridge."""
    routes = json.loads(_run(["ip", "-json", "-4", "route"]))
    return {
        route["dst"]: route.get("dev", route.get("type", "several devices"))
        for route in routes
        if route["dst"] != "default" and route.get("dev") != bridge
    }


@contextmanager
def _one_set_at_a_time() -> Iterator[None]:
    """Keeps two sets that start together from choosing one subnet. Locks a directory, which leaves no file behind."""
    directory = os.open("/run", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


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


def _delete_rules(rules: list[tuple[str, list[str]]]) -> None:
    for table, rule in rules:
        while _present(table, rule):
            _run(["iptables", "-w", "-t", table, "-D", *rule])


def _addresses(bridge: str) -> list[str]:
    return [
        f"{address['local']}/{address['prefixlen']}"
        for link in json.loads(_run(["ip", "-json", "-4", "address"]))
        if link["ifname"] == bridge
        for address in link["addr_info"]
    ]


def _settle(bridge: str) -> str:
    """Give the bridge its earlier subnet, or another one if that is no longer free, but never two."""
    last, has, taken = remembered(), _addresses(bridge), _taken(bridge)
    subnet = choose([last, *has], taken)
    if last and subnet != last:
        say(f"The hosts' subnet {last} is now in use by something else; they get {subnet}")
    if not Path(f"/sys/class/net/{bridge}").exists():
        _run(["ip", "link", "add", bridge, "type", "bridge"])
    for address in has:
        if address != subnet:
            _run(["ip", "address", "delete", address, "dev", bridge])
    if subnet not in has:
        _run(["ip", "address", "add", subnet, "dev", bridge])
    _run(["ip", "link", "set", bridge, "up"])
    return subnet


def raise_bridge() -> dict[str, Any]:
    """Create or complete the bridge before dockerd starts; returns what must be removed later."""
    for tool in ("ip", "iptables"):
        if not shutil.which(tool):
            raise SandboxError(f"`{tool}` is missing; install it (packages iproute2 and iptables)")
    bridge = bridge_name()
    with _one_set_at_a_time():
        subnet = _settle(bridge)
    if remembered() != subnet:
        forget()
    rules = _rules(bridge, subnet)
    # A killed dockerd leaves the rules of its earlier subnet.
    _delete_rules([rule for other in CANDIDATES for rule in _rules(bridge, other) if rule not in rules])
    for table, rule in rules:
        if not _present(table, rule):
            _run(["iptables", "-w", "-t", table, "-I", *rule])
    forwarding = FORWARDING.read_text(encoding="utf-8").strip()
    if forwarding != "1":
        FORWARDING.write_text("1", encoding="utf-8")
    return {"bridge": bridge, "subnet": subnet, "forwarding_was": forwarding}


def remove_bridge(made: dict[str, Any]) -> None:
    """Remove what raise_bridge created; works if part of it is gone already."""
    bridge, subnet = made["bridge"], made["subnet"]
    _delete_rules(_rules(bridge, subnet))
    if Path(f"/sys/class/net/{bridge}").exists():
        _run(["ip", "link", "delete", bridge])
    if made["forwarding_was"] == "0":
        others = [link for link in Path("/sys/class/net").iterdir() if (link / "bridge").is_dir()]
        if others:
            say(f"leaving IP forwarding on: {', '.join(link.name for link in others)} may need it")
        else:
            FORWARDING.write_text("0", encoding="utf-8")
