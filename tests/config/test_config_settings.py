"""What settings compile to: which proxy a call goes through, and who is let in."""

import pytest

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.routing.explain import explain
from omniroute.routing.policies import Supposed
from omniroute.routing.resolve import resolve
from omniroute.routing.tables import ANONYMOUS, Target
from omniroute.state.memory import memory_state

CONFIG = """
version: 1
providers:
  lab:
    type: openai-compatible
    base_url: https://lab.example.com/v1
    connections: {one: {}, two: {}}
  den:
    type: openai-compatible
    base_url: https://den.example.com/v1
    connections: {main: {}}
  near:
    type: openai-compatible
    base_url: http://10.1.2.3:8000/v1
    connections: {main: {}}
  own: {type: openai-compatible, base_url: "https://API.Inside.internal/v1", connections: {main: {}}}
aliases: {quick: inner}
combos:
  outer: {targets: [den/x, lab/x, inner, near/x]}
  inner: {targets: [den/x, lab/x]}
  plain: {targets: [den/x, lab/x, own/x]}
settings:
  proxy:
    global: {url: "http://global:1"}
    providers: {lab: {url: "http://lab:1", username: team, password: "${env:LAB_PASSWORD}"}}
    combos: {outer: {url: "socks5://outer:1"}, inner: {url: "socks5h://[::1]:1/"}}
    connections: {lab.two: {url: "http://two:1"}}
    no_proxy: [10.0.0.0/8, "*.INSIDE.internal"]
"""


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_PASSWORD", "hunter22")

    def compile_(text):
        file = tmp_path / "omniroute.yaml"
        file.write_text(text)
        return compile_gateway(bundle.read(file, catalog.load()), catalog.load())

    return compile_


def flat(route):
    for step in route.steps:
        if isinstance(step, Target):
            yield step
        else:
            yield from flat(step)


def ways(gateway, name):
    """Each connection that the name leads to, with the proxy before it."""
    return [
        (connection.id, proxy.label if proxy else "direct")
        for target in flat(resolve(gateway, name))
        for connection in target.upstream.connections
        for proxy in [target.via(connection, target.upstream.endpoints["openai_chat"])]
    ]


def test_the_most_specific_proxy_counts(compiled):
    gateway = compiled(CONFIG)
    assert ways(gateway, "den/x") == [("den.main", "http://global:1")]
    assert ways(gateway, "lab/x") == [("lab.one", "http://lab:1"), ("lab.two", "http://two:1")]
    through_inner = [("den.main", "socks5://[::1]:1"), ("lab.one", "socks5://[::1]:1"), ("lab.two", "http://two:1")]
    assert ways(gateway, "inner") == through_inner
    assert ways(gateway, "quick") == through_inner
    assert ways(gateway, "outer") == [
        ("den.main", "socks5://outer:1"),
        ("lab.one", "socks5://outer:1"),
        ("lab.two", "http://two:1"),
        *through_inner,
        ("near.main", "direct"),
    ]


def test_hosts_without_a_proxy_are_called_directly_whatever_the_proxy(compiled):
    gateway = compiled(CONFIG)
    assert ways(gateway, "near/x") == [("near.main", "direct")]
    assert ways(gateway, "plain")[-1] == ("own.main", "direct")


def test_without_proxies_everything_is_called_directly(compiled):
    gateway = compiled(CONFIG.partition("settings:")[0])
    assert {way for _, way in ways(gateway, "outer")} == {"direct"}


def test_an_explanation_tells_the_proxy_of_each_candidate_and_no_credential(compiled):
    told = explain(compiled(CONFIG), memory_state(), "plain", "openai_chat")
    assert [(step.connection, step.proxy, step.proxy_setting) for step in told.steps] == [
        ("den.main", "http://global:1", "settings.proxy.global"),
        ("lab.one", "http://lab:1", "settings.proxy.providers.lab"),
        ("lab.two", "http://two:1", "settings.proxy.connections.lab.two"),
        ("own.main", "", ""),
    ]
    assert "hunter22" not in repr(told)
    assert "team" not in repr(told)


def test_the_key_of_a_proxy_stays_over_reloads_and_changes_with_its_credentials(compiled, monkeypatch):
    def key():
        return compiled(CONFIG).upstreams["lab"].proxy.key

    before = key()
    assert key() == before
    monkeypatch.setenv("LAB_PASSWORD", "hunter23")
    assert key() != before


def test_a_rotated_proxy_password_makes_another_snapshot(compiled, monkeypatch):
    before = compiled(CONFIG).secrets
    monkeypatch.setenv("LAB_PASSWORD", "hunter23")
    assert compiled(CONFIG).secrets != before


def filtered(text):
    return f"version: 1\nproviders: {{demo: {{type: demo}}}}\nsettings: {{ip_filter: {{{text}}}}}\n"


def test_only_the_list_of_the_mode_counts(compiled):
    lists = "allow: [10.0.0.0/8], block: [10.0.0.0/8, 127.0.0.1]"
    assert compiled(filtered(f"mode: off, {lists}")).ip_filter is None
    assert compiled(filtered(lists)).ip_filter is None
    allow = compiled(filtered(f"mode: allow, {lists}")).ip_filter
    assert [allow.admits(ip) for ip in ("10.1.1.1", "127.0.0.1", "::1")] == [True, False, False]
    block = compiled(filtered(f"mode: block, {lists}")).ip_filter
    assert [block.admits(ip) for ip in ("10.1.1.1", "127.0.0.1", "::1")] == [False, False, True]


def test_an_explanation_tells_what_the_filter_makes_of_a_caller(compiled):
    gateway = compiled(filtered("mode: allow, allow: [10.0.0.0/8]"))
    told = [
        explain(gateway, memory_state(), "demo/echo", "openai_chat", Supposed(principal=ANONYMOUS, ip=ip)).ip_filter
        for ip in ("10.1.1.1", "1.1.1.1", "")
    ]
    assert told == [
        "Requests from `10.1.1.1` are taken here (`settings.ip_filter`).",
        "Requests from `1.1.1.1` are not taken here (`settings.ip_filter`).",
        "",
    ]
