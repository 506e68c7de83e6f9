"""A row of the management plane: what a path takes, who may use it, and what answers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args
from urllib.parse import parse_qsl

import msgspec
from litestar.types import HTTPScope

from omniroute.api.control import Control
from omniroute.api.plane import Plane
from omniroute.api.sessions import Session
from omniroute.errors import BadRequest

Access = Literal["public", "admin.read", "admin.write"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
READS = ("GET", "HEAD")
GUARDED = "/api/"
METRICS = "/metrics"
"""Its place is the habit of those who ask for it."""
JSON = "application/json"
ARRIVES_IN = 10.0
"""Seconds for the whole body to arrive, of rows that do not say otherwise; those of this plane are small."""
Body = TypeVar("Body")
Query = TypeVar("Query", bound=msgspec.Struct)
_parameter = re.compile(r"\{(\w+)\}")


class Visitor(msgspec.Struct, frozen=True):
    """Who asks. `session` is None for one who came with a key, or needed nothing."""

    name: str
    roles: frozenset[str]
    session: Session | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler sees. `visitor` is None where nobody has shown a credential, which only public rows allow; `params`
    are the parts of the path that stand for something."""

    scope: HTTPScope
    request_id: str
    params: Mapping[str, str] = {}
    visitor: Visitor | None = None
    body: bytes = b""
    spool: Path = Path()
    """Where the body is, of a row that has it put into a file."""

    @property
    def peer(self) -> str:
        """The address at the other end of the connection, whatever headers say."""
        client = self.scope["client"]
        return client[0] if client else ""

    def headers(self, name: bytes) -> list[str]:
        """All values of a header."""
        return [value.decode("latin-1") for key, value in self.scope["headers"] if key == name]

    def header(self, name: bytes) -> str | None:
        """The value of a header; of several, joined, so that none of them passes for the only one."""
        values = self.headers(name)
        return ", ".join(values) if values else None

    def json(self, kind: type[Body]) -> Body:
        """The body as a `kind`; raises BadRequest where it is none."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"The body is not what is taken here: {error}.", code="invalid_body") from None

    def query(self, kind: type[Query]) -> Query:
        """The query as a `kind`; raises BadRequest for what does not fit, and for what it does not know, since a filter
        with a typing error would show too much."""
        pairs = parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given: dict[str, str] = {}
        known = kind.__struct_encode_fields__
        for name, value in pairs:
            if name not in known:
                told = ", ".join(f"`{each}`" for each in known) or "none"
                raise BadRequest(f"There is no parameter `{name[:80]}` here; there are {told}.", code="invalid_query")
            if name in given:
                raise BadRequest(f"The parameter `{name}` stands there twice.", code="invalid_query", param=name)
            given[name] = value
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            raise BadRequest(f"The query is not what is taken here: {error}.", code="invalid_query") from None


class Answer(msgspec.Struct, frozen=True):
    """What to send. `content` becomes JSON; bytes, and pieces of them as they come, go out as they are and are of the
    type `media`."""

    content: Any
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()
    media: str = JSON


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the OpenAPI says of a row besides its path: the types of its query, body and answer (None where any JSON may
    be there, or nothing is taken), the status of success and those refusals that are its own, and examples."""

    query: type[msgspec.Struct] | None = None
    body: Any = None
    answer: Any = None
    status: int = 200
    refuses: tuple[int, ...] = ()
    also: tuple[int, ...] = ()
    """Other statuses of success, with the same answer."""
    example: Any = None
    """Of the body."""
    media: str = JSON
    """Of the answer."""


Serve = Callable[[Plane, Request], Awaitable[Answer]]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path, in which `{name}` stands for any one part. What guards it has no default: a row that
    forgets to say who may use it, or how much it reads, cannot be made. `body_limit` is in bytes, `takes` the type of
    the body and `also` what else it may be called, `arrives_in` the seconds that it may take to come; `summary` is the
    line of the documentation. `spooled` gives the limit of a body that is put into a file, since it is a setting, and
    `opened` whether the configuration lets everybody read it."""

    method: Method
    path: str
    access: Access
    body_limit: int
    serve: Serve
    summary: str
    told: Told = Told()
    takes: str = JSON
    also: tuple[str, ...] = ()
    spooled: Callable[[Control], int] | None = None
    opened: Callable[[Control], bool] | None = None
    arrives_in: float = ARRIVES_IN

    @property
    def parameters(self) -> list[str]:
        """The names of the parts of the path that stand for something."""
        return _parameter.findall(self.path)

    def asks_for(self, parameter: str) -> bool:
        """Whether its query has a parameter of this name."""
        return self.told.query is not None and parameter in self.told.query.__struct_encode_fields__

    @property
    def guarded(self) -> bool:
        """Whether host, origin and credentials are looked at. The paths of load balancers know no names and no keys."""
        return self.path.startswith(GUARDED) or self.path == METRICS

    def __post_init__(self) -> None:
        if self.access not in get_args(Access) or self.method not in get_args(Method):
            raise ValueError(f"{self.method} {self.path}: unknown access class or method: {self.access}")
        if self.access == "admin.read" and self.method not in READS:
            raise ValueError(f"{self.method} {self.path} writes, so `admin.read` is not enough for it")
        if not self.summary:
            raise ValueError(f"{self.method} {self.path} does not say what it is for")
        if self.access != "public" and not self.guarded:
            raise ValueError(f"{self.method} {self.path} asks for `{self.access}`, so it has to stand under {GUARDED}")
