"""The hosts of a set reach the network at every start, whatever subnets of this machine are free by then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_interface
from pathlib import Path
from subprocess import run
from types import ModuleType

import pytest

import sandbox.network
from tests.sandbox.engine import kill_engine
from tests.support.box import Box, make_box

UPDATE = ("timeout", "60", "apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module of the sandbox that chooses, for a set of its own."""
    monkeypatch.setenv("HYPERTOOL_SANDBOX_DIR", str(tmp_path))
    return sandbox.network


@pytest.mark.parametrize(
    ("preferred", "taken", "expected"),
    [
        pytest.param([], [], "10.213.0.1/24", id="the first, when nothing is known"),
        pytest.param([], ["10.213.0.0/24"], "10.217.0.1/24", id="the next, when the first is taken"),
        pytest.param(["10.223.0.1/24"], [], "10.223.0.1/24", id="the one before, though the first is free"),
        pytest.param(["10.223.0.1/24"], ["10.223.0.64/26"], "10.213.0.1/24", id="not the one before with a hole in it"),
        pytest.param(["10.223.0.1/24"], ["10.223.0.7"], "10.213.0.1/24", id="nor with the route to a single host"),
        pytest.param([], ["10.0.0.0/8"], "192.168.213.1/24", id="none inside a wider route"),
        pytest.param(["", "127.0.0.1/8", "1.2.3.4"], [], "10.213.0.1/24", id="none that is not one of ours"),
    ],
)
def test_a_set_keeps_its_subnet_as_long_as_it_is_free(
    network: ModuleType, preferred: list[str], taken: list[str], expected: str
) -> None:
    assert network.choose(preferred, dict.fromkeys(taken, "eth0")) == expected


def test_no_free_subnet_names_what_is_in_the_way(network: ModuleType) -> None:
    """Without a free subnet, the error names what is in the way."""
    taken = {"10.0.0.0/8": "tun0", "192.168.0.0/16": "eth0", "172.16.0.0/12": "eth1"}
    with pytest.raises(Exception, match=r"10\.0\.0\.0/8 \(tun0\), 192\.168\.0\.0/16 \(eth0\).*`ip route`"):
        network.choose(["10.213.0.1/24"], taken)


def test_subnet_is_forgotten_with_what_docker_kept(network: ModuleType) -> None:
    """Docker's record of our subnet is removed with it, and nothing else is."""
    image = network.docker_dir() / "image"
    image.mkdir(parents=True)
    assert (network.remembered(), network.forget()) == ("", False)
    network.remember("10.223.0.1/24")
    assert network.remembered() == "10.223.0.1/24"
    assert network.forget()
    assert network.remembered() == ""
    assert list(network.docker_dir().iterdir()) == [image]


@pytest.mark.parametrize(
    "content", [b"", b'{"sub', b"[]", b'{"subnet": 5}', b'{"subnet": "0.0.0.0/0"}', b'{"subnet": "?"}', b"\xff\xfe\0"]
)
def test_a_damaged_memory_of_the_subnet_counts_as_none(network: ModuleType, content: bytes) -> None:
    network.remember("10.223.0.1/24")
    file = next(path for path in network.docker_dir().rglob("*") if path.is_file())
    file.write_bytes(content)
    assert network.remembered() == ""


def subnet(box: Box) -> str:
    """What Docker gives addresses from."""
    return box.docker("network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", "bridge").strip()


@contextmanager
def taken(occupied: str) -> Iterator[None]:
    """Something else of this machine has a subnet. A bridge, because kernels that lack other kinds have that one."""
    link = "htsbxtaken"
    run(["ip", "link", "add", link, "type", "bridge"], check=True)
    try:
        run(["ip", "address", "add", f"{ip_interface(occupied).ip + 9}/24", "dev", link], check=True)
        run(["ip", "link", "set", link, "up"], check=True)
        yield
    finally:
        run(["ip", "link", "delete", link], check=True)


@pytest.mark.host
def test_set_with_a_taken_subnet_moves_and_stays(alone: Box) -> None:
    """A set whose subnet was taken moves with its hosts, and stays where it went."""
    alone.run("up", "moved")
    first = subnet(alone)
    alone.inside("moved", "touch", "/root/kept")
    kill_engine(alone)
    with taken(first):
        assert "is now in use by something else" in alone.run("up", "moved").stderr
        second = subnet(alone)
        assert second != first
        alone.inside("moved", "test", "-e", "/root/kept")
        alone.inside("moved", *UPDATE)
        # Ends the engine in order; what it keeps stays, as the images do.
        alone.run("down", "--all")
    assert "Loading" not in alone.run("up", "next").stderr
    assert subnet(alone) == second
    alone.inside("next", *UPDATE)
    alone.run("down", "--all")
    with taken(second):
        alone.run("up", "next")
        assert subnet(alone) != second
        alone.inside("next", *UPDATE)


@pytest.mark.host
def test_damaged_network_records_cost_no_host(alone: Box) -> None:
    """Damage to Docker's records of its networks costs neither hosts nor their network."""
    alone.run("up", "kept")
    alone.inside("kept", "touch", "/root/kept")
    kill_engine(alone)
    for file in (alone.directory / "docker" / "network").rglob("*.db"):
        file.write_bytes(b"\xff" * file.stat().st_size)
    alone.run("up", "kept")
    alone.inside("kept", "test", "-e", "/root/kept")
    alone.inside("kept", *UPDATE)


@pytest.mark.host
def test_sets_that_start_at_once_get_different_subnets(scratch: Path) -> None:
    sets = [make_box(scratch / f"at-once-{number}", HYPERTOOL_SANDBOX_ENGINE="own") for number in range(3)]
    try:
        starting = [box.start("engine", "up") for box in sets]
        said = [process.communicate(timeout=60)[0] for process in starting]
        assert [process.returncode for process in starting] == [0, 0, 0], said
        assert len({subnet(box) for box in sets}) == len(sets)
    finally:
        for box in sets:
            box.run("engine", "down")
