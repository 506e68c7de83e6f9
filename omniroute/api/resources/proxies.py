"""`/api/settings/proxy`: through which proxies providers are called. Passwords are taken, and never told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from omniroute.api.crud import BODY_LIMIT, REFUSES, Body, Shown, after, fields, view
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.leaves import Steps, etag, found
from omniroute.api.plane import Plane
from omniroute.api.resources.fields import Maybe, changed
from omniroute.api.write import Changes, Draft, Trial, View, Write, write
from omniroute.config.spec.settings import ProxySpec
from omniroute.config.spec.words import proxy_place, reference
from omniroute.document import GONE
from omniroute.errors import BadRequest, NotFound

ROOT: Steps = ("settings", "proxy")
LEVELS = {"provider": "providers", "combo": "combos", "connection": "connections", "key": "connections"}
"""Where the proxies of a level stand. Other gateways say `key` where a connection is meant."""
Level = Literal["global", "provider", "combo", "connection", "key"]


class ProxyShown(Shown, frozen=True, kw_only=True):
    """A proxy. `url` is a reference where the address is one, and then host and port are not told."""

    type: Literal["http", "socks5"] | None
    host: str | None
    port: int | None
    url: str
    username: str | None
    has_password: bool


class ProxiesShown(Shown, frozen=True, kw_only=True):
    """All proxies; `keys` is another name of `connections`."""

    global_: ProxyShown | None = msgspec.field(name="global")
    providers: dict[str, ProxyShown]
    combos: dict[str, ProxyShown]
    connections: dict[str, ProxyShown]
    keys: dict[str, ProxyShown]
    no_proxy: list[str]


class Asked(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """All proxies, or where `level` was asked for, that one, or where `resolve` was, the one that counts."""

    global_: ProxyShown | None = msgspec.field(name="global", default=None)
    providers: dict[str, ProxyShown] | None = None
    combos: dict[str, ProxyShown] | None = None
    connections: dict[str, ProxyShown] | None = None
    keys: dict[str, ProxyShown] | None = None
    no_proxy: list[str] | None = None
    level: str | None = None
    id: str | None = None
    level_id: str | None = None
    proxy: ProxyShown | None = None


class ProxyBody(Body, frozen=True, kw_only=True):
    """A proxy: its `url`, or `type`, `host` and `port`. A password is kept and not written into the file; one that is left
    out stays."""

    type: Literal["http", "socks5"] | UnsetType = UNSET
    host: str | UnsetType = UNSET
    port: int | UnsetType = UNSET
    url: str | UnsetType = UNSET
    username: str | Maybe = UNSET
    password: str | Maybe = UNSET


class ProxiesBody(Body, frozen=True, kw_only=True):
    """One proxy by its `level` and `id`, or several at once; null takes one away."""

    level: Level | UnsetType = UNSET
    id: str | UnsetType = UNSET
    proxy: ProxyBody | Maybe = UNSET
    global_: ProxyBody | Maybe = msgspec.field(name="global", default=UNSET)
    providers: dict[str, ProxyBody | None] | UnsetType = UNSET
    combos: dict[str, ProxyBody | None] | UnsetType = UNSET
    connections: dict[str, ProxyBody | None] | UnsetType = UNSET
    keys: dict[str, ProxyBody | None] | UnsetType = UNSET
    no_proxy: list[str] | Maybe = UNSET


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which proxy: of a level, or `resolve` for the one through which a connection is called."""

    level: Level | Literal[""] = ""
    id: str = ""
    resolve: str = ""


class Whose(Trial, frozen=True, kw_only=True):
    """Which proxy is to go."""

    level: Level | Literal[""] = ""
    id: str = ""


def proxies_shown(now: View) -> ProxiesShown:
    spec = now.bundle.spec.settings.proxy
    connections = {name: _shown(each) for name, each in spec.connections.items()}
    return ProxiesShown(
        global_=None if spec.global_ is None else _shown(spec.global_),
        providers={name: _shown(each) for name, each in spec.providers.items()},
        combos={name: _shown(each) for name, each in spec.combos.items()},
        connections=connections,
        keys=connections,
        no_proxy=list(spec.no_proxy),
    )


def _shown(spec: ProxySpec) -> ProxyShown:
    scheme, host, port = (None, None, None) if reference(spec.url) else proxy_place(spec.url)
    return ProxyShown(
        type=scheme, host=host, port=port, url=spec.url, username=spec.username, has_password=spec.password is not None
    )


async def show(plane: Plane, request: Request) -> Answer:
    now, query = view(plane), request.query(Wanted)
    tag = ((b"etag", etag(now.bundle, [ROOT]).encode()),)
    if query.resolve:
        return Answer(_resolved(now, query.resolve), headers=tag)
    every = proxies_shown(now)
    if not query.level:
        return Answer(every, headers=tag)
    if query.level != "global" and not query.id:
        raise BadRequest("Say of which: `id`.", code="invalid_query", param="id")
    there = every.global_ if query.level == "global" else getattr(every, LEVELS[query.level]).get(query.id)
    return Answer({"level": query.level, "id": query.id or None, "proxy": there}, headers=tag)


def _resolved(now: View, name: str) -> dict[str, Any]:
    """The proxy of a connection, whatever combo a request may come by."""
    spec = now.bundle.spec.settings.proxy
    provider, dot, connection = name.partition(".")
    configured = now.bundle.spec.providers.get(provider)
    if configured is None or not dot or connection not in (configured.connections or ("default",)):
        raise NotFound(f"There is no connection `{name[:100]}`.", code="unknown_connections")
    for level, key, proxy in (
        ("connection", name, spec.connections.get(name)),
        ("provider", provider, spec.providers.get(provider)),
        ("global", None, spec.global_),
    ):
        if proxy is not None:
            return {"proxy": _shown(proxy), "level": level, "levelId": key}
    return {"proxy": None, "level": "direct", "levelId": None}


