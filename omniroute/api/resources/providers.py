"""`/api/providers`: connections, each an account or a key at a provider."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from omniroute.api import times
from omniroute.api.crud import Body, Resource, Shown
from omniroute.api.leaves import found
from omniroute.api.resources.fields import Maybe, applied, changed
from omniroute.api.write import Changes, Draft, View
from omniroute.config.spec.oauth import OAuthClientSpec
from omniroute.config.spec.providers import ConnectionSpec
from omniroute.document import GONE, is_secret_name
from omniroute.errors import BadRequest, Conflict, Unprocessable
from omniroute.services.verdict import Verdict
from omniroute.state.base import View as Known

IMPLICIT = "default"
"""The connection of a provider that needs no key and has none in the files."""


"""Of a connection of which nothing is known."""


class Left(Shown, frozen=True, kw_only=True):
    """What the provider says is left of one of its limits, `""` for all models."""

    model: str
    unit: str
    remaining: float
    limit: float | None
    resets_at: datetime


class Limits(Shown, frozen=True, kw_only=True):
    """What holds a connection back."""

    max_concurrent: int | None
    in_flight: int
    remaining: list[Left]


class OAuthShown(Shown, frozen=True, kw_only=True):
    """The application that signs in. `clientSecret` is where that is."""

    client_id: str
    client_secret: str | None
    scopes: list[str] | None
    redirect_uri: str | None


class ConnectionShown(Shown, frozen=True, kw_only=True):
    """A connection: what the file says of it, and how it is. `apiKey` is where the key is, never the key."""

    id: str
    provider: str
    name: str
    auth_type: Literal["apikey", "oauth", "none"]
    api_key: str | None
    oauth: OAuthShown | None
    priority: int
    weight: int
    max_concurrent: int | None
    quota_group: str | None
    headers: dict[str, str]
    base_url: str | None
    rate_limit_protection: bool
    is_active: bool
    implicit: bool
    test_status: Literal["unknown", "active", "unavailable", "error", "credits_exhausted", "disabled"]
    last_error: str | None
    cooldown_until: datetime | None
    last_used_at: datetime | None
    limits: Limits


class OAuthBody(Body, frozen=True, kw_only=True):
    """The application that signs in, or what is to change of it. Its secret is kept, and not written into the file."""

    client_id: str | UnsetType = UNSET
    client_secret: str | Maybe = UNSET
    scopes: list[str] | Maybe = UNSET
    redirect_uri: str | Maybe = UNSET


class ConnectionBody(Body, frozen=True, kw_only=True):
    """A connection, or what is to change of it. `apiKey` is a key, which is kept and not written into the file, or a
    reference to one; `baseUrl` is the provider's, for one that is not in the files yet."""

    provider: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    api_key: str | Maybe = UNSET
    oauth: OAuthBody | Maybe = UNSET
    priority: int | Maybe = UNSET
    weight: int | Maybe = UNSET
    max_concurrent: int | Maybe = UNSET
    quota_group: str | Maybe = UNSET
    headers: dict[str, str] | Maybe = UNSET
    is_active: bool | UnsetType = UNSET
    rate_limit_protection: bool | UnsetType = UNSET
    base_url: str | Maybe = UNSET


def split(name: str) -> tuple[str, str]:
    """`openai.team` → provider and connection."""
    provider, _, connection = name.partition(".")
    return provider, connection


def names(now: View) -> list[str]:
    catalog = now.control.catalog
    found_in = []
    for name, provider in now.bundle.spec.providers.items():
        row = catalog.providers.get(name if provider.type is None else provider.type)
        implicit = () if row is not None and row.key_required else (IMPLICIT,)
        found_in += [f"{name}.{each}" for each in provider.connections or implicit]
    return found_in


def places(name: str) -> tuple[tuple[str, ...], ...]:
    provider, connection = split(name)
    return (("providers", provider, "connections", connection),)


def shown(now: View, name: str) -> ConnectionShown:
    provider, connection = split(name)
    spec = now.bundle.spec.providers[provider]
    one = spec.connections.get(connection)
    written = one or ConnectionSpec()
    state = now.control.state
    offset = state.clock.now() - state.clock.monotonic()
    known = now.health(name)
    used = state.used.get(name)
    tested = None if now.at_rest or not written.enabled else _tested(now, name, known.view, used)
    return ConnectionShown(
        id=name,
        provider=provider,
        name=connection,
        auth_type=_auth_type(written),
        api_key=written.api_key,
        oauth=_oauth_shown(written.oauth),
        priority=written.priority,
        weight=written.weight,
        max_concurrent=written.max_concurrent,
        quota_group=written.quota_group,
        headers=dict(written.headers),
        base_url=spec.base_url,
        rate_limit_protection=written.heed_limits,
        is_active=written.enabled,
        implicit=one is None,
        test_status=tested.state if tested else _status(written, known.view, used),
        last_error=(tested.error or None) if tested else known.view.reason if known.view else None,
        cooldown_until=times.told(known.view.until + offset) if known.view and known.view.until else None,
        last_used_at=times.told(used) if used is not None else None,
        limits=Limits(
            max_concurrent=written.max_concurrent,
            in_flight=known.in_flight,
            remaining=[
                Left(
                    model=model,
                    unit=each.unit,
                    remaining=each.remaining,
                    limit=each.limit,
                    resets_at=times.told(each.until + offset),
                )
                for model, told in known.allowances.items()
                for each in told
            ],
        ),
    )


