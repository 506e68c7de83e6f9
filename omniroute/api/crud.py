"""What a row of editable things expands to: list, get, create, put, patch and delete over a part of the YAML.

A row says where its things stand in the files, how one is shown, and what its words mean as data of the file; all that
is the same for all of them stands here once.  A body may leave fields out, which stay as they are, and takes one away
with null; `PATCH` does the same inside of nested objects (RFC 7396).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec

from omniroute.api.endpoint import Answer, Endpoint, Method, Request, Told
from omniroute.api.leaves import Steps, etag, etag_of_all, found, merged
from omniroute.api.plane import Plane
from omniroute.api.write import Changes, Draft, Trial, View, Write, write
from omniroute.config.bundle import Bundle
from omniroute.document import GONE
from omniroute.errors import BadRequest, Conflict, NotFound

BODY_LIMIT = 256 << 10
DEEPEST = 32
"""Levels of a body. What stands in the files is less deep, and everything here walks it."""
REFUSES = (409, 412, 422, 428, 503)
"""The statuses that every write can have."""
VERBS: Mapping[Method, str] = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a write takes. A field that is left out is UNSET, and one that is to go is None."""


class Shown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is told of one thing."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A collection of named things in the files. They are addressed by `/{id}`, or where `by` is given by query and body
    on the collection's own path. `changes` is given None for what is to be deleted."""

    path: str
    noun: str
    """Of one of them, as a person says it."""
    many: str
    """The field of the list, and what actions in the audit begin with."""
    one: str = ""
    """The field around one in the answers to writes; none where it is empty."""
    by: type[Trial] | None = None
    """The query that says which: its fields are those that `named` reads of a body."""
    body: type[Body]
    shown_type: type[Shown]
    names: Callable[[View], Sequence[str]]
    places: Callable[[str], Sequence[Steps]]
    """Where a thing stands; at the first of them it is, or is not."""
    shown: Callable[[View, str], Shown]
    changes: Callable[[Draft, str, Any], Changes]
    named: Callable[[Any], str]
    """Of a body or query; raises BadRequest where it does not say."""
    told_only: frozenset[str] = frozenset()
    """Fields that are shown and cannot be written: taken, so that what was read may be sent back, and left alone."""
    verbs: frozenset[Method] = frozenset({"POST", "PUT", "PATCH", "DELETE"})
    upserts: bool = False
    """Whether PUT also makes what is not there."""
    example: Mapping[str, Any]
    """A body of POST."""
    change: Mapping[str, Any]
    """A body of PATCH for it."""
    listed: Callable[[View, Any], Mapping[str, Any]] | None = None
    """The answer to GET of all, given the query, where it is not the plain list."""
    listed_type: Any = None
    listed_by: type[msgspec.Struct] | None = None


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that are one object: there are no names, and nothing is made or deleted."""

    path: str
    noun: str
    action: str
    places: Sequence[Steps]
    body: type[Body]
    shown_type: type[Shown]
    shown: Callable[[View], Shown]
    changes: Callable[[Draft, Any], Changes]
    verbs: Sequence[Method] = ("PUT", "PATCH")
    told_only: frozenset[str] = frozenset()
    change: Mapping[str, Any]
    """A body of PATCH."""
    public: bool = False
    """Whether anybody may see it."""


def view(plane: Plane) -> View:
    """What runs now."""
    return View(plane.control.bundle, plane.control)


def exists(bundle: Bundle, resource: Resource, name: str) -> bool:
    return found(bundle, resource.places(name)[0]) is not GONE


def fields(request: Request) -> dict[str, Any]:
    """The body as an object."""
    given = request.json(dict[str, Any])
    if _depth(given) > DEEPEST:
        raise BadRequest(f"The body is more than {DEEPEST} levels deep.", code="invalid_body")
    return given


def _depth(value: Any) -> int:
    """How many levels of maps and lists there are, without going as deep itself."""
    level, depth = [value], 0
    while level := [
        each
        for one in level
        if isinstance(one, dict | list)
        for each in (one.values() if isinstance(one, dict) else one)
    ]:
        depth += 1
    return depth


def taken(kind: type[Body], given: Mapping[str, Any], told_only: frozenset[str]) -> Any:
    """What was sent, as what the row takes."""
    try:
        return msgspec.convert({name: value for name, value in given.items() if name not in told_only}, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body is not what is taken here: {error}.", code="invalid_body") from None


def reduced(kind: type[Body], given: Mapping[str, Any], shown: Mapping[str, Any], *, patch: bool) -> dict[str, Any]:
    """What a body changes: without the fields that say what is so already, and of a merge patch with what it leaves out
    of maps. Objects with fields of their own are looked into; whatever they leave out stays in any case."""
    result: dict[str, Any] = {}
    for name, value in given.items():
        before, within = shown.get(name), _nested(kind).get(name)
        if within is not None and isinstance(value, dict) and isinstance(before, dict):
            value = reduced(within, value, before, patch=patch)  # noqa: PLW2901 - less of the same
            if value:
                result[name] = value
            continue
        if patch and isinstance(value, dict):
            value = merged(before, value)  # noqa: PLW2901 - more of the same
        if name not in shown or value != before:
            result[name] = value
    return result


@cache
def _nested(kind: type[Body]) -> dict[str, type[Body]]:
    """The fields of a body that are objects with fields of their own."""
    hints = get_type_hints(kind)
    found_in = {
        field.encode_name: next(
            (one for one in get_args(hints[field.name]) if isinstance(one, type) and issubclass(one, Body)), None
        )
        for field in msgspec.structs.fields(kind)
    }
    return {name: one for name, one in found_in.items() if one is not None}


# ------------------------------------------------------------------------------------------------------------ handlers

Serve = Callable[[Plane, Request], Awaitable[Answer]]


def _list(resource: Resource) -> Serve:
    async def serve(plane: Plane, request: Request) -> Answer:
        now = view(plane)
        query = request.query(resource.listed_by) if resource.listed_by is not None else None
        if resource.listed is not None:
            content = resource.listed(now, query)
        else:
            every = [resource.shown(now, name) for name in resource.names(now)]
            content = {resource.many: every, "total": len(every)}
        return Answer(content, headers=((b"etag", etag_of_all(now.bundle).encode()),))

    return serve


def _get(resource: Resource) -> Serve:
    async def serve(plane: Plane, request: Request) -> Answer:
        now, name = view(plane), request.params["id"]
        tag = etag(now.bundle, resource.places(name)).encode()
        return Answer(_told(resource, now, name), headers=((b"etag", tag),))

    return serve


def _told(resource: Resource, now: View, name: str) -> Mapping[str, Any]:
    """One thing as it is answered; raises NotFound."""
    if name not in resource.names(now):
        raise NotFound(f"There is no {resource.noun} `{name[:100]}`.", code=f"unknown_{resource.many}")
    shown = resource.shown(now, name)
    return {resource.one: shown} if resource.one else msgspec.to_builtins(shown)


def create(resource: Resource) -> Serve:
    async def serve(plane: Plane, request: Request) -> Answer:
        trial = request.query(Trial)
        body = taken(resource.body, fields(request), resource.told_only)
        name = resource.named(body)

        def changes(draft: Draft) -> Changes:
            if exists(draft.bundle, resource, name):
                raise Conflict(f"There is a {resource.noun} `{name}` already.", code="exists")
            return resource.changes(draft, name, body)

        one = Write(
            action=f"{resource.many}.create",
            target=name,
            etag_of=etag_of_all,
            changes=changes,
            shown=lambda now: _told(resource, now, name),
            answered=lambda bundle: etag(bundle, resource.places(name)),
            status=201,
        )
        return await write(plane, request, one, dry_run=trial.dry_run)

    return serve


def _update(resource: Resource, method: Method) -> Serve:
    async def serve(plane: Plane, request: Request) -> Answer:
        trial = request.query(Trial)
        given = fields(request)
        body = taken(resource.body, given, resource.told_only)
        name = resource.named(body) if resource.by is not None else request.params["id"]

        def changes(draft: Draft) -> Changes:
            now = View(draft.bundle, draft.control, at_rest=True)
            there = name in resource.names(now)
            if not there and not (resource.upserts and method == "PUT"):
                raise NotFound(f"There is no {resource.noun} `{name[:100]}`.", code=f"unknown_{resource.many}")
            shown = msgspec.to_builtins(resource.shown(now, name)) if there else {}
            what = reduced(resource.body, given, shown, patch=method == "PATCH")
            return resource.changes(draft, name, taken(resource.body, what, resource.told_only))

        one = Write(
            action=f"{resource.many}.update",
            target=name,
            etag_of=lambda bundle: etag(bundle, resource.places(name)),
            changes=changes,
            shown=lambda now: _told(resource, now, name),
        )
        return await write(plane, request, one, dry_run=trial.dry_run)

    return serve


def _delete(resource: Resource) -> Serve:
    async def serve(plane: Plane, request: Request) -> Answer:
        if resource.by is None:
            trial, name = request.query(Trial), request.params["id"]
        else:
            trial = request.query(resource.by)
            name = resource.named(taken(resource.body, fields(request), resource.told_only) if request.body else trial)

        def changes(draft: Draft) -> Changes:
            if not exists(draft.bundle, resource, name):
                raise NotFound(f"There is no {resource.noun} `{name[:100]}`.", code=f"unknown_{resource.many}")
            return resource.changes(draft, name, None)

        one = Write(
            action=f"{resource.many}.delete",
            target=name,
            etag_of=lambda bundle: etag(bundle, resource.places(name)),
            changes=changes,
            shown=lambda now: {} if not exists(now.bundle, resource, name) else _told(resource, now, name),
            answered=etag_of_all,
            also={"success": True, "message": f"The {resource.noun} `{name}` is deleted."},
        )
        return await write(plane, request, one, dry_run=trial.dry_run)

    return serve


def _show(section: Section) -> Serve:
    async def serve(plane: Plane, _request: Request) -> Answer:
        now = view(plane)
        return Answer(section.shown(now), headers=((b"etag", etag(now.bundle, section.places).encode()),))

    return serve


def _change(section: Section, method: Method) -> Serve:
    async def serve(plane: Plane, request: Request) -> Answer:
        trial = request.query(Trial)
        given = fields(request)
        taken(section.body, given, section.told_only)

        def changes(draft: Draft) -> Changes:
            shown = msgspec.to_builtins(section.shown(View(draft.bundle, draft.control, at_rest=True)))
            what = reduced(section.body, given, shown, patch=method == "PATCH")
            return section.changes(draft, taken(section.body, what, section.told_only))

        one = Write(
            action=section.action,
            target="",
            etag_of=lambda bundle: etag(bundle, section.places),
            changes=changes,
            shown=lambda now: msgspec.to_builtins(section.shown(now)),
        )
        return await write(plane, request, one, dry_run=trial.dry_run)

    return serve


# ------------------------------------------------------------------------------------------------------------- the rows


class Written(Shown, frozen=True, kw_only=True):
    """What the answer to every write tells besides: the revision that runs, and the entries that had to be written anew.
    Of a trial, the diff that it would have made, and the state that would be."""

    revision: str
    rewritten: list[str]
    dry_run: bool = False
    diff: str = ""
    commit: str = ""
    """Of an edit that became a commit, and so does not run yet."""


def after(kind: type[msgspec.Struct], name: str = "", **more: Any) -> type[msgspec.Struct]:
    """The type of an answer to a write that tells the state after it; `more` are further fields."""
    fields_of = [(field.name, field.type, field.default) for field in msgspec.structs.fields(Written)]
    given = [
        (name, type_) if default is msgspec.NODEFAULT else (name, type_, default) for name, type_, default in fields_of
    ]
    return msgspec.defstruct(
        name or f"{kind.__name__.removesuffix('Shown')}Written",
        [*given, *more.items()],
        bases=(kind,),
        namespace={"__doc__": Written.__doc__},
        kw_only=True,
        frozen=True,
        rename="camel",
    )


class Deleted(Written, frozen=True, kw_only=True):
    """What is told of a deletion."""

    success: bool
    message: str


def endpoints(resource: Resource) -> list[Endpoint]:
    """The endpoints of a collection."""
    kind, path, a = resource.shown_type, resource.path, _article(resource.noun)
    item = path if resource.by is not None else f"{path}/{{id}}"
    answer = _wrapped(resource)
    written = after(answer)
    lists: Any = list[kind]  # type: ignore[valid-type]  # made here
    every: Any = resource.listed_type or msgspec.defstruct(
        f"{kind.__name__}List", [(resource.many, lists), ("total", int)], kw_only=True, rename="camel"
    )
    rows = [_read(path, _list(resource), f"All {resource.many}.", every, resource.listed_by)]
    if resource.by is None:
        rows.append(_read(item, _get(resource), f"{a.capitalize()} {resource.noun}.", answer, None))
    for method, at, serve, said in (
        ("POST", path, create(resource), f"Makes {a} {resource.noun}."),
        ("PUT", item, _update(resource, "PUT"), f"Changes {a} {resource.noun}: what is left out stays as it is."),
        ("PATCH", item, _update(resource, "PATCH"), "The same as a merge patch, also in what is nested."),
        ("DELETE", item, _delete(resource), f"Deletes {a} {resource.noun}, if nothing refers to it."),
    ):
        if method not in resource.verbs:
            continue
        creates, deletes = method == "POST", method == "DELETE"
        told = Told(
            query=resource.by if deletes and resource.by is not None else Trial,
            body=None if deletes else resource.body,
            example=None if deletes else resource.example if creates else _example(resource, method),
            answer=Deleted if deletes else written,
            status=201 if creates else 200,
            refuses=REFUSES if creates else (404, *REFUSES),
            also=(200,) if creates else (),
        )
        rows.append(_row(method, at, serve, said, told))
    return rows


def section_endpoints(section: Section) -> list[Endpoint]:
    """The endpoints of a section of settings."""
    kind = section.shown_type
    written = after(kind)
    told = Told(query=Trial, body=section.body, answer=written, refuses=REFUSES, example=section.change)
    summary = f"Changes {section.noun}: what is left out stays as it is."
    read = _read(section.path, _show(section), f"{section.noun[0].upper()}{section.noun[1:]}.", kind, None)
    if section.public:
        read = msgspec.structs.replace(read, access="public")
    return [
        read,
        *(_row(method, section.path, _change(section, method), summary, told) for method in section.verbs),
    ]


def _example(resource: Resource, method: str) -> Mapping[str, Any]:
    return resource.change if method == "PATCH" or resource.by is None else resource.example


def _wrapped(resource: Resource) -> Any:
    kind = resource.shown_type
    if not resource.one:
        return kind
    return msgspec.defstruct(
        f"{kind.__name__}Answer", [(resource.one, kind)], kw_only=True, rename="camel", frozen=True
    )


def _read(path: str, serve: Serve, summary: str, answer: Any, query: type[msgspec.Struct] | None) -> Endpoint:
    told = Told(answer=answer, query=query, refuses=(404,) if "{" in path else ())
    return Endpoint(method="GET", path=path, access="admin.read", body_limit=0, serve=serve, summary=summary, told=told)


def _row(method: Any, path: str, serve: Serve, summary: str, told: Told) -> Endpoint:
    return Endpoint(
        method=method,
        path=path,
        access="admin.write",
        body_limit=BODY_LIMIT,
        serve=serve,
        summary=summary,
        told=told,
    )


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