async def change(plane: Plane, request: Request) -> Answer:
    trial, given = request.query(Trial), fields(request)
    body = _body(given)
    wanted = _wanted(body)
    if not wanted and body.no_proxy is UNSET:
        raise BadRequest("Say a `proxy` with its `level`, or `global`, `providers`, …", code="invalid_body")

    def changes(draft: Draft) -> Changes:
        made: dict[Steps, Any] = {place: _data(draft, place, proxy) for place, proxy in wanted.items()}
        if body.no_proxy is not UNSET:
            made[(*ROOT, "no_proxy")] = body.no_proxy or GONE
        return made

    target = ", ".join(".".join(map(str, place[2:])) for place in wanted) or "no_proxy"
    return await _write(plane, request, target, changes, trial)


def _body(given: Mapping[str, Any]) -> ProxiesBody:
    """What was shown may be sent back: that there is a password says nothing about it."""
    try:
        return msgspec.convert(_without(given), ProxiesBody)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body is not what is taken here: {error}.", code="invalid_body") from None


def _without(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without(each) for name, each in value.items() if name != "hasPassword"}


def _wanted(body: ProxiesBody) -> dict[Steps, ProxyBody | None]:
    wanted: dict[Steps, Any] = {}
    if body.proxy is not UNSET:
        wanted[_place(body.level, body.id)] = body.proxy
    if body.global_ is not UNSET:
        wanted[(*ROOT, "global")] = body.global_
    for kind in ("providers", "combos", "keys", "connections"):
        named: Any = getattr(body, kind)
        if named is not UNSET:
            at = "connections" if kind == "keys" else kind
            wanted |= {(*ROOT, at, name): proxy for name, proxy in named.items()}
    return wanted


def _place(level: Any, name: Any) -> Steps:
    if level == "global":
        return (*ROOT, "global")
    if level not in LEVELS:
        raise BadRequest("Say which `level`.", code="invalid_body", param="level")
    if not isinstance(name, str) or not name:
        raise BadRequest("Say of which: `id`.", code="invalid_body", param="id")
    return (*ROOT, LEVELS[level], name)


def _data(draft: Draft, place: Steps, body: ProxyBody | None) -> Any:
    if body is None:
        return GONE
    old = found(draft.bundle, place)
    password: Any = body.password
    if isinstance(password, str):
        password = draft.secret(password, "proxy." + ".".join(map(str, place[2:])))
    return changed(old, {"url": _url(old, body), "username": body.username, "password": password})


def _url(old: Any, body: ProxyBody) -> Any:
    parts = (body.type, body.host, body.port)
    if body.url is not UNSET and (parts == (UNSET,) * 3 or reference(str(body.url)) is not None):
        return body.url
    if parts == (UNSET,) * 3:
        return UNSET
    before: tuple[Any, Any, Any] = ("http", UNSET, UNSET)
    if isinstance(old, dict) and not reference(old["url"]):
        before = proxy_place(old["url"])
    scheme, host, port = (said if said is not UNSET else was for said, was in zip(parts, before, strict=True))
    if host is UNSET or port is UNSET:
        raise BadRequest("A proxy needs a `host` and a `port`, or a `url`.", code="invalid_body")
    url = f"{scheme}://{f'[{host}]' if ':' in str(host) else host}:{port}"
    if body.url not in (UNSET, url) and not (isinstance(old, dict) and body.url == old["url"]):
        raise BadRequest("`url` and `type`, `host`, `port` say different things.", code="invalid_body")
    return url


async def delete(plane: Plane, request: Request) -> Answer:
    query = request.query(Whose)
    if not query.level:
        raise BadRequest("Say which `level`.", code="invalid_query", param="level")
    place = _place(query.level, query.id)

    def changes(draft: Draft) -> Changes:
        if found(draft.bundle, place) is GONE:
            raise NotFound("There is no such proxy.", code="unknown_proxy")
        return {place: GONE}

    return await _write(plane, request, ".".join(map(str, place[2:])), changes, query)


async def _write(plane: Plane, request: Request, target: str, changes: Any, trial: Trial) -> Answer:
    one = Write(
        action="settings.proxy",
        target=target,
        etag_of=lambda bundle: etag(bundle, [ROOT]),
        changes=changes,
        shown=lambda now: msgspec.to_builtins(proxies_shown(now)),
    )
    return await write(plane, request, one, dry_run=trial.dry_run)


_WRITTEN = after(ProxiesShown)
_EXAMPLE = {"level": "global", "proxy": {"type": "socks5", "host": "10.0.0.5", "port": 1080}}
ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/settings/proxy",
        access="admin.read",
        body_limit=0,
        serve=show,
        summary="The proxies on the way to providers; `?level&id` for one, `?resolve` for the one that a connection is called through.",
        told=Told(query=Wanted, answer=Asked, refuses=(404,)),
    ),
    *(
        Endpoint(
            method=method,
            path="/api/settings/proxy",
            access="admin.write",
            body_limit=BODY_LIMIT,
            serve=change,
            summary="Sets one proxy by `level` and `id`, or several at once; null takes one away.",
            told=Told(query=Trial, body=ProxiesBody, answer=_WRITTEN, refuses=REFUSES, example=_EXAMPLE),
        )
        for method in ("PUT", "PATCH")
    ),
    Endpoint(
        method="DELETE",
        path="/api/settings/proxy",
        access="admin.write",
        body_limit=0,
        serve=delete,
        summary="Takes one proxy away, by `level` and `id`.",
        told=Told(query=Whose, answer=_WRITTEN, refuses=(404, *REFUSES)),
    ),
)
