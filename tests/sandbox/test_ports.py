"""Published ports lead to the host's own loopback, and the host does not notice."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.box import Box, free_port, until

pytestmark = pytest.mark.host

# Answers a whole request only after its end was seen, and can end its own side first.
SERVER = """
import hashlib, socket, threading
def serve(port, handle):
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=handle, args=(connection,), daemon=True).start()
def digest(connection):
    total = hashlib.sha256()
    while data := connection.recv(65536):
        total.update(data)
    connection.sendall(total.hexdigest().encode())
    connection.close()
def ends_first(connection):
    connection.sendall(b"greeting")
    connection.shutdown(socket.SHUT_WR)
    digest_of = hashlib.sha256()
    while data := connection.recv(65536):
        digest_of.update(data)
    open("/run/received", "w").write(digest_of.hexdigest())
def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()
for port, handle in ((7001, digest), (7002, ends_first)):
    threading.Thread(target=serve, args=(port, handle), daemon=True).start()
serve(7003, echo)
"""
UNIT = """[Service]
ExecStart=/usr/bin/python3 /opt/server.py
IPAddressDeny=any
IPAddressAllow=localhost
[Install]
WantedBy=multi-user.target
"""
CENSUS = """
ss -Hlntu
systemctl list-unit-files --no-legend --plain
systemctl list-units --all --no-legend --plain --type=service,socket,timer
find / -xdev -newer /root/before -type f -not -path '/proc/*' -not -path '/sys/*' -not -path '/var/log/*'
ps -e -o pid=,args= | grep -v 'ps -e\\|sort\\|grep\\|sh -c'
"""


@pytest.fixture(scope="module")
def forwarded(box: Box) -> Iterator[dict[int, int]]:
    """A host with the test server, which denies every peer but its own loopback."""
    ports = {there: free_port() for there in (7001, 7002, 7003, 7999)}
    box.run("up", "ports")
    box.inside("ports", "sh", "-c", "cat > /opt/server.py", stdin=SERVER)
    box.inside("ports", "sh", "-c", "cat > /etc/systemd/system/server.service", stdin=UNIT)
    box.inside("ports", "systemctl", "enable", "--now", "--quiet", "server.service")
    until("the server to listen", 60, lambda: ":7003" in box.inside("ports", "ss", "-Hlnt") or None)
    box.inside("ports", "touch", "/root/before")
    before = box.inside("ports", "sh", "-c", CENSUS)
    box.run("up", "ports", "--publish", ",".join(f"{here}:{there}" for there, here in ports.items()))
    exchange(ports[7003], b"first")
    after = box.inside("ports", "sh", "-c", CENSUS)
    assert before == after
    yield ports
    box.run("down", "ports")


def exchange(port: int, data: bytes) -> bytes:
    """Send everything, end our side, and read the answer to its end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        sender.join()
    return answer


def test_publishing_adds_nothing_to_the_host(forwarded: dict[int, int]) -> None:
    """The fixture compares the host before and after; this names the promise."""
    assert forwarded


def test_only_loopback_of_this_machine_is_opened(forwarded: dict[int, int]) -> None:
    wanted = {f":{here:04X}" for here in forwarded.values()}
    with open("/proc/net/tcp", encoding="ascii") as table:
        bound = {line.split()[1] for line in table if line.split()[3] == "0A"}
    assert {entry for entry in bound if entry[8:] in wanted} == {f"0100007F{port}" for port in wanted}


def test_end_of_a_request_reaches_the_server(
    forwarded: dict[int, int],
) -> None:
    """The end of the request reaches the server, and the answer still arrives."""
    data = os.urandom(8 << 20)
    assert exchange(forwarded[7001], data).decode() == hashlib.sha256(data).hexdigest()


def test_a_server_that_ends_first_still_gets_the_rest(box: Box, forwarded: dict[int, int]) -> None:
    data = os.urandom(4 << 20)
    with socket.create_connection(("127.0.0.1", forwarded[7002]), timeout=30) as connection:
        assert b"".join(iter(lambda: connection.recv(100), b"")) == b"greeting"
        connection.sendall(data)
    received = until("the server to get everything", 60, lambda: _content(box, "/run/received"))
    assert received == hashlib.sha256(data).hexdigest()


def _content(box: Box, path: str) -> str | None:
    return box.run("exec", "ports", "--", "cat", path, check=False).stdout or None


def test_closed_port_is_a_reset_not_an_empty_answer(forwarded: dict[int, int]) -> None:
    """A closed port of the host is a reset, not an empty answer."""
    # The reset may be there before `connect` has looked.
    address = ("127.0.0.1", forwarded[7999])
    with pytest.raises(ConnectionResetError), socket.create_connection(address, timeout=10) as connection:
        connection.recv(1)


def test_three_hundred_connections_at_once_work(forwarded: dict[int, int]) -> None:
    """Three hundred connections at once are served."""
    everyone_is_in = threading.Barrier(300, timeout=60)

    def one(number: int) -> bool:
        payload = number.to_bytes(2, "big") * 5000
        with socket.create_connection(("127.0.0.1", forwarded[7003]), timeout=60) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            everyone_is_in.wait()
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")) == payload

    with ThreadPoolExecutor(300) as pool:
        assert all(pool.map(one, range(300)))


def test_ports_work_again_after_a_reboot_of_the_host(box: Box, forwarded: dict[int, int]) -> None:
    assert exchange(forwarded[7003], b"before") == b"before"
    box.run("restart", "ports")

    def answered() -> bool | None:
        try:
            return exchange(forwarded[7003], b"after") == b"after" or None
        except ConnectionError:
            return None

    until("the published port to answer after the reboot", 60, answered)


def test_taken_port_names_its_holder(box: Box, host: str) -> None:
    """A port in use is an error that names its holder, and nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = box.run("up", "late", "--publish", f"{free_port()},{port}:80", check=False)
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken by pid {os.getpid()}" in done.stderr
    assert "late" not in box.run("list").stdout.split()


def test_a_port_of_another_host_names_that_host(box: Box, forwarded: dict[int, int]) -> None:
    done = box.run("up", "late", "--publish", str(forwarded[7003]), check=False)
    assert done.returncode == 1
    assert "the sandbox host `ports`" in done.stderr


def test_up_with_other_ports_moves_them(box: Box, host: str) -> None:
    first, second = free_port(), free_port()
    box.run("up", host, "--publish", f"{first}:1")
    box.run("up", host, "--publish", f"{second}:1")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", first), timeout=5)
    socket.create_connection(("127.0.0.1", second), timeout=5).close()
    box.run("up", host, "--publish", "")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", second), timeout=5)
