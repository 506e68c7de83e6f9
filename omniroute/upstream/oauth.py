"""Speaks OAuth 2.0 with an authorization server: codes and device codes for tokens, tokens for newer ones, and back.

Authlib writes the requests and reads the answers; the bytes go over our own transport, so that addresses, TLS, proxies,
redirects and limits are those of every other request to a provider.  What the standards leave open, and what providers
do otherwise, is data in `routing/tables.py: OAuth`.

    RFC 6749 code, refresh · RFC 7636 PKCE, S256 only · RFC 7009 revocation · RFC 8628 device code
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeGuard

import msgspec
from authlib.common.urls import add_params_to_qs, url_decode
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7009 import prepare_revoke_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from omniroute.catalog.oauth import Encoding
from omniroute.errors import Fault, UpstreamError
from omniroute.formats.codec import malformed
from omniroute.routing.tables import Auth, Deadlines, Endpoint, Exchange, OAuth
from omniroute.secret import Secret
from omniroute.upstream.auth import sign
from omniroute.upstream.client import classify
from omniroute.upstream.transport import Headers, Request, Transport

ANSWER_LIMIT = 256 * 1024
"""Bytes of an answer; tokens that say a lot are some kilobytes long."""
DEADLINES = Deadlines(connect=5.0, first_byte=20.0, idle=10.0, total=30.0)
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL = 5.0
"""Seconds between two questions about a device code, where the server does not say (RFC 8628, section 3.2)."""
DEVICE_LIFE = 900.0
LONGEST_LIFE = 10 * 365 * 86_400.0
LONGEST_TOKEN = 16 * 1024
FORM = (b"content-type", b"application/x-www-form-urlencoded")
JSON = (b"content-type", b"application/json")
ACCEPT = (b"accept", b"application/json")
_object = msgspec.json.Decoder(dict[str, Any])


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What signing in has given. `expires_at` is a UNIX time, None where the server does not say; `issuer` is the token
    endpoint that gave it; `account` is what the account header says."""

    access: Secret
    refresh: Secret | None
    issued_at: float
    expires_at: float | None
    scope: str
    issuer: str
    account: str = ""
    email: str = ""


