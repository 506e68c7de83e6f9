"""Paths with parameters that mean to be taken for others, against the guard of every access class over a real socket.

`tests/api/test_management_confusion.py` writes paths without parameters in two thousand ways; here every row is asked for
in the ways that its parameters allow, with bytes as they are, by somebody without a credential and by a client's key.
`CONFUSION=50000 make test TEST=tests/security/test_confusion.py` makes more of them.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from line import Line
from shared import CLIENT
from support.edited import KEY
from support.gateway import Gateway

from omniroute.api import ENDPOINTS
from omniroute.api.endpoint import Endpoint

VARIANTS = int(os.environ.get("CONFUSION", "2000"))
MARKS = ("%2f", "%2F", "%2e", "%2e%2e", "%2e%2e%2f", "..%2f", "%5c", "%00", "%3f", "%23", ";", ";x=1", "%252f", "%252e")
IDENTS = (
    "a%2fb",
    "%2e%2e",
    "%2e%2e%2fauth%2fstatus",
    "..%2f..%2flivez",
    "a%2f..%2fb",
    "%00",
    "%e2%80%ae",
    "%c0%ae",
    "a%20b",
)
HOSTS = (
    "evil.com",
    "127.0.0.1.evil.com",
    "localhost@evil.com",
    "evil.com#localhost",
    "localhost/",
    "[::1]evil.com",
    "2130706433",
    "localhost.",
)


def guarded() -> list[Endpoint]:
    return [row for row in ENDPOINTS if row.access != "public"]


def variants(row: Endpoint, chance: random.Random) -> Iterator[str]:
    """Ways to write the path of a row, without end."""
    while True:
        path = row.path
        for name in row.parameters:
            ident = chance.choice(IDENTS) if chance.random() < 0.7 else "some"
            path = path.replace(f"{{{name}}}", ident)
        for _ in range(chance.randint(0, 2)):
            at = chance.choice([index for index, char in enumerate(path) if char == "/"] + [len(path)])
            path = path[:at] + chance.choice((*MARKS, "/", "//", "/./", "/x/../")) + path[at:]
        if chance.random() < 0.3:
            path = "".join(f"%{ord(char):02x}" if char.isalpha() and chance.random() < 0.3 else char for char in path)
        if chance.random() < 0.1:
            path = chance.choice(("http://127.0.0.1", "http://evil.com", "//evil.com", "/livez/..", "/v1/..")) + path
        yield path


@pytest.mark.parametrize(("who", "refusals"), [("nobody", (401,)), ("client", (403,)), ("wrong", (401,))])
def test_no_way_to_write_a_path_gets_around_its_guard(gateway: Gateway, who: str, refusals: tuple[int, ...]):
    chance = random.Random(f"confusion {who}")
    credential = {"nobody": [], "client": [f"authorization: Bearer {CLIENT}"], "wrong": ["authorization: Bearer x"]}
    rows = guarded()
    assert any(row.parameters for row in rows)
    ways = [(row, variants(row, chance)) for row in rows]
    line, met, wrong = Line(gateway), 0, []
    with closing(line):
        for number in range(max(VARIANTS // 3, len(ways))):
            row, each = ways[number % len(ways)]
            target = next(each)
            status = line.status(row.method, target, f"host: 127.0.0.1:{gateway.port}", *credential[who])
            met += status in refusals
            if not (status == 0 or 400 <= status < 500):
                wrong.append(f"{row.method} {target}: {status}")
    assert wrong == []
    assert met > len(ways) // 3, "hardly any of them reached a guard"


def test_an_id_with_an_encoded_slash_is_one_id_and_never_another_path(gateway: Gateway):
    """`combos/{id}` with `x%2fmetrics` is the combo `x/metrics`, which there is not, and not the metrics of `x`."""
    admin = f"authorization: Bearer {KEY}"
    host = f"host: 127.0.0.1:{gateway.port}"
    line = Line(gateway)
    with closing(line):
        assert line.status("GET", "/api/combos/coding/metrics", host, admin) == 200
        for row in guarded():
            if not row.parameters or row.method != "GET":
                continue
            below = row.path.partition("/{")[0]
            for ident in ("..%2f..%2flivez", "%2e%2e%2fconfig", "coding%2fmetrics", "%2e", "%00", "..%5cconfig"):
                path = f"{below}/{ident}" + row.path.partition("}")[2]
                assert line.status("GET", path, host, admin) in (400, 404), path


@pytest.mark.parametrize("host", HOSTS)
def test_every_guarded_row_refuses_a_strange_host_before_it_looks_at_the_credential(gateway: Gateway, host: str):
    line = Line(gateway)
    with closing(line):
        for row in guarded():
            path = row.path.replace("{", "").replace("}", "")
            assert line.status(row.method, path, f"host: {host}", f"authorization: Bearer {KEY}") in (400, 403), path


def test_two_hosts_and_no_host_are_refused_by_every_guarded_row(gateway: Gateway):
    mine = f"host: 127.0.0.1:{gateway.port}"
    for hosts in ([], [mine, mine], [mine, "host: evil.com"], ["host: evil.com", mine]):
        line = Line(gateway)
        with closing(line):
            for row in guarded()[::5]:
                path = row.path.replace("{", "").replace("}", "")
                assert line.status(row.method, path, *hosts, f"authorization: Bearer {KEY}") in (0, 400, 403), path


def test_forged_forwarding_headers_and_a_proxy_line_give_no_right(gateway: Gateway):
    names = (
        "x-forwarded-for",
        "x-real-ip",
        "forwarded",
        "x-client-ip",
        "x-forwarded-host",
        "x-original-url",
        "x-rewrite-url",
    )
    claims = ("127.0.0.1", "::1", "for=127.0.0.1;host=localhost", "/livez")
    line = Line(gateway)
    with closing(line):
        for number, row in enumerate(guarded()):
            forged = [f"{name}: {claims[(number + at) % len(claims)]}" for at, name in enumerate(names)]
            path = row.path.replace("{", "").replace("}", "")
            assert line.status(row.method, path, f"host: 127.0.0.1:{gateway.port}", *forged) == 401
    with closing(socket.create_connection(("127.0.0.1", gateway.port), 20)) as raw:
        raw.sendall(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /api/config HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 400")
