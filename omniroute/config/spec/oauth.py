"""Signing in at a provider instead of sending a key: what its OAuth is, and what a connection brings.

The tokens are run-time data: they live in the secret store below `data_dir`, and no key of this language holds one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from msgspec import Meta

from omniroute.catalog.oauth import ClientAuth, Encoding, TokenScheme
from omniroute.config.spec.words import Address, ClientId, HeaderName, Headers, Node, SecretRef, form
from omniroute.document import Place

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "revocation_endpoint")
Scope = Annotated[str, form(r"[!#-\[\]-~]{1,256}", "a scope: printable ASCII without spaces and quotes", "A scope.")]
Parameter = Annotated[str, form(r"[A-Za-z0-9_.-]{1,64}", "the name of a parameter", "A parameter.")]
Claim = Annotated[str, Meta(min_length=1, max_length=256, description="A step on the path to a claim.")]
AnswerField = Annotated[str, Meta(min_length=1, max_length=64)]
RedirectUri = Annotated[
    str,
    form(
        r"https://[^\s/?#@]+(?:/[^\s#]*)?|http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?(?:/[^\s#]*)?",
        "an https address, or an http one of this machine",
        "Where the provider sends the browser with the code, as it is registered there.",
        ["http://localhost:8080/callback"],
    ),
]


class TokenExchangeSpec(Node, frozen=True, kw_only=True):
    """A second, short-lived token that is asked for with the first one, and that requests carry instead of it."""

    endpoint: Annotated[Address, Meta(description="Where it is asked for, by GET.")]
    scheme: Annotated[TokenScheme, Meta(description="How the first token is sent there.")] = "bearer"
    token: Annotated[AnswerField, Meta(description="The field of the answer that holds it.")] = "token"  # noqa: S105 - the name of a field
    expires_at: Annotated[
        AnswerField, Meta(description="The field of the answer that says when it ends, in UNIX seconds.")
    ] = "expires_at"


class AccountHeaderSpec(Node, frozen=True, kw_only=True):
    """A header that says whose account it is."""

    name: HeaderName
    claim: Annotated[
        tuple[Claim, ...],
        Meta(
            min_length=1, description="The path to the claim of the ID token that it holds.", examples=[["account_id"]]
        ),
    ]


class OAuthSpec(Node, frozen=True, kw_only=True):
    """What the provider's OAuth 2.0 is; for a provider of the catalogue, what differs. With an `authorization_endpoint` one
    signs in by code and PKCE, with a `device_authorization_endpoint` by a code that is typed in on another device."""

    authorization_endpoint: Annotated[Address, Meta(description="Where the browser is sent to sign in.")] | None = None
    token_endpoint: Annotated[Address, Meta(description="Where tokens are asked for.")] | None = None
    device_authorization_endpoint: (
        Annotated[Address, Meta(description="Where a device code is asked for (RFC 8628).")] | None
    ) = None
    revocation_endpoint: Annotated[Address, Meta(description="Where tokens are given back (RFC 7009).")] | None = None
    scopes: (
        Annotated[
            tuple[Scope, ...],
            Meta(
                description="What is asked for, where a connection does not say.",
                examples=[["openid", "offline_access"]],
            ),
        ]
        | None
    ) = None
    redirect_uri: RedirectUri | None = None
    authorization_parameters: (
        Annotated[
            Mapping[Parameter, str],
            Meta(description="What else stands in the authorization URL.", examples=[{"prompt": "consent"}]),
        ]
        | None
    ) = None
    token_endpoint_auth_method: (
        Annotated[ClientAuth, Meta(description="How a client secret is sent; without one the client is public.")] | None
    ) = None
    encoding: Annotated[Encoding, Meta(description="What token requests are written in.")] | None = None
    revocation_encoding: (
        Annotated[Encoding, Meta(description="What a revocation is written in, where not the same.")] | None
    ) = None
    state_in_token: (
        Annotated[bool, Meta(description="It wants the state with the code at the token endpoint.")] | None
    ) = None
    device_pkce: Annotated[bool, Meta(description="It wants a code verifier with a device code.")] | None = None
    scheme: (
        Annotated[TokenScheme, Meta(description="How the token goes into a request: as `Authorization: Bearer …`.")]
        | None
    ) = None
    headers: Annotated[Headers, Meta(description="What a request with a token needs besides.")] | None = None
    account: Annotated[AccountHeaderSpec | None, Meta(description="A header that says whose account it is.")] = None
    exchange: Annotated[
        TokenExchangeSpec | None, Meta(description="A second token that is asked for with the first one.")
    ] = None


class OAuthClientSpec(Node, frozen=True, kw_only=True):
    """The application that signs in. The tokens themselves are in the secret store, not here."""

    client_id: ClientId
    client_secret: SecretRef | None = None
    scopes: (
        Annotated[tuple[Scope, ...], Meta(description="What is asked for, where not the provider's usual scopes.")]
        | None
    ) = None
    redirect_uri: RedirectUri | None = None


def addresses(oauth: OAuthSpec, at: Place) -> Iterator[tuple[Place, str]]:
    """Every address of it, and where that stands."""
    for name in ENDPOINTS:
        value = getattr(oauth, name)
        if value is not None:
            yield (*at, name), value
    if oauth.exchange is not None:
        yield (*at, "exchange", "endpoint"), oauth.exchange.endpoint
