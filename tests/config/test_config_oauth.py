"""What a connection that signs in compiles to: the catalogue's row, what the file says otherwise, and its application."""

from pathlib import Path

import pytest

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.routing.tables import Connection


def connection(tmp_path: Path, text: str) -> Connection:
    """The first connection of the first provider."""
    file = tmp_path / "omniroute.yaml"
    file.write_text(f"version: 1\nserver: {{data_dir: {tmp_path / 'data'}}}\nproviders:\n{text}")
    read = bundle.read(file, catalog.load())
    gateway = compile_gateway(read, catalog.load())
    return next(iter(gateway.upstreams.values())).connections[0]


def test_a_row_of_the_catalogue_needs_an_application_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLIENT", "an-application")
    found = connection(tmp_path, '  anthropic: {connections: {max: {oauth: {client_id: "${env:CLIENT}"}}}}')
    oauth = found.auth.oauth
    assert oauth is not None
    assert (found.id, found.auth.scheme, found.auth.secret) == ("anthropic.max", "oauth", None)
    assert (oauth.client_id, oauth.client_secret) == ("an-application", None)
    assert oauth.authorization == "https://claude.ai/oauth/authorize"
    assert (oauth.issuer, oauth.encoding) == ("https://platform.claude.com/v1/oauth/token", "json")
    assert (oauth.token.origin.host, oauth.token.base_path) == ("platform.claude.com", "/v1/oauth/token")
    assert found.headers == ((b"anthropic-beta", b"oauth-2025-04-20"),)


def test_it_has_the_patience_of_those_that_sign_in(tmp_path: Path):
    signs_in = connection(tmp_path, "  codex: {connections: {me: {oauth: {client_id: x}}}}")
    assert (signs_in.profile.failure_threshold, signs_in.profile.cooldown) == (8, 5)


def test_the_file_says_what_differs(tmp_path: Path):
    found = connection(
        tmp_path,
        """
  codex:
    oauth: {token_endpoint: "https://proxy.example.com/token", scopes: [openid], headers: {x-one: "1"}}
    connections:
      me:
        oauth: {client_id: x, redirect_uri: "https://gateway.example.com/done"}
        headers: {x-two: "2"}
""",
    )
    oauth = found.auth.oauth
    assert oauth is not None
    assert (oauth.issuer, oauth.authorization) == (
        "https://proxy.example.com/token",
        "https://auth.openai.com/oauth/authorize",
    )
    assert (oauth.scopes, oauth.redirect_uri) == (("openid",), "https://gateway.example.com/done")
    assert found.headers == ((b"x-one", b"1"), (b"x-two", b"2"))
    assert oauth.account is not None
    assert oauth.account.name == "chatgpt-account-id"


def test_signing_in_goes_through_the_proxy_of_the_connection(tmp_path: Path):
    text = """
  qwen: {connections: {me: {oauth: {client_id: x, scopes: [a]}}}}
settings:
  proxy:
    global: {url: "http://proxy.example.com:3128"}
    connections: {qwen.me: {url: "socks5://10.0.0.5:1080"}}
    no_proxy: [portal.qwen.ai]
"""
    oauth = connection(tmp_path, text).auth.oauth
    assert oauth is not None
    assert oauth.proxy is not None
    assert oauth.proxy.label == "socks5://10.0.0.5:1080"
    assert not oauth.token.direct
    assert oauth.device_pkce
    plain = text.replace('    connections: {qwen.me: {url: "socks5://10.0.0.5:1080"}}\n', "")
    oauth = connection(tmp_path, plain.replace("portal.qwen.ai", "chat.qwen.ai")).auth.oauth
    assert oauth is not None
    assert oauth.proxy is not None
    assert (oauth.proxy.label, oauth.token.direct) == ("http://proxy.example.com:3128", True)


def test_a_node_of_ones_own_says_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET", "hush")
    found = connection(
        tmp_path,
        """
  lab:
    type: anthropic-compatible
    base_url: http://10.0.0.7/v1
    oauth:
      device_authorization_endpoint: https://auth.example.com/device
      token_endpoint: https://auth.example.com/token
      token_endpoint_auth_method: client_secret_post
      account: {name: X-Account, claim: [a, b]}
      exchange: {endpoint: https://auth.example.com/second, scheme: token, token: jwt, expires_at: exp}
    connections: {me: {oauth: {client_id: x, client_secret: "${env:SECRET}"}}}
""",
    )
    oauth = found.auth.oauth
    assert oauth is not None
    assert oauth.authorization is None
    assert oauth.device is not None
    assert (oauth.scheme, oauth.client_auth, oauth.redirect_uri) == (
        "bearer",
        "client_secret_post",
        "http://localhost:8080/callback",
    )
    assert "hush" not in repr(found)
    assert oauth.account is not None
    assert (oauth.account.name, oauth.account.claim) == ("x-account", ("a", "b"))
    assert oauth.exchange is not None
    assert (oauth.exchange.endpoint.base_path, oauth.exchange.token) == ("/second", "jwt")
