"""Settings: networks that are some, filters that leave somebody in, proxies of things that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from omniroute.config.lint.names import Unknown
from omniroute.config.lint.subject import Rule, Subject, targets
from omniroute.config.problems import suggestion
from omniroute.config.spec.settings import proxies
from omniroute.document import Place, quoted
from omniroute.errors import Problem
from omniroute.routing.caller import Networks, network
from omniroute.routing.host import Hosts, is_network

FILTER: Place = ("settings", "ip_filter")
PROXY: Place = ("settings", "proxy")
LOOPBACK = ("127.0.0.1", "::1")


def not_a_network(subject: Subject) -> Iterator[Problem]:
    """OR330"""
    for place, texts in _lists(subject).items():
        for index, text in enumerate(texts):
            if place[-1] != "no_proxy" or is_network(text):
                try:
                    network(text)
                except ValueError as error:
                    message = f"{quoted(text)} is no IP address and no network: {_why(error)}"
                    yield subject.error("OR330", (*place, index), message)


def lets_nobody_in(subject: Subject) -> Iterator[Problem]:
    """OR331"""
    spec = subject.spec.settings.ip_filter
    if spec.mode == "allow" and not spec.allow:
        message = "`allow` lists nobody, so the client API would be closed to all"
        yield subject.error("OR331", (*FILTER, "mode"), message, "list who may, or leave the filter `off`")


def two_remotes(subject: Subject) -> Iterator[Problem]:
    """OR334"""
    spec = subject.spec.sync
    if spec.remote is not None and spec.instance is not None:
        message = "the files are kept the same with a git repository or with another gateway, not with both"
        yield subject.error(
            "OR334", ("sync", "instance"), message, "take one of `remote` and `instance` away", key=True
        )


def inside_another(subject: Subject) -> Iterator[Problem]:
    """OR430"""
    for place, texts in _lists(subject).items():
        known = [(index, network(text)) for index, text in enumerate(texts) if _is_network(text)]
        for index, each in known:
            for other, wider in known:
                inside = wider.version == each.version and each.subnet_of(wider)  # type: ignore[arg-type]  # one version
                if other != index and inside and (each != wider or other < index):
                    message = f"{quoted(texts[index])} is inside {quoted(texts[other])}, which stands here too"
                    yield subject.warning("OR430", (*place, index), message)
                    break


def list_not_read(subject: Subject) -> Iterator[Problem]:
    """OR431"""
    spec = subject.spec.settings.ip_filter
    for mode, texts in (("allow", spec.allow), ("block", spec.block)):
        if texts and spec.mode not in (mode, "off"):
            yield subject.warning("OR431", (*FILTER, mode), f"not read, for `mode` is `{spec.mode}`", key=True)
    if spec.mode == "block" and not spec.block:
        yield subject.warning("OR431", (*FILTER, "mode"), "`block` lists nobody, so all may come")


def shuts_this_machine_out(subject: Subject) -> Iterator[Problem]:
    """OR432"""
    spec = subject.spec.settings.ip_filter
    texts = spec.allow if spec.mode == "allow" else spec.block
    if spec.mode == "off" or not texts or not all(map(_is_network, texts)):
        return
    listed = Networks(texts)
    shut = [own for own in LOOPBACK if (own in listed) is (spec.mode == "block")]
    if shut:
        message = f"programs on this machine itself may not use the client API: {', '.join(map(quoted, shut))}"
        yield subject.warning("OR432", (*FILTER, spec.mode), message, key=True)


def proxy_of_nothing(subject: Subject) -> Iterator[Problem]:
    """OR230"""
    spec = subject.spec
    connections = [
        f"{name}.{each}" for name, provider in spec.providers.items() for each in (provider.connections or ("default",))
    ]
    there = {
        "providers": ("provider", list(spec.providers)),
        "combos": ("combo", list(spec.combos)),
        "connections": ("connection", connections),
    }
    for place, _ in proxies(spec.settings.proxy):
        kind, known = there.get(str(place[2]), ("", []))
        if kind and place[3] not in known:
            hint = suggestion(str(place[3]), known)
            yield subject.error("OR230", place, f"there is no {kind} {quoted(place[3])}", hint, key=True)


def password_of_nobody(subject: Subject) -> Iterator[Problem]:
    """OR332"""
    for place, proxy in proxies(subject.spec.settings.proxy):
        if proxy.password is not None and proxy.username is None:
            yield subject.error("OR332", (*place, "password"), "a password needs a `username` beside it", key=True)


def no_way_through(subject: Subject) -> Iterator[Problem]:
    """OR333"""
    spec = subject.spec.settings.proxy
    slow = {name for name, provider in subject.spec.providers.items() if provider.transport == "httpx"}
    if not slow:
        return
    slow -= {name for name in slow if _is_direct(subject, name)}
    ways: dict[Place, set[str]] = {
        ("global",): slow if spec.global_ is not None else set(),
        **{("providers", name): {name} for name in spec.providers},
        **{("connections", name): {name.partition(".")[0]} for name in spec.connections},
        **{("combos", name): set(_providers_of(subject, name, set())) for name in spec.combos},
    }
    for place, reached in ways.items():
        for name in sorted(slow & reached):
            message = f"calls of {quoted(name)} cannot go through a proxy, for its `transport` is `httpx`"
            hint = f"leave `providers.{name}.transport` out"
            yield subject.error("OR333", (*PROXY, *place), message, hint, key=True)


def _is_direct(subject: Subject, provider: str) -> bool:
    """Whether `no_proxy` has the host of a provider; of what stands in an address by reference nothing is known."""
    address = subject.spec.providers[provider].base_url
    texts = subject.spec.settings.proxy.no_proxy
    if address is None or not all(not is_network(text) or _is_network(text) for text in texts):
        return False
    try:
        host = urlsplit(address).hostname
    except ValueError:
        return False
    return host is not None and host in Hosts(texts)


def _providers_of(subject: Subject, combo: str, seen: set[str]) -> Iterator[str]:
    """The providers that a request for a combo may reach; names that lead nowhere are told on their own."""
    if combo in seen or combo not in subject.spec.combos:
        return
    seen.add(combo)
    for _, name in targets(combo, subject.spec.combos[combo]):
        end, steps = name, 0
        try:
            while (following := subject.names.next(end)) is not None and steps < len(subject.spec.aliases) + 2:
                end, steps = following, steps + 1
        except Unknown:
            continue
        if end in subject.spec.combos:
            yield from _providers_of(subject, end, seen)
        else:
            yield subject.names.provider(end.partition("/")[0]) or ""


def _lists(subject: Subject) -> Mapping[Place, tuple[str, ...]]:
    """Every list of networks."""
    settings = subject.spec.settings
    return {
        ("server", "trusted_proxies"): subject.spec.server.trusted_proxies,
        (*FILTER, "allow"): settings.ip_filter.allow,
        (*FILTER, "block"): settings.ip_filter.block,
        (*PROXY, "no_proxy"): settings.proxy.no_proxy,
        **{("policies", name, "match", "ips"): policy.match.ips for name, policy in subject.spec.policies.items()},
    }


def _is_network(text: str) -> bool:
    try:
        network(text)
    except ValueError:
        return False
    return True


def _why(error: ValueError) -> str:
    """The part of the library's words that tells what is wrong; it begins with the text itself."""
    told = str(error)
    if told.endswith("has host bits set"):
        return "it has bits beyond its prefix"
    return "write it as `10.0.0.0/8` or `2001:db8::1`"


RULES: tuple[Rule, ...] = (
    two_remotes,
    not_a_network,
    lets_nobody_in,
    inside_another,
    list_not_read,
    shuts_this_machine_out,
    proxy_of_nothing,
    password_of_nobody,
    no_way_through,
)
