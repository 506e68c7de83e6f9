"""Where somebody may say where the gateway connects to, and where it then does: every place × every kind of address.

Every connection that this process makes is seen (`sys.addaudithook`), and one listener stands for all that is private:
whoever connects to it without being declared to fails the test. Whoever may write the configuration may name private
addresses, for providers often are there; who has a client's key may name none.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import speech
from support.managed import Managed, run
from support.upstream import Asked, Script, Upstream, whole

CONFIG = """
version: 1
server: {data_dir: "{data_dir}", fetch_images: {enabled: true, timeout: 2s}}
auth: {require_login: false}
providers:
  open: {type: openai-compatible, base_url: URL/v1, connections: {main: {api_key: "${env:LAB_KEY}"}}, models: {m: {}, e: {kind: embedding}}}
  olla: {type: ollama-compatible, base_url: URL, models: {m: {}}}
  gem: {type: gemini-compatible, base_url: URL/v1beta, connections: {main: {api_key: "${env:LAB_KEY}"}}, models: {m: {}}}
  signer:
    type: openai-compatible
    base_url: URL/v1
    oauth: {authorization_endpoint: URL/authorize, token_endpoint: URL/token, redirect_uri: "http://localhost:9/cb", device_authorization_endpoint: URL/device}
    connections: {main: {oauth: {client_id: us}}}
evals: {smoke: {model: open/m, cases: {one: {input: Hi, expect: {contains: Hello}}}}}
sync: {remote: URL/repo.git}
cli_tools: {home: "HOME"}
"""
HOSTS = (
    "127.0.0.1",
    "localhost",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "localhost.",
    "LOCALHOST",
)
"""This machine, its network and its cloud's metadata, as they may be written."""
FORMS = (
    "http://{host}:{port}/a.png",
    "https://{host}:{port}/a.png",
    "http://{host}/a.png",
    "https://{host}/a.png",
    "https://u:p@{host}:{port}/a.png",
    "https://example.com@{host}/a.png",
    "https://{host}:{port}#@example.com/a.png",
    "https://{host}\\@example.com/a.png",
    "//{host}:{port}/a.png",
)
SCHEMES = (
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "ftp://127.0.0.1:{port}/a",
    "dict://127.0.0.1:{port}/info",
    "ldap://127.0.0.1:{port}/a",
    "jar:http://127.0.0.1:{port}!/a",
    "unix:///var/run/docker.sock",
    "http+unix://%2fvar%2frun%2fdocker.sock/a",
    "javascript:alert(1)",
    "ws://127.0.0.1:{port}/",
)


def image_targets(port: int) -> list[str]:
    """What a client may try: hundreds."""
    return [form.format(host=host, port=port) for form, host in itertools.product(FORMS, HOSTS)] + [
        scheme.format(port=port) for scheme in SCHEMES
    ]


_seen: list[tuple[str, int]] = []
_hooked: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        _seen.append((str(arguments[1][0]), int(arguments[1][1])))
    elif event == "socket.connect":
        _seen.append((repr(arguments[1]), 0))


@contextmanager
def connections(*declared: int) -> Iterator[list[tuple[str, int]]]:
    """All connections that are made meanwhile, but for those to declared ports of this machine."""
    if not _hooked:  # one that is added stays
        sys.addaudithook(_hook)
        _hooked.append(True)
    found: list[tuple[str, int]] = []
    before = len(_seen)
    yield found
    found += [one for one in _seen[before:] if one[1] not in declared]


def says(asked: Asked) -> Script:
    if "chat" in asked.path:
        return whole(speech.whole("ollama" if asked.path.startswith("/api") else "openai"))
    return whole(speech.whole("gemini") if "enerate" in asked.path else {"object": "list", "data": [{"id": "m"}]})


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("LAB_KEY", "sk-lab-key")
    with Upstream(says) as one:
        yield one


@pytest.fixture
def listener() -> Iterator[Upstream]:
    """Stands for everything that nobody may be led to."""
    with Upstream(lambda _asked: whole({"secret": "of the inner network"})) as one:
        yield one


