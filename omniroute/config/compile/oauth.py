"""How a connection signs in: what the catalogue knows of its provider, what the file says otherwise, and the
application that the connection brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from omniroute.catalog import oauth as facts
from omniroute.catalog.oauth import LOOPBACK
from omniroute.config.secrets import Resolver
from omniroute.config.spec.oauth import ENDPOINTS, OAuthClientSpec, OAuthSpec
from omniroute.document import Place
from omniroute.routing.tables import Endpoint, Exchange, OAuth, Proxy


def known(row: facts.OAuth | None, spec: OAuthSpec | None) -> dict[str, Any]:
    """The fields of a provider's OAuth that something is said about: the file's word before the catalogue's."""
    merged: dict[str, Any] = {}
    for said in (row, spec):
        if said is not None:
            fields = msgspec.structs.asdict(said)
            merged |= {name: value for name, value in fields.items() if value is not None}
    return merged


class OAuths:
    """Compiles the sign-in of the connections of one provider."""

    def __init__(
        self,
        row: facts.OAuth | None,
        spec: OAuthSpec | None,
        at: Place,
        resolver: Resolver,
        endpoint: Callable[[str], Endpoint],
    ) -> None:
        self._fields = known(row, spec)
        self._at = at
        self._resolver = resolver
        self._endpoint = endpoint
        self._addresses = {
            name: resolver.address(self._fields[name], (*at, "oauth", name))
            for name in ENDPOINTS
            if name in self._fields
        }

    @property
    def headers(self) -> Mapping[str, str]:
        """What a request with a token needs besides."""
        headers: Mapping[str, str] = self._fields.get("headers", {})
        return headers

    def of(self, name: str, spec: OAuthClientSpec, proxy: Proxy | None) -> OAuth:
        """The sign-in of one connection. Lint has seen to it that there is one."""
        fields, addresses = self._fields, self._addresses
        at = (*self._at, "connections", name, "oauth")
        secret = spec.client_secret
        account = fields.get("account")
        return OAuth(
            issuer=addresses["token_endpoint"],
            client_id=self._resolver.text(spec.client_id, (*at, "client_id")),
            client_secret=None if secret is None else self._resolver.secret(secret, (*at, "client_secret")),
            scopes=fields.get("scopes", ()) if spec.scopes is None else spec.scopes,
            redirect_uri=spec.redirect_uri or fields.get("redirect_uri", LOOPBACK),
            token=self._endpoint(addresses["token_endpoint"]),
            authorization=addresses.get("authorization_endpoint"),
            device=self._at_address("device_authorization_endpoint"),
            revocation=self._at_address("revocation_endpoint"),
            parameters=fields.get("authorization_parameters", {}),
            client_auth=fields.get("token_endpoint_auth_method", "client_secret_basic"),
            encoding=fields.get("encoding", "form"),
            revocation_encoding=fields.get("revocation_encoding"),
            state_in_token=fields.get("state_in_token", False),
            device_pkce=fields.get("device_pkce", False),
            scheme=fields.get("scheme", "bearer"),
            account=None if account is None else facts.AccountHeader(name=account.name.lower(), claim=account.claim),
            exchange=self._exchange(),
            proxy=proxy,
        )

    def _at_address(self, name: str) -> Endpoint | None:
        return self._endpoint(self._addresses[name]) if name in self._addresses else None

    def _exchange(self) -> Exchange | None:
        spec = self._fields.get("exchange")
        if spec is None:
            return None
        url = self._resolver.address(spec.endpoint, (*self._at, "oauth", "exchange", "endpoint"))
        return Exchange(endpoint=self._endpoint(url), scheme=spec.scheme, token=spec.token, expires_at=spec.expires_at)
