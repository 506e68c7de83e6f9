import pytest

from omniroute.errors import UpstreamError
from omniroute.upstream.head import RESERVED, authority, request_head
from omniroute.upstream.transport import Deadlines, Origin, Request

ORIGIN = Origin("https", "api.example.com", 443)


def head(method: str = "POST", target: str = "/v1/x", headers=(), body: bytes = b"") -> bytes:
    return request_head(Request(ORIGIN, method, target, headers, body, Deadlines()), b"api.example.com")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (Origin("https", "api.example.com", 443), b"api.example.com"),
        (Origin("http", "api.example.com", 80), b"api.example.com"),
        (Origin("http", "api.example.com", 443), b"api.example.com:443"),
        (Origin("https", "api.example.com", 8443), b"api.example.com:8443"),
        (Origin("https", "::1", 443), b"[::1]"),
        (Origin("http", "[::1]", 8080), b"[::1]:8080"),
    ],
)
def test_the_host_header_names_the_port_where_it_is_not_the_schemes_own(origin, expected):
    assert authority(origin) == expected


def test_a_head_is_these_bytes():
    assert head(headers=((b"x-a", b"1"), (b"x-b", b"")), body=b"{}") == (
        b"POST /v1/x HTTP/1.1\r\nhost: api.example.com\r\naccept-encoding: identity\r\n"
        b"x-a: 1\r\nx-b: \r\ncontent-length: 2\r\n\r\n"
    )


@pytest.mark.parametrize(("method", "said"), [("GET", False), ("HEAD", False), ("POST", True), ("PUT", True)])
def test_an_empty_body_is_announced_where_one_is_expected(method, said):
    assert (b"content-length: 0" in head(method)) is said


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_what_decides_where_a_message_ends_is_not_for_a_config_to_set(name):
    for spelling in (name, name.upper(), name.title()):
        with pytest.raises(UpstreamError, match="only the HTTP client"):
            head(headers=((spelling, b"x"),))


@pytest.mark.parametrize("where", ["name", "value"])
@pytest.mark.parametrize("evil", [b"\r", b"\n", b"\r\n", b"\0"])
@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_a_control_character_is_refused_wherever_it_stands(where, evil, place):
    text = {"start": evil + b"x", "middle": b"x" + evil + b"x", "end": b"x" + evil}[place]
    header = (text, b"1") if where == "name" else (b"x-a", text)
    with pytest.raises(UpstreamError) as caught:
        head(headers=((b"x-first", b"1"), header, (b"x-last", b"1")))
    assert (caught.value.kind, caught.value.fault.kind) == ("invalid", "invalid_request")