def within(tmp_path: Any, provider: Upstream, test: Any) -> None:
    run(tmp_path, CONFIG.replace("URL", provider.url).replace("HOME", str(tmp_path / "home")), test)


def test_a_client_cannot_have_an_image_fetched_from_what_is_not_public(tmp_path, provider, listener):
    async def test(one: Managed) -> None:
        targets = image_targets(listener.port)
        assert len(targets) > 300
        with connections(provider.port) as made:
            for number, target in enumerate(targets):
                model = ("olla/m", "gem/m")[number % 2]
                content = [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": target}}]
                told = await one(
                    "POST", "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": content}]}
                )
                assert told.status == 400, (target, told.status, told.body)
                assert b"inner network" not in told.body
        assert made == []
        assert listener.connections == 0
        assert not provider.asked

    within(tmp_path, provider, test)


SMUGGLED = (
    "api_base",
    "base_url",
    "baseUrl",
    "endpoint",
    "url",
    "proxy",
    "api_url",
    "host",
    "server_url",
    "custom_llm_provider",
)
HEADERS = (
    "x_base_url",
    "x_api_base",
    "x_forwarded_host",
    "x_upstream_url",
    "openai_base_url",
    "x_portkey_custom_host",
    "forwarded",
)


def test_no_field_header_or_query_of_a_client_says_where_to_connect_to(tmp_path, provider, listener):
    async def test(one: Managed) -> None:
        address = f"{listener.url}/v1"
        ask = {"model": "open/m", "messages": [{"role": "user", "content": "Hi"}]}
        with connections(provider.port) as made:
            for name in SMUGGLED:
                for value in (address, {"url": address}, [address]):
                    await one("POST", "/v1/chat/completions", ask | {name: value})
                    await one(
                        "POST",
                        "/v1/chat/completions",
                        ask | {"metadata": {name: address}, "extra_body": {name: address}},
                    )
                await one("POST", f"/v1/chat/completions?{name}={address}", ask)
            for name in HEADERS:
                await one("POST", "/v1/chat/completions", ask, **{name: address})
            tools = [{"type": "mcp", "server_label": "x", "server_url": address}]
            await one("POST", "/v1/responses", {"model": "open/m", "input": "Hi", "tools": tools})
            parts = [
                {"type": "input_file", "file_url": address},
                {"type": "input_image", "image_url": address},
                {"type": "document", "source": {"type": "url", "url": address}},
                {"type": "image", "source": {"type": "url", "url": address}},
                {"type": "file", "file": {"file_data": address}},
                {"type": "input_audio", "input_audio": {"data": address, "format": "wav"}},
                {"type": "video_url", "video_url": {"url": address}},
            ]
            for part, (path, field) in itertools.product(
                parts, (("/v1/chat/completions", "messages"), ("/v1/messages", "messages"), ("/v1/responses", "input"))
            ):
                for model in ("open/m", "olla/m", "gem/m"):
                    said = [{"role": "user", "content": [part]}]
                    await one("POST", path, {"model": model, "max_tokens": 9, field: said})
            for model in (
                address,
                f"{address}/m",
                f"open/{address}",
                f"//{listener.url[7:]}/m",
                "open/../../m",
                "file:///etc/passwd",
            ):
                await one("POST", "/v1/chat/completions", ask | {"model": model})
                await one("POST", f"/v1/providers/{model.replace('/', '%2f')}/chat/completions", ask)
        assert made == []
        assert listener.connections == 0
        hosts = {asked.headers["host"] for asked in provider.asked}
        assert hosts == {f"127.0.0.1:{provider.port}"}
        assert not [asked for asked in provider.asked if ".." in asked.path or "//" in asked.path]

    within(tmp_path, provider, test)


