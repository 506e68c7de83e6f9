"""Whether providers can be called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from socket import inet_aton
from typing import TYPE_CHECKING, get_args
from urllib.parse import urlsplit

from omniroute.catalog import Provider
from omniroute.config.problems import suggestion
from omniroute.config.spec import Spec
from omniroute.config.spec.oauth import addresses
from omniroute.config.spec.providers import ProviderSpec
from omniroute.config.spec.words import Format, Headers, reference
from omniroute.document import Place, is_secret_name, quoted
from omniroute.errors import Problem

if TYPE_CHECKING:
    pass

from omniroute.config.lint.subject import Rule, Subject

FORMATS = frozenset(get_args(Format))
ADDRESSES = 4096
"""Whose judgement is kept: each write looks at all addresses, of which it changes one at most."""


RESERVED = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "accept-encoding",
    }
)
"""Headers that belong to the connection and the body; set by hand they break both."""


PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc")


METADATA = frozenset(
    {
        "169.254.169.254",  # most of them
        "169.254.170.2",  # AWS, for containers
        "fd00:ec2::254",  # AWS
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "168.63.129.16",  # Azure
        "metadata.google.internal",
    }
)


_variable = re.compile(r"\{([^{}]*)\}")


def unknown_provider(subject: Subject) -> Iterator[Problem]:
    """OR201"""
    for name in subject.spec.providers:
        if not subject.names.is_usable(name):
            full = subject.catalog.provider_aliases.get(name)
            hint = f"its name is `{full}`" if full else suggestion(name, subject.catalog.providers)
            message = f"the catalogue has no provider {quoted(name)}; a node of your own has `type` and `base_url`"
            yield subject.error("OR201", ("providers", name), message, hint, key=True)


def incomplete_node(subject: Subject) -> Iterator[Problem]:
    """OR308"""
    for name, provider, row in subject.providers():
        if row is None and provider.base_url is None:
            message = "a node of your own needs a `base_url`"
            yield subject.error("OR308", ("providers", name), message, key=True)


def missing_variable(subject: Subject) -> Iterator[Problem]:
    """OR206"""
    for name, provider, row in subject.providers():
        for variable in sorted(_variables(provider, row) - set(provider.variables)):
            message = f"the address of {quoted(name)} has a part `{{{variable}}}` that nothing fills in"
            hint = f"variables: {{{variable}: …}}"
            yield subject.error("OR206", ("providers", name), message, hint, key=True)


def unused_variable(subject: Subject) -> Iterator[Problem]:
    """OR408"""
    for name, provider, row in subject.providers():
        for variable in provider.variables:
            if variable not in _variables(provider, row):
                place = ("providers", name, "variables", variable)
                message = f"no address has a part `{{{variable}}}`"
                yield subject.warning("OR408", place, message, key=True)


def _variables(provider: ProviderSpec, row: Provider | None) -> set[str]:
    if row is None or provider.base_url is not None:
        return set()
    return {variable for url in row.formats.values() for variable in _variable.findall(url)}


def unusable_address(subject: Subject) -> Iterator[Problem]:
    """OR306"""
    for place, url in _addresses(subject):
        if reference(url) is None:
            reason = why_unusable(url)
            if reason:
                yield subject.error("OR306", place, reason)


def _addresses(subject: Subject) -> Iterator[tuple[Place, str]]:
    for name, provider, _ in subject.providers():
        if provider.base_url is not None:
            yield ("providers", name, "base_url"), provider.base_url
        if provider.oauth is not None:
            yield from addresses(provider.oauth, ("providers", name, "oauth"))


@lru_cache(ADDRESSES)
def why_unusable(url: str) -> str:
    """Why nothing can be at this address; empty where something can."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        return "the host or the port is not a possible one"
    if port == 0 or not host.strip("."):
        return "the host or the port is not a possible one"
    if is_metadata(host):
        return "that is where a cloud tells its machines their credentials, and no provider"
    return "" if url.isascii() else "an address is written in ASCII; a host name with other letters as `xn--…`"


def is_metadata(host: str) -> bool:
    """Whether this is the metadata service of a cloud, however its address is written. Nobody has a provider there, and
    what answers would hand out the machine's own credentials."""
    name = host.rstrip(".").lower()
    try:
        address = ip_address(name)
    except ValueError:
        try:
            address = ip_address(inet_aton(name))  # as the system reads `2852039166` and `0xa9fea9fe`
        except (OSError, UnicodeError):
            return name in METADATA
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address) in METADATA