class DeviceCode(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that goes on at another device: what the user types in where, and for how many seconds."""

    code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: float
    interval: float


class _Packed(msgspec.Struct, omit_defaults=True):
    """A grant as it is stored."""

    access_token: str
    issuer: str
    issued_at: float
    refresh_token: str | None = None
    expires_at: float | None = None
    scope: str = ""
    account: str = ""
    email: str = ""


def pack(grant: Grant) -> str:
    """A grant as one text, for the secret store and nothing else."""
    packed = _Packed(
        access_token=grant.access.reveal(),
        refresh_token=None if grant.refresh is None else grant.refresh.reveal(),
        issuer=grant.issuer,
        issued_at=grant.issued_at,
        expires_at=grant.expires_at,
        scope=grant.scope,
        account=grant.account,
        email=grant.email,
    )
    return msgspec.json.encode(packed).decode()


def unpack(stored: str) -> Grant:
    """Undoes `pack`. Raises ValueError, which quotes nothing, for what was not made by it."""
    try:
        packed = msgspec.json.decode(stored, type=_Packed)
    except msgspec.DecodeError:
        raise ValueError("what is stored is no grant") from None
    return Grant(
        access=Secret(packed.access_token),
        refresh=None if packed.refresh_token is None else Secret(packed.refresh_token),
        issuer=packed.issuer,
        issued_at=packed.issued_at,
        expires_at=packed.expires_at,
        scope=packed.scope,
        account=packed.account,
        email=packed.email,
    )


def authorization_url(oauth: OAuth, state: str, verifier: Secret, redirect_uri: str) -> str:
    """Where the browser is sent to sign in."""
    assert oauth.authorization is not None
    url: str = prepare_grant_uri(
        oauth.authorization,
        client_id=oauth.client_id,
        response_type="code",
        redirect_uri=redirect_uri,
        scope=list(oauth.scopes) or None,
        state=state,
        code_challenge=create_s256_code_challenge(verifier.reveal()),
        code_challenge_method="S256",
        **oauth.parameters,
    )
    return url


class AuthorizationServers:
    """Asks the authorization servers of providers.

    Every method raises UpstreamError: of the kind `auth` where the server refuses, with its error code (RFC 6749, section
    5.2) as the fault's, of others where there is no answer or none that is one. No text holds what was sent in secret.
    """

    def __init__(self, transport: Transport, now: Callable[[], float]) -> None:
        self._transport = transport
        self._now = now

    async def redeem(
        self, oauth: OAuth, provider: str, code: Secret, verifier: Secret, redirect: str, state: Secret
    ) -> Grant:
        """Tokens for an authorization code."""
        more = {"state": state.reveal()} if oauth.state_in_token else {}
        asked = {"code": code.reveal(), "code_verifier": verifier.reveal(), "redirect_uri": redirect, **more}
        return await self._granted(oauth, provider, "authorization_code", asked, (code, verifier, state))

    async def device(self, oauth: OAuth, provider: str, verifier: Secret) -> DeviceCode:
        """A device code."""
        assert oauth.device is not None
        asked = {"scope": " ".join(oauth.scopes)} if oauth.scopes else {}
        if oauth.device_pkce:
            challenge = create_s256_code_challenge(verifier.reveal())
            asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        body = add_params_to_qs("", list(asked.items()))
        answer = await self._send(oauth, provider, oauth.device, body, (verifier,))
        return _device_code(_decoded(answer, provider), provider)

    async def poll(self, oauth: OAuth, provider: str, device: DeviceCode, verifier: Secret) -> Grant:
        """Tokens for a device code. As long as the user has not decided, the refusal's code is `authorization_pending`
        or `slow_down`."""
        asked = {"device_code": device.code.reveal()}
        if oauth.device_pkce:
            asked["code_verifier"] = verifier.reveal()
        return await self._granted(oauth, provider, DEVICE_GRANT, asked, (device.code, verifier))

    async def refresh(self, oauth: OAuth, provider: str, grant: Grant) -> Grant:
        """Newer tokens for the refresh token. What the answer does not say again stays as it was."""
        assert grant.refresh is not None
        if oauth.exchange is not None:
            return await self._exchanged(oauth, oauth.exchange, provider, grant)
        asked = {"refresh_token": grant.refresh.reveal()}
        fresh = await self._granted(oauth, provider, "refresh_token", asked, (grant.refresh, grant.access))
        return msgspec.structs.replace(
            fresh,
            refresh=fresh.refresh or grant.refresh,
            scope=fresh.scope or grant.scope,
            account=fresh.account or grant.account,
            email=fresh.email or grant.email,
        )

    async def revoke(self, oauth: OAuth, provider: str, grant: Grant) -> None:
        """Has the server forget the grant: the refresh token, with which it should end the others (RFC 7009, section
        2.1), and the access token."""
        assert oauth.revocation is not None
        for token, hint in ((grant.refresh, "refresh_token"), (grant.access, "access_token")):
            if token is not None:
                body, _ = prepare_revoke_token_request(token.reveal(), hint, "", {})
                await self._send(oauth, provider, oauth.revocation, body, (token,), oauth.revocation_encoding)

    async def _granted(
        self, oauth: OAuth, provider: str, grant_type: str, asked: Mapping[str, str], secrets: tuple[Secret, ...]
    ) -> Grant:
        body = prepare_token_request(grant_type, "", **asked)
        answer = await self._send(oauth, provider, oauth.token, body, secrets)
        grant = _grant(_decoded(answer, provider), oauth, provider, self._now())
        if oauth.exchange is None or grant_type == "refresh_token":
            return grant
        return await self._exchanged(
            oauth, oauth.exchange, provider, msgspec.structs.replace(grant, refresh=grant.access)
        )

    async def _exchanged(self, oauth: OAuth, exchange: Exchange, provider: str, grant: Grant) -> Grant:
        """The second token; the first one, which it is asked for with, stands in the place of the refresh token."""
        signed = sign(Auth(scheme=exchange.scheme, secret=grant.refresh))
        secrets = () if grant.refresh is None else (grant.refresh,)
        status, body = await self._ask(oauth, exchange.endpoint, "GET", (ACCEPT, *signed), b"")
        answer = _decoded(_checked(status, body, provider, secrets), provider)
        token, ends = answer.get(exchange.token), answer.get(exchange.expires_at)
        if not _is_token(token):
            raise classify(malformed(f"its answer has no `{exchange.token}`"), provider)
        now = self._now()
        return msgspec.structs.replace(
            grant, access=Secret(token), issued_at=now, expires_at=_number(ends, now, now + LONGEST_LIFE)
        )

    async def _send(
        self,
        oauth: OAuth,
        provider: str,
        endpoint: Endpoint,
        form: str,
        secrets: tuple[Secret, ...],
        encoding: Encoding | None = None,
    ) -> bytes:
        """Posts a form, or the same as JSON, as the application. Gives the body of a success."""
        secret = oauth.client_secret
        method = "none" if secret is None else oauth.client_auth
        client = ClientAuth(oauth.client_id, None if secret is None else secret.reveal(), method)
        _, headers, form = client.prepare("POST", "", {}, form)
        body, kind = form.encode(), FORM
        if (encoding or oauth.encoding) == "json":
            body, kind = msgspec.json.encode(dict(url_decode(form))), JSON
        own = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in headers.items())
        status, answer = await self._ask(oauth, endpoint, "POST", (kind, ACCEPT, *own), body)
        return _checked(status, answer, provider, secrets if secret is None else (*secrets, secret))

    async def _ask(
        self, oauth: OAuth, endpoint: Endpoint, method: str, headers: Headers, body: bytes
    ) -> tuple[int, bytes]:
        proxy = None if endpoint.direct else oauth.proxy
        request = Request(endpoint.origin, method, endpoint.base_path or "/", headers, body, DEADLINES, proxy)
        reply = await self._transport.send(request)
        try:
            return reply.status, await reply.read(ANSWER_LIMIT)
        finally:
            reply.close()


# --------------------------------------------------------------------------------------------------- reading answers


def _checked(status: int, body: bytes, provider: str, secrets: tuple[Secret, ...]) -> bytes:
    """The body of a success. Raises UpstreamError for anything else; GitHub, for one, refuses with status 200."""
    refused = _refusal(body)
    if 200 <= status < 300 and refused is None:
        return body
    if 300 <= status < 400:
        raise classify(malformed(f"status {status}, and redirects are not followed"), provider)
    code, description = refused or ("", "")
    for secret in secrets:
        code, description = (text.replace(secret.reveal(), "<secret>") for text in (code, description))
    told = ": ".join(part for part in (code, description) if part)
    if refused is None or status >= 500:
        fault = Fault(kind="server", status=max(status, 500), message=told or f"its OAuth server says {status}")
        raise classify(fault, provider)
    message = f"the sign-in was refused: {told}"
    fault = Fault(kind="authentication", status=401, message=message, code=code)
    raise UpstreamError("auth", classify(fault, provider).fault)


def _refusal(body: bytes) -> tuple[str, str] | None:
    """The error code and its description of an answer that is an error (RFC 6749, section 5.2). Some put both into an
    object."""
    try:
        said = _object.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    error = said.get("error")
    if isinstance(error, dict):
        said = {"error_description": error.get("message")}
        error = error.get("type") or error.get("code")
    if not isinstance(error, str) or not error:
        return None
    description = said.get("error_description")
    return error, description if isinstance(description, str) else ""


def _decoded(body: bytes, provider: str) -> dict[str, Any]:
    try:
        return _object.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise classify(malformed("its OAuth server answers with something else than a JSON object"), provider) from None


def _grant(said: dict[str, Any], oauth: OAuth, provider: str, now: float) -> Grant:
    token, refresh, kind, scope = (said.get(name) for name in ("access_token", "refresh_token", "token_type", "scope"))
    if not _is_token(token):
        raise classify(malformed("its OAuth server answers without an access token"), provider)
    if isinstance(kind, str) and kind.lower() not in ("bearer", ""):
        raise classify(malformed("its OAuth server gives tokens of another type than bearer"), provider)
    life = _number(said.get("expires_in"), 0.0, LONGEST_LIFE)
    claims = _claims(said.get("id_token"))
    account = _claim(claims, oauth.account.claim) if oauth.account is not None else ""
    return Grant(
        access=Secret(token),
        refresh=Secret(refresh) if _is_token(refresh) else None,
        issued_at=now,
        expires_at=None if life is None else now + life,
        scope=scope if isinstance(scope, str) else "",
        issuer=oauth.issuer,
        account=account,
        email=_claim(claims, ("email",)),
    )


def _device_code(said: dict[str, Any], provider: str) -> DeviceCode:
    code, user_code = said.get("device_code"), said.get("user_code")
    # Google's name for it before there was a standard
    place = said.get("verification_uri") or said.get("verification_url")
    complete = said.get("verification_uri_complete")
    if not (_is_token(code) and _is_line(user_code) and _is_page(place)):
        raise classify(malformed("its OAuth server answers without a device code"), provider)
    return DeviceCode(
        code=Secret(code),
        user_code=user_code,
        verification_uri=place,
        verification_uri_complete=complete if _is_page(complete) else None,
        expires_in=_number(said.get("expires_in"), 1.0, 86_400.0) or DEVICE_LIFE,
        interval=_number(said.get("interval"), 1.0, 300.0) or INTERVAL,
    )


def _is_token(value: Any) -> TypeGuard[str]:
    """Whether it can stand in a header as a token."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TOKEN and value.isascii() and value.isprintable()


def _is_line(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= 256 and value.isprintable()


def _is_page(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= 4096 and value.startswith(("https://", "http://"))


def _number(value: Any, least: float, most: float) -> float | None:
    """A number, also one that is written as text, within limits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return min(max(float(value), least), most)


def _claims(token: Any) -> dict[str, Any]:
    """What an ID token says. Its signature is not looked at: it came from the token endpoint itself, over TLS (OpenID
    Connect Core 1.0, section 3.1.3.7)."""
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) != 3:
        return {}
    try:
        return _object.decode(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (Base64Error, msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return {}


def _claim(claims: dict[str, Any], path: tuple[str, ...]) -> str:
    """The text at the end of a path; empty where there is none that could stand in a header."""
    value: Any = claims
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) and _is_line(value) and value.isascii() else ""
