"""A row of the management plane: what a path takes, who may use it, and what answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar, get_args

import msgspec
from litestar.types import HTTPScope

from omniroute.api.plane import Plane
from omniroute.api.sessions import Session
from omniroute.errors import BadRequest

Access = Literal["public", "admin.read", "admin.write"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
READS = ("GET", "HEAD")
GUARDED = "/api/"
Body = TypeVar("Body")


class Visitor(msgspec.Struct, frozen=True):
    """Who asks. `session` is None for one who came with a key, or needed nothing."""

    name: str
    roles: frozenset[str]
    session: Session | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler sees. `visitor` is None where nobody has shown a credential, which only public rows allow."""

    scope: HTTPScope
    request_id: str
    visitor: Visitor | None = None
    body: bytes = b""

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


class Answer(msgspec.Struct, frozen=True):
    """What to send. `content` becomes JSON."""

    content: Any
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


Serve = Callable[[Plane, Request], Awaitable[Answer]]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. None of the fields has a default: a row that forgets to say who may use it, or how much
    it reads, cannot be made. `body_limit` is in bytes."""

    method: Method
    path: str
    access: Access
    body_limit: int
    serve: Serve

    @property
    def guarded(self) -> bool:
        """Whether host, origin and credentials are looked at. The paths of load balancers know no names and no keys."""
        return self.path.startswith(GUARDED)

    def __post_init__(self) -> None:
        if self.access not in get_args(Access) or self.method not in get_args(Method):
            raise ValueError(f"{self.method} {self.path}: unknown access class or method: {self.access}")
        if self.access == "admin.read" and self.method not in READS:
            raise ValueError(f"{self.method} {self.path} writes, so `admin.read` is not enough for it")
        if self.access != "public" and not self.guarded:
            raise ValueError(f"{self.method} {self.path} asks for `{self.access}`, so it has to stand under {GUARDED}")
