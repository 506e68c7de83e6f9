import asyncio
import socket
import ssl

import pytest
from raw_upstream import LOOPS, alone

from omniroute.upstream import dial as dial_module
from omniroute.upstream.dial import dial, reason, tls_context
from omniroute.upstream.transport import Origin


def listener() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


def address(host: str, port: int, family: int = socket.AF_INET) -> tuple:
    where = (host, port) if family == socket.AF_INET else (host, port, 0, 0)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)


@pytest.fixture(params=list(LOOPS))
def resolving(request, monkeypatch):
    """Dials a host that has the given addresses; those on port 9 never answer."""

    def runner(addresses):
        async def main():
            loop = asyncio.get_running_loop()
            tried = []
            reach = dial_module._reach

            async def watched(loop, info):
                tried.append(info[4][0])
                if info[4][1] == 9:
                    await asyncio.sleep(10)
                return await reach(loop, info)

            class Resolving:
                """The loop, but for its resolver."""

                def __getattr__(self, name):
                    return getattr(loop, name)

                async def getaddrinfo(self, *_args, **_options):
                    return addresses

            monkeypatch.setattr(dial_module, "_reach", watched)
            monkeypatch.setattr(dial_module.asyncio, "get_running_loop", Resolving)
            started = loop.time()
            try:
                protocol = await dial(Origin("http", "provider.test", 80), None, Met)
            finally:
                monkeypatch.undo()
            protocol.transport.abort()
            await alone()
            return protocol.transport.get_extra_info("peername"), tried, loop.time() - started

        return LOOPS[request.param](main())

    return runner


class Met(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport


def test_a_dead_address_costs_a_quarter_of_a_second_and_not_the_deadline(resolving):
    with listener() as sock:
        port = sock.getsockname()[1]
        peer, tried, took = resolving([address("::1", 9, socket.AF_INET6), address("127.0.0.1", port)])
    assert peer == ("127.0.0.1", port)
    assert tried == ["::1", "127.0.0.1"]
    assert 0.2 < took < 1


def test_a_refusing_address_is_followed_by_the_next_at_once(resolving):
    with listener() as sock, listener() as closed:
        refused = closed.getsockname()[1]
        closed.close()
        port = sock.getsockname()[1]
        peer, _, took = resolving([address("127.0.0.1", refused), address("127.0.0.1", port)])
    assert peer == ("127.0.0.1", port)
    assert took < 0.2


def test_families_take_turns(resolving):
    with listener() as sock:
        port = sock.getsockname()[1]
        dead = [address("::1", 9, socket.AF_INET6), address("::2", 9, socket.AF_INET6)]
        _, tried, _ = resolving([*dead, address("127.0.0.1", port)])
    assert tried == ["::1", "127.0.0.1"]


def test_when_all_addresses_refuse_the_first_error_is_told(resolving):
    with listener() as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        resolving([address("127.0.0.1", port), address("127.0.0.1", port)])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ssl.SSLCertVerificationError(1, "for evil.example"), "certificate"),
        (ssl.SSLError(1, "evil.example"), "TLS handshake"),
        (ConnectionRefusedError(111, "10.0.0.1"), "refused"),
        (socket.gaierror(-2, "evil.example"), "host name"),
        (UnicodeError("evil.example"), "host name"),
        (OSError(113, "10.0.0.1"), "failed"),
    ],
)
def test_a_reason_names_no_host(error, words):
    told = reason(error)
    assert words in told
    assert "evil" not in told
    assert "10.0.0.1" not in told


def test_tls_verifies_always():
    context = tls_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