NEVER = (
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "http://u:p@127.0.0.1:{port}/v1",
    "http://127.0.0.1:{port}@evil.com/v1",
    "http://127.0.0.1:{port}/v1?x=1",
    "http://127.0.0.1:{port}/v1#x",
    "http://127.0.0.1:{port}\\@evil.com/v1",
    "http://127.0.0.1:{port}/v1\r\nx: y",
    "//127.0.0.1:{port}/v1",
    "http:///v1",
    "http://127.0.0.1:0/v1",
    "http://127.0.0.1:99999/v1",
    "http://①②⑦.⓪.⓪.①:{port}/v1",
    "javascript:alert(1)",
    "",
    " ",
    "http://169.254.169.254/latest/meta-data",
    "http://169.254.169.254:80",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
    "http://[::ffff:100.100.100.200]/",
    "http://100.100.100.200/",
    "http://metadata.google.internal/computeMetadata/v1",
    "http://METADATA.google.internal./",
)
"""What is nowhere the address of a provider: other schemes, users, queries, what is no host, the metadata of clouds."""


def test_who_may_write_names_private_addresses_and_never_what_is_none(tmp_path, provider, listener):
    async def test(one: Managed) -> None:
        with connections() as made:
            told = await one(
                "POST", "/api/provider-nodes/validate", {"baseUrl": f"{provider.url}/v1", "type": "openai-compatible"}
            )
        assert ("127.0.0.1", provider.port) in made, "a connection would be seen"
        assert told.json["valid"], "a private address is a provider's as well as any"
        before = (tmp_path / "omniroute.yaml").read_bytes()
        with connections() as made:
            for form in NEVER:
                address = form.format(port=listener.port)
                asked: list[tuple[str, str, Any]] = [
                    ("POST", "/api/provider-nodes/validate", {"baseUrl": address, "apiKey": "k"}),
                    ("POST", "/api/provider-nodes/validate", {"baseUrl": address, "type": "ollama-compatible"}),
                    (
                        "POST",
                        "/api/provider-nodes",
                        {"prefix": "rack", "type": "openai-compatible", "baseUrl": address},
                    ),
                    ("PATCH", "/api/provider-nodes/open", {"baseUrl": address}),
                ]
                if address:
                    asked.append(
                        ("POST", "/api/providers/validate", {"provider": "openai", "apiKey": "k", "baseUrl": address})
                    )
                for method, path, body in asked:
                    told = await one(method, path, body)
                    assert told.status in (400, 422), (method, path, address, told.status, told.body)
        assert made == []
        assert (tmp_path / "omniroute.yaml").read_bytes() == before

    within(tmp_path, provider, test)


def test_a_proxy_is_tried_to_configured_providers_only(tmp_path, provider, listener):
    async def test(one: Managed) -> None:
        for scheme in ("file", "gopher", "https", "socks4", "http://u:p@x", "", "http://127.0.0.1:1/#"):
            with connections() as made:
                told = await one(
                    "POST",
                    "/api/settings/proxy/test",
                    {"proxy": {"type": scheme, "host": "127.0.0.1", "port": listener.port}, "provider": "open"},
                )
            assert (told.status, made) == (400, []), scheme
        for host in ("127.0.0.1/x", "u@127.0.0.1", "127.0.0.1#", "a b", "", "127.0.0.1\r\n"):
            with connections() as made:
                told = await one(
                    "POST",
                    "/api/settings/proxy/test",
                    {"proxy": {"type": "http", "host": host, "port": listener.port}, "provider": "open"},
                )
            assert (told.status, made) == (400, []), host
        for name in (listener.url, "169.254.169.254", "nobody"):
            with connections() as made:
                told = await one(
                    "POST",
                    "/api/settings/proxy/test",
                    {"proxy": {"type": "http", "host": "127.0.0.1", "port": listener.port}, "provider": name},
                )
            assert (told.status, made) == (404, [])
        assert listener.connections == 0
        body = {"proxy": {"type": "http", "host": "127.0.0.1", "port": listener.port}, "provider": "open"}
        told = await one("POST", "/api/settings/proxy/test", body)
        assert (told.status, listener.connections) == (200, 1)  # declared: the proxy itself
        assert b"inner network" not in told.body

    within(tmp_path, provider, test)


