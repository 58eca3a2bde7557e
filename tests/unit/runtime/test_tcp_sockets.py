"""The user of a TCP socket is found by whole addresses, not by ports alone."""

from __future__ import annotations

import os
import socket

import pytest

from hypertool.runtime.tcp_sockets import listening_users, user_of


def test_user_of_needs_both_addresses() -> None:
    """Every address of 127.0.0.0/8 has ports of its own: another one's socket says nothing about this client."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), 5, ("127.0.0.2", 0)),
    ):
        accepted, address = server.accept()
        with accepted:
            assert user_of(address, accepted.getsockname()) == os.geteuid()
            assert user_of(("127.0.0.1", address[1]), accepted.getsockname()) is None
            assert user_of(address, ("127.0.0.3", server.getsockname()[1])) is None


def test_closed_client_is_nobodys() -> None:
    """The kernel shows a socket that its process has closed as root's; a request left behind is not root's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), 5)
        accepted, address = server.accept()
        with accepted:
            client.sendall(b"POST / HTTP/1.1")
            client.close()
            assert user_of(address, accepted.getsockname()) is None


@pytest.mark.parametrize("host", ["::1", "::ffff:127.0.0.1"])
def test_user_of_knows_ipv6_and_mapped_ipv4(host: str) -> None:
    """A dual-stack socket names its IPv4 clients in the form of IPv6."""
    try:
        server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    except OSError as error:
        pytest.skip(f"enable IPv6 on this host: {error}")
    with server, socket.create_connection((host.removeprefix("::ffff:"), server.getsockname()[1]), 5):
        accepted, address = server.accept()
        with accepted:
            assert address[0] == host
            assert user_of(address, accepted.getsockname()) == os.geteuid()


@pytest.mark.parametrize("name", [(), ("", 1), ("host.invalid", 1), ("127.0.0.1", "x"), None])
def test_user_of_odd_names_is_unknown(name: object) -> None:
    assert user_of(name, ("127.0.0.1", 1)) is None


def test_listening_users_by_address() -> None:
    """A listener on every address answers for one of them; a listener on another address does not."""
    with socket.create_server(("127.0.0.2", 0)) as one, socket.create_server(("0.0.0.0", 0)) as every:
        port = one.getsockname()[1]
        assert listening_users("127.0.0.2", port) == {os.geteuid()}
        assert listening_users("127.0.0.1", port) == set()
        assert listening_users("127.0.0.1", every.getsockname()[1]) == {os.geteuid()}
    assert listening_users("127.0.0.2", port) == set()
    assert listening_users("collector.invalid", 4318) == set()
