"""Settings that act on a running gateway: who is let in, and through which proxy the way out goes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest
from support.gateway import Gateway
from support.providers import Says, saying
from support.proxies import LocalProxy, proxying_beside
from support.upstream import Upstream

PASSWORD = "pass-word-of-the-proxy"
FILTERED = """
version: 1
server: {data_dir: "{data_dir}", trusted_proxies: [127.0.0.1]}
auth: {require_login: false}
providers: {demo: {type: demo}}
settings:
  ip_filter: {mode: allow, allow: [192.0.2.0/24, "2001:db8::/32"]}
"""
ENDPOINTS = {
    "/v1/chat/completions": lambda told: told["error"]["code"],
    "/v1/messages": lambda told: told["error"]["type"],
    "/v1/responses": lambda told: told["error"]["code"],
    "/v1beta/models/demo/echo:generateContent": lambda told: told["error"]["status"],
    "/api/chat": lambda told: told["error"],
}
SAID = {
    "/v1/chat/completions": "ip_not_allowed",
    "/v1/messages": "permission_error",
    "/v1/responses": "ip_not_allowed",
    "/v1beta/models/demo/echo:generateContent": "PERMISSION_DENIED",
    "/api/chat": "Requests from `203.0.113.9` are not taken here (`settings.ip_filter`).",
}
BODY = {"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def filtered() -> Iterator[Gateway]:
    with Gateway(FILTERED, INITIAL_PASSWORD="correct horse battery") as gateway:
        yield gateway


def headed(gateway: Gateway, path: str, client: str) -> tuple[int, dict]:
    """The answer to a request of whose body not a byte is sent."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as sock:
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n"
        sock.sendall(f"{head}x-forwarded-for: {client}\r\n\r\n".encode())
        with sock.makefile("rb") as answer:
            status = int(answer.readline().split()[1])
            length = 0
            while (line := answer.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            return status, json.loads(answer.read(length))


@pytest.mark.parametrize("path", ENDPOINTS)
def test_who_is_not_let_in_is_told_so_in_its_own_format_before_the_body_is_read(filtered: Gateway, path: str) -> None:
    status, told = headed(filtered, path, "203.0.113.9")
    assert (status, ENDPOINTS[path](told)) == (403, SAID[path])


@pytest.mark.parametrize("client", ["192.0.2.77", "203.0.113.9, 192.0.2.77", "::ffff:192.0.2.77", "2001:db8::5"])
def test_who_is_listed_is_served(filtered: Gateway, client: str) -> None:
    answer = httpx.post(f"{filtered.url}/v1/chat/completions", json=BODY, headers={"x-forwarded-for": client})
    assert answer.status_code == 200


@pytest.mark.parametrize("client", ["192.0.2.77, 203.0.113.9", "192.0.2.77, unknown", ""])
def test_a_client_does_not_get_in_by_what_it_sends_itself(filtered: Gateway, client: str) -> None:
    answer = httpx.post(f"{filtered.url}/v1/chat/completions", json=BODY, headers={"x-forwarded-for": client})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/health", "/api/config/status"])
def test_load_balancers_and_management_are_not_filtered(filtered: Gateway, path: str) -> None:
    assert httpx.get(f"{filtered.url}{path}").status_code == 200


def test_who_is_not_let_in_leaves_no_row(filtered: Gateway) -> None:
    before = len(filtered.rows())
    assert headed(filtered, "/v1/chat/completions", "203.0.113.9")[0] == 403
    assert len(filtered.rows(before + 1, seconds=0.5)) == before


def test_wrong_passwords_are_counted_by_the_client_and_not_by_the_proxy_before_it(filtered: Gateway) -> None:
    def login(client: str) -> int:
        headers = {"x-forwarded-for": client}
        return httpx.post(f"{filtered.url}/api/auth/login", json={"password": "x"}, headers=headers).status_code

    assert [login("198.51.100.1") for _ in range(6)] == [401] * 5 + [429]
    assert login("6.6.6.6, 198.51.100.1") == 429
    assert login("198.51.100.2") == 401


PROXIED = """
version: 1
server: {{data_dir: "{{data_dir}}"}}
providers:
  lab:
    type: openai-compatible
    base_url: http://lab.invalid:4000/v1
    connections: {{main: {{}}}}
  demo: {{type: demo}}
combos:
  safe: {{targets: [lab/x, demo/echo]}}
settings:
  proxy:
    providers: {{lab: {{url: "{scheme}://127.0.0.1:{port}", username: team, password: "${{env:PROXY_PASSWORD}}"}}}}
"""


def asked(gateway: Gateway, model: str, **more: object) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY | {"model": model} | more, timeout=10)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_provider_that_only_the_proxy_can_find_answers_through_it(scheme: str) -> None:
    with Upstream(saying(Says(text="hello there"))) as upstream:
        hosts = {"lab.invalid": ("127.0.0.1", upstream.port)}
        with proxying_beside(scheme, hosts=hosts, user=("team", PASSWORD)) as local, _through(local) as gateway:
            answer = asked(gateway, "lab/x")
            assert answer.json()["choices"][0]["message"]["content"] == "hello there"
            with httpx.stream(
                "POST", f"{gateway.url}/v1/chat/completions", json=BODY | {"model": "lab/x", "stream": True}
            ) as stream:
                lines = list(stream.iter_lines())
            assert lines[-2] == "data: [DONE]"
            assert local.asked == [("lab.invalid", 4000)]  # one tunnel for both
            assert PASSWORD not in gateway.said()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_refuses_is_a_failure_of_the_connection_and_the_combo_goes_on(scheme: str) -> None:
    with Upstream() as upstream:
        hosts = {"lab.invalid": ("127.0.0.1", upstream.port)}
        with proxying_beside(scheme, hosts=hosts, user=("team", "another")) as local, _through(local) as gateway:
            answer = asked(gateway, "lab/x")
            assert answer.status_code == 502
            assert answer.json()["error"]["message"] == "[lab] the proxy does not accept the credentials, or wants some"
            assert asked(gateway, "safe").headers["x-omniroute-model"] == "echo"
            assert upstream.connections == 0
            rows = gateway.rows(2)
            attempts = [json.loads(row["attempts"]) for row in rows]
            assert [[each["outcome"] for each in tried] for tried in attempts] == [["connect"], ["connect", "success"]]
            assert PASSWORD not in gateway.said() + answer.text + repr(rows)


def _through(local: LocalProxy) -> Gateway:
    return Gateway(PROXIED.format(scheme=local.scheme, port=local.port), PROXY_PASSWORD=PASSWORD)