def test_what_is_only_written_down_is_not_connected_to(tmp_path, provider, listener):
    async def test(one: Managed) -> None:
        with connections(provider.port) as made:
            tool = {"baseUrl": listener.url, "apiKey": "k", "model": "open/m"}
            for name in ("claude", "codex", "qwen", "opencode"):
                assert (await one("POST", f"/api/cli-tools/{name}-settings", tool)).status == 200
            for body in ({"action": "sync", "remote": listener.url}, {"action": "compare", "instance": listener.url}):
                await one("POST", "/api/sync/cloud", body)
            for body in (
                {"suiteId": "smoke", "target": f"{listener.url}/m"},
                {"suiteId": "smoke", "target": {"id": listener.url, "type": "url"}},
                {"suiteId": listener.url},
            ):
                await one("POST", "/api/evals", body)
            for name in ("redirect_uri", "connection"):
                for place in (
                    listener.url,
                    "file:///x",
                    "javascript:alert(1)",
                    "http://evil.com/cb",
                    "http://169.254.169.254/",
                ):
                    await one("GET", f"/api/oauth/signer/authorize?{name}={place}")
            for url in (f"{listener.url}/?code=a&state=b", "file:///x?code=a&state=b"):
                await one("POST", "/api/oauth/signer/exchange", {"callbackUrl": url})
            await one("POST", "/api/explain", {"model": listener.url})
            node = {"prefix": "rack", "type": "openai-compatible", "baseUrl": f"{listener.url}/v1"}
            assert (await one("POST", "/api/provider-nodes", node)).status == 201
        assert made == []
        assert listener.connections == 0

    within(tmp_path, provider, test)


def test_the_browser_is_sent_back_to_https_or_this_machine_only(tmp_path, provider):
    async def test(one: Managed) -> None:
        for place in (
            "http://evil.com/cb",
            "file:///x",
            "javascript:alert(1)",
            "http://127.0.0.1.evil.com/",
            "http://localhost@evil.com/",
            "//evil.com",
        ):
            told = await one("GET", f"/api/oauth/signer/authorize?redirect_uri={place}")
            assert told.status == 400, place

    within(tmp_path, provider, test)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_anywhere(tmp_path, provider, listener, status: int):
    def elsewhere(asked: Asked) -> Script:
        return whole({}, status, location=f"{listener.url}{asked.path}")

    async def test(one: Managed) -> None:
        provider.script = elsewhere
        began = json.loads((await one("GET", "/api/oauth/signer/authorize")).body)
        with connections(provider.port) as made:
            for model in ("open/m", "olla/m", "gem/m"):
                told = await one("POST", "/v1/chat/completions", speech.ask(model))
                assert told.status >= 500, told.body
                await one("POST", "/v1/chat/completions", speech.ask(model, stream=True))
            for path, body in (
                ("/v1/embeddings", {"model": "open/e", "input": "Hi"}),
                ("/v1/images/generations", {"model": "open/m", "prompt": "Hi"}),
                ("/v1/messages/count_tokens", speech.ask("open/m")),
                ("/api/provider-nodes/validate", {"baseUrl": f"{provider.url}/v1", "apiKey": "sk-lab-key"}),
                ("/api/providers/validate", {"provider": "open", "apiKey": "sk-lab-key"}),
                ("/api/providers/test-batch", {"mode": "all"}),
                ("/api/oauth/signer/exchange", {"code": "c", "state": began["state"]}),
                ("/api/sync/cloud", {"action": "sync"}),
                ("/api/evals", {"suiteId": "smoke"}),
            ):
                await one("POST", path, body)
            await one("GET", "/api/oauth/signer/device-code")
            await one("GET", "/api/providers/open.main/models")
        assert provider.asked
        assert made == []
        assert listener.connections == 0

    within(tmp_path, provider, test)
