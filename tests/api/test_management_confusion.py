"""Paths, hosts and origins that mean to be taken for others."""

from __future__ import annotations

import asyncio
import random
from itertools import product

import pytest
from fake_application import Application, Browser

from omniroute.api import ENDPOINTS
from omniroute.routing.host import host_allowed

DECLARED = frozenset({"gw.example.com", "Second.Example"})
GOOD = [
    "127.0.0.1",
    "127.0.0.1:20128",
    "192.168.1.7:80",
    "[::1]",
    "[::1]:20128",
    "[fe80::1]:1",
    "[::ffff:10.0.0.1]",
    "localhost",
    "LOCALHOST:20128",
    "gateway.local",
    "a.b.local:443",
    "gw.example.com",
    "GW.example.COM:8443",
    "second.example",
]
BAD = [
    "",
    " ",
    "evil.com",
    "evil.com:20128",
    "127.0.0.1.evil.com",
    "localhost.evil.com",
    "evil.com#@localhost",
    "evil.com@localhost",
    "localhost@evil.com",
    "localhost#.evil.com",
    "localhost/",
    "localhost/evil.com",
    "localhost?evil.com",
    "localhost\\evil.com",
    "localhost evil.com",
    "localhost,evil.com",
    "localhost;evil.com",
    "localhost.",
    "gw.example.com.",
    "localhost:",
    "localhost:x",
    "localhost:123456",
    "localhost:80:80",
    "localhost:-1",
    "local",
    ".local",
    "evil.local.com",
    "evillocal",
    "xlocalhost",
    "foo.localhost",
    "gw.example.com.evil.com",
    "evilgw.example.com",
    "gw-example.com",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.256",
    "127.0.0.1.",
    "127.0.0.01",
    "::1",
    "[::1",
    "::1]",
    "[::1]evil.com",
    "[::1]:80evil",
    "[localhost]",
    "[127.0.0.1]",
    "[fe80::1%25eth0]",
    "[]",
    "%6cocalhost",
    "localhost%00",
    "localhost\x00",
    "localhost\t",
    "\x00localhost",
    "localhost\r\nx: y",
    "ｌocalhost",
    "loc\u0430lhost",
    "localho\u017ft",
    "gateway.local\u0307",
    "gw。example.com",
    "١٢٧.0.0.1",
    "a" * 300 + ".local",
]


@pytest.mark.parametrize("host", GOOD)
def test_addresses_localhost_local_and_declared_names_are_ours(host: str):
    assert host_allowed(host, DECLARED)


@pytest.mark.parametrize("host", BAD)
def test_every_other_host_is_not(host: str):
    assert not host_allowed(host, DECLARED)


def test_two_thousand_mutations_of_a_good_host_pass_only_if_they_are_good_themselves():
    chance = random.Random(20128)
    alphabet = "abcl.o-:@#/?%\\ \t[]0127;,_\x00\u017f\u212a"
    seen = passed = 0
    while seen < 2000:
        host = chance.choice(GOOD)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(host) + 1)
            host = host[:at] + chance.choice(alphabet) * chance.randint(0, 1) + host[at + chance.randint(0, 1) :]
        host += chance.choice(["", "", ".evil.com", "@evil.com", ":80", "#.evil.com"])
        seen += 1
        if host_allowed(host, DECLARED):
            passed += 1
            assert plainly_ours(host), host
    assert 0 < passed < seen


def plainly_ours(host: str) -> bool:
    """The same question asked in another way: cut off a port, look at the shape of what remains."""
    assert not set(host) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]")
    if host.startswith("["):
        inside, _, port = host[1:].partition("]")
        return ":" in inside and (port == "" or port[1:].isdigit())
    name, colon, port = host.lower().partition(":")
    four = name.split(".")
    is_v4 = len(four) == 4 and all(part.isdigit() and str(int(part)) == part and int(part) < 256 for part in four)
    known = name in ("localhost", "gw.example.com", "second.example") or name.endswith(".local")
    return (is_v4 or known) and (port.isdigit() or not colon)


@pytest.mark.parametrize("host", [b"evil.com", b"evil.com@localhost", b"localhost.", b"127.0.0.1.evil.com"])
def test_no_credential_opens_a_guarded_path_under_a_strange_name(browser: Browser, host: bytes):
    page = browser.logged_in()
    for row in ENDPOINTS:
        if row.guarded:
            for credential in ({"key": "writer"}, page, {}):
                assert browser(row.method, row.path, host=host, **credential).status in (400, 403)


