"""How one signs in at a provider with OAuth 2.0: its endpoints and what it wants otherwise than the standards say.

The names are those of authorization server metadata (RFC 8414) where it has them. Client ids are no facts about a
provider but the property of an application, so none stands here: each connection brings its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Scheme = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "token", "raw", "none"]
TokenScheme = Literal["bearer", "token", "raw"]
ClientAuth = Literal["client_secret_basic", "client_secret_post"]
Encoding = Literal["form", "json"]
LOOPBACK = "http://localhost:8080/callback"
"""Where a browser is sent with the code if nothing else is said: nothing listens there, the address bar shows it."""


class TokenExchange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second, short-lived token that is asked for with the first one, by GET: `scheme` is how the first one is sent,
    the others are the fields of the answer, the time in UNIX seconds."""

    endpoint: str
    scheme: TokenScheme = "bearer"
    token: str = "token"  # noqa: S105 - the name of a field
    expires_at: str = "expires_at"


class AccountHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A header that says whose account it is, by a claim of the ID token: the path to it."""

    name: str
    claim: tuple[str, ...]


class OAuth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The OAuth of a provider. With an `authorization_endpoint` one signs in by code and PKCE, with a
    `device_authorization_endpoint` by device code; what has neither cannot be signed in at.

    `authorization_parameters` go into the authorization URL; `encoding` is that of token requests,
    `revocation_encoding` that of revocations where it is another; `state_in_token`
    has the state sent there too; `device_pkce` has a verifier sent with a device code; `scheme` is how the token goes
    into a request, `headers` what the request needs besides.
    """

    token_endpoint: str
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    scopes: tuple[str, ...] = ()
    redirect_uri: str = LOOPBACK
    authorization_parameters: Mapping[str, str] = {}
    token_endpoint_auth_method: ClientAuth = "client_secret_basic"  # noqa: S105 - RFC 8414's word
    encoding: Encoding = "form"
    revocation_encoding: Encoding | None = None
    state_in_token: bool = False
    device_pkce: bool = False
    scheme: TokenScheme = "bearer"
    headers: Mapping[str, str] = {}
    account: AccountHeader | None = None
    exchange: TokenExchange | None = None