def _oauth_shown(spec: OAuthClientSpec | None) -> OAuthShown | None:
    if spec is None:
        return None
    return OAuthShown(
        client_id=spec.client_id,
        client_secret=spec.client_secret,
        scopes=None if spec.scopes is None else list(spec.scopes),
        redirect_uri=spec.redirect_uri,
    )


def _auth_type(spec: ConnectionSpec) -> Literal["apikey", "oauth", "none"]:
    if spec.oauth is not None:
        return "oauth"
    return "apikey" if spec.api_key is not None or any(map(is_secret_name, spec.headers)) else "none"


def _tested(now: View, name: str, known: Known | None, used: float | None) -> Verdict | None:
    """What a test said, where nothing is known of it from requests since."""
    last = now.control.bench.probes.last_test(name)
    return last if last is not None and known is None and (used is None or used <= last.at) else None


def _status(
    spec: ConnectionSpec, known: Known | None, used: float | None
) -> Literal["unknown", "active", "unavailable", "error", "disabled"]:
    if not spec.enabled:
        return "disabled"
    if known is not None:
        return "unavailable" if known.blocked else "error"
    return "unknown" if used is None else "active"


def changes(draft: Draft, name: str, body: ConnectionBody | None) -> Changes:
    place = places(name)[0]
    if body is None:
        return {place: GONE}
    provider, connection = split(name)
    if body.name not in (UNSET, connection) or body.provider not in (UNSET, provider):
        raise Unprocessable(f"`{name}` stays what it is called: others refer to it.", code="name_fixed")
    old = found(draft.bundle, place)
    data = applied(old, body, "priority", "weight", "max_concurrent", "quota_group")
    api_key: Any = draft.secret(body.api_key, name) if isinstance(body.api_key, str) else body.api_key
    headers: Any = body.headers
    if isinstance(headers, dict):
        headers = {
            header: draft.secret(value, name) if is_secret_name(header) else value for header, value in headers.items()
        }
    switches = {"enabled": body.is_active, "heed_limits": body.rate_limit_protection}
    off: Any = {name: on if on is UNSET or not on else None for name, on in switches.items()}
    oauth = _oauth(draft, name, data.get("oauth"), body.oauth)
    data = changed(data, {"api_key": api_key, "oauth": oauth, "headers": headers, **off})
    return {**_address(draft, provider, body), place: data}


def _oauth(draft: Draft, name: str, old: Any, body: Any) -> Any:
    if not isinstance(body, OAuthBody):
        return body
    secret: Any = body.client_secret
    if isinstance(secret, str):
        secret = draft.secret(secret, f"{name}.client")
    return changed(applied(old, body, "client_id", "scopes", "redirect_uri"), {"client_secret": secret})


def _address(draft: Draft, provider: str, body: ConnectionBody) -> Changes:
    """The provider's own address: it is that of all its connections, so one that differs is no matter of one of them."""
    if not isinstance(body.base_url, str):
        return {}
    place = ("providers", provider, "base_url")
    there = found(draft.bundle, place)
    if there == body.base_url:
        return {}
    if there is not GONE or found(draft.bundle, place[:2]) is not GONE:
        raise Conflict(
            f"The address of `{provider}` is that of all its connections: change it at /api/provider-nodes.",
            code="base_url_shared",
        )
    return {place: body.base_url}


def named(body: Any) -> str:
    for field in ("provider", "name"):
        value = getattr(body, field)
        if not isinstance(value, str) or not value:
            raise BadRequest(f"A connection needs a `{field}`.", code="invalid_body", param=field)
        if "." in value:
            raise Unprocessable(f"The {field} of a connection has no dot in it.", code="invalid_name", param=field)
    return f"{body.provider}.{body.name}"


PROVIDERS = Resource(
    path="/api/providers",
    noun="connection",
    many="connections",
    one="connection",
    body=ConnectionBody,
    shown_type=ConnectionShown,
    names=names,
    places=places,
    shown=shown,
    changes=changes,
    named=named,
    told_only=frozenset(
        {"id", "authType", "testStatus", "lastError", "cooldownUntil", "lastUsedAt", "limits", "implicit"}
    ),
    example={"provider": "groq", "name": "team", "apiKey": "gsk_1234567890", "priority": 2},
    change={"priority": 3, "isActive": False},
)