def test_a_declared_name_and_an_address_open_it(browser: Browser):
    for host in (b"gw.example.com", b"10.0.0.5:20128", b"[::1]:20128"):
        assert browser("GET", "/api/config", key="writer", host=host).status == 200


def test_load_balancers_may_use_any_name(browser: Browser):
    for path in ("/health", "/livez", "/readyz"):
        assert browser("GET", path, host=b"pool-7.internal").status == 200
        assert browser("GET", path, host=None).status == 200


def test_a_request_has_exactly_one_host(browser: Browser):
    credential = (b"authorization", b"Bearer writer")
    for hosts in ([], [b"localhost", b"localhost"], [b"localhost", b"evil.com"], [b"evil.com", b"localhost"]):
        headers = [credential, *((b"host", host) for host in hosts)]
        reply = asyncio.run(browser.raw("GET", "/api/config", headers))
        assert reply.status in (400, 403)


def path_variants() -> set[str]:
    """Two thousand ways to write a guarded path."""
    chance = random.Random(7)
    open_to_all = {row.path for row in ENDPOINTS if row.access == "public"}
    guarded = sorted({row.path for row in ENDPOINTS} - open_to_all)
    marks = [
        "/",
        "//",
        "/./",
        "/../",
        "/%2e/",
        "/%2f",
        ";x",
        ";/",
        "\x00",
        "%00",
        ".",
        "..",
        " ",
        "\\",
        "\u2215",
        "\uff0f",
    ]
    variants: set[str] = set()
    while len(variants) < 2000:
        path = chance.choice(guarded)
        for _ in range(chance.randint(1, 3)):
            match chance.randrange(6):
                case 0:
                    at = chance.randrange(len(path) + 1)
                    path = path[:at] + chance.choice(marks) + path[at:]
                case 1:
                    path = "".join(chance.choice((each.upper(), each)) for each in path)
                case 2:
                    path = chance.choice(("/health/..", "/x/..", "/.", "/v1/..", "http://localhost")) + path
                case 3:
                    path += chance.choice(marks)
                case _:
                    path = "".join("/" * chance.randint(1, 3) if each == "/" else each for each in path)
        variants.add(path)
    return variants


def test_no_way_to_write_a_guarded_path_gets_around_its_guard(browser: Browser):
    guarded = 0

    async def opened() -> list[str]:
        nonlocal guarded
        found = []
        for path, method in product(path_variants(), ("GET", "POST")):
            reply = await browser.send(method, path)
            if reply.status < 400 or reply.status >= 500:
                found.append(f"{method} {path!r}: {reply.status}")
            assert "error" in reply.json
            guarded += reply.status == 401
        return found

    assert asyncio.run(opened()) == []
    assert guarded > 100


FOREIGN = (
    "https://evil.com",
    "null",
    "http://127.0.0.1:20128.evil.com",
    "http://127.0.0.1",
    "http://127.0.0.1:20128/x",
    "x",
)


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_another_origin_cannot_write(application: Application, browser: Browser, origin: str):
    page = browser.logged_in()
    reply = browser("POST", "/api/config/reload", origin=origin, **page)
    assert (reply.status, reply.code) == (403, "cross_origin")
    assert browser.login(origin=origin).status == 403
    application.allow(require_login=False)
    assert browser("POST", "/api/config/reload", origin=origin, server="127.0.0.1").status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "", "same-origin, cross-site"])
def test_a_page_of_another_site_cannot_write(browser: Browser, site: str):
    page = browser.logged_in()
    assert browser("POST", "/api/config/reload", sec_fetch_site=site, **page).status == 403


def test_our_own_page_and_what_is_no_browser_can(browser: Browser):
    page = browser.logged_in()
    for headers in (
        {},
        {"origin": "http://127.0.0.1:20128", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ):
        assert browser("POST", "/api/config/reload", **headers, **page).status == 200
    behind_tls = {"origin": "https://gw.example.com", "host": b"gw.example.com"}
    assert browser("POST", "/api/config/reload", **behind_tls, **page).status == 200


@pytest.mark.parametrize("word", [None, "", "x", "A" * 43])
def test_a_session_writes_only_with_its_own_word(browser: Browser, word: str | None):
    page = browser.logged_in()
    other = browser.logged_in()["x_omniroute_csrf"]
    page.pop("x_omniroute_csrf")
    for wrong in (word, other):
        headers = {} if wrong is None else {"x_omniroute_csrf": wrong}
        reply = browser("POST", "/api/config/reload", cookie=page["cookie"], **headers)
        assert (reply.status, reply.code) == (403, "csrf_token_wrong")
    assert browser("GET", "/api/config", cookie=page["cookie"]).status == 200