def plain_http(subject: Subject) -> Iterator[Problem]:
    """OR404"""
    for place, url in _addresses(subject):
        if url.startswith("http://") and not why_unusable(url) and not is_private(url):
            what = "keys and prompts" if place[-1] == "base_url" else "tokens"
            yield subject.warning("OR404", place, f"{what} go over plain http to a public address", "use https")


@lru_cache(ADDRESSES)
def is_private(url: str) -> bool:
    """Whether an address belongs to this machine or a private network, as far as its text tells."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_SUFFIXES)
    return address.is_private or address.is_loopback or address.is_link_local


def unspoken_format(subject: Subject) -> Iterator[Problem]:
    """OR309"""
    for name, provider, row in subject.providers():
        if row is None or provider.base_url is not None:
            continue
        for index, form in enumerate(provider.formats or ()):
            if form not in row.formats:
                spoken = ", ".join(f"`{each}`" for each in row.formats if each in FORMATS)
                place = ("providers", name, "formats", index)
                hint = f"it speaks {spoken}" if spoken else ""
                yield subject.error("OR309", place, f"{quoted(name)} does not speak `{form}`", hint)


def no_connection(subject: Subject) -> Iterator[Problem]:
    """OR409"""
    for name, provider, row in subject.providers():
        if row is not None and row.key_required and not provider.connections:
            shows = 'api_key: "${env:%s}"' % (row.env or "API_KEY")
            if row.env is None and row.oauth is not None:
                shows = 'oauth: {client_id: "${env:CLIENT_ID}"}'
            hint = f"connections: {{main: {{{shows}}}}}"
            message = f"{quoted(name)} needs a key, and there is no connection"
            yield subject.warning("OR409", ("providers", name), message, hint, key=True)


def missing_key(subject: Subject) -> Iterator[Problem]:
    """OR302"""
    for name, provider, row in subject.providers():
        if row is None or not row.key_required:
            continue
        if provider.base_url is not None or _has_credential(provider.headers):
            continue
        for each, connection in provider.connections.items():
            signs_in = connection.api_key is not None or connection.oauth is not None
            if not signs_in and not _has_credential(connection.headers):
                place = ("providers", name, "connections", each)
                message = f"{quoted(name)} needs a key, and this connection has none"
                yield subject.error("OR302", place, message, 'api_key: "${env:…}"', key=True)


def _has_credential(headers: Headers) -> bool:
    return any(is_secret_name(name) for name in headers)


def literal_secret(subject: Subject) -> Iterator[Problem]:
    """OR110"""
    for place, name, value in _headers(subject.spec):
        if is_secret_name(name) and reference(value) is None:
            message = "must be a reference, `${env:NAME}`, `${file:/path}` or `${secret:NAME}`: a credential does not belong into the file"
            yield subject.error(
                "OR110", place, message, "put the value into the environment or a file, and its name here"
            )


def reserved_header(subject: Subject) -> Iterator[Problem]:
    """OR311"""
    for place, name, _ in _headers(subject.spec):
        if name.lower() in RESERVED or name.lower().startswith("proxy-"):
            yield subject.error("OR311", place, f"{quoted(name)} is set by the gateway itself", key=True)


def _headers(spec: Spec) -> Iterator[tuple[Place, str, str]]:
    for provider_name, provider in spec.providers.items():
        holders: list[tuple[Place, Headers]] = [(("providers", provider_name, "headers"), provider.headers)]
        if provider.oauth is not None and provider.oauth.headers is not None:
            holders.append((("providers", provider_name, "oauth", "headers"), provider.oauth.headers))
        for name, connection in provider.connections.items():
            holders.append((("providers", provider_name, "connections", name, "headers"), connection.headers))
        for place, headers in holders:
            for header, value in headers.items():
                yield (*place, header), header, value


def wrong_way_round(subject: Subject) -> Iterator[Problem]:
    """OR312"""
    for name, provider in subject.spec.providers.items():
        for field, limits in provider.quirks.clamp.items():
            if limits.min > limits.max:
                place = ("providers", name, "quirks", "clamp", field)
                yield subject.error("OR312", place, f"`min` {limits.min:g} is above `max` {limits.max:g}", key=True)


RULES: tuple[Rule, ...] = (
    unknown_provider,
    incomplete_node,
    missing_variable,
    unused_variable,
    unusable_address,
    plain_http,
    unspoken_format,
    no_connection,
    missing_key,
    literal_secret,
    reserved_header,
    wrong_way_round,
)
