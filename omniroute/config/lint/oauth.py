"""Whether connections can sign in as they say."""

from __future__ import annotations

from collections.abc import Iterator

from omniroute.config.lint.subject import Rule, Subject
from omniroute.document import quoted
from omniroute.errors import Problem

FLOWS = ("authorization_endpoint", "device_authorization_endpoint")


def nothing_to_sign_in_at(subject: Subject) -> Iterator[Problem]:
    """OR360"""
    for name, provider, row in subject.providers():
        if provider.oauth is not None or (row is not None and row.oauth is not None):
            continue
        for each, connection in provider.connections.items():
            if connection.oauth is not None:
                place = ("providers", name, "connections", each, "oauth")
                message = f"it is not known how one signs in at {quoted(name)}"
                hint = f"use `api_key`, or say it: `providers.{name}.oauth: {{authorization_endpoint: …, token_endpoint: …}}`"
                yield subject.error("OR360", place, message, hint, key=True)


def incomplete(subject: Subject) -> Iterator[Problem]:
    """OR361"""
    for name, provider, row in subject.providers():
        said = provider.oauth
        if said is None:
            continue
        known = row.oauth if row is not None else None
        place = ("providers", name, "oauth")
        if said.token_endpoint is None and known is None:
            yield subject.error("OR361", place, "it needs a `token_endpoint`", key=True)
        if known is None and not any(getattr(said, flow) for flow in FLOWS):
            message = "it needs an `authorization_endpoint`, or a `device_authorization_endpoint`"
            yield subject.error("OR361", place, message, key=True)


def key_and_sign_in(subject: Subject) -> Iterator[Problem]:
    """OR362"""
    for name, provider in subject.spec.providers.items():
        for each, connection in provider.connections.items():
            if connection.oauth is not None and connection.api_key is not None:
                place = ("providers", name, "connections", each, "oauth")
                message = "a connection has an `api_key` or signs in with `oauth`, not both"
                yield subject.error("OR362", place, message, "make two connections of it", key=True)


RULES: tuple[Rule, ...] = (nothing_to_sign_in_at, incomplete, key_and_sign_in)
