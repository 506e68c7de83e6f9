"""The engine from inside: a request of the gateway's own goes through the same gate as one that came over a socket.

No socket and no second way of serving: the ASGI application of the row is called with a scope that nobody sent. Who asks
is settled before, so the request carries a key that was made for it and that no one else can know. What such a request
may leave behind is its `Standing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from secrets import token_urlsafe

from msgspec.structs import replace

from omniroute.relay.asgi import Application, Message, Receive, Scope
from omniroute.relay.call import Call
from omniroute.relay.guard import KEY, Guard
from omniroute.relay.ingress import ENDPOINTS, Endpoint, Gate
from omniroute.routing.inquiry import Answered, Inquiry
from omniroute.routing.live import Live
from omniroute.routing.policies import Policies
from omniroute.routing.tables import UNLIMITED, Gateway
from omniroute.state.base import State
from omniroute.state.looking import Looking
from omniroute.state.memory import memory_state
from omniroute.upstream.client import Client

ROWS: Mapping[str, Endpoint] = {row.path: row for row in ENDPOINTS if row.method == "POST" and not row.mount}
"""What can be asked so: what a path alone says."""


class Inside:
    """`Ask`, over what the gate for clients has too."""

    def __init__(self, live: Live, state: State, client: Client) -> None:
        self._live = live
        self._state = state
        self._client = client

    async def __call__(self, inquiry: Inquiry) -> Answered:
        key = token_urlsafe()
        gateway = _gateway(self._live.current, inquiry, sha256(key.encode()).digest())
        state = self._standing(inquiry)
        seen: list[Call] = []
        told = _Told()
        began = state.clock.monotonic()
        row = ROWS[inquiry.path]
        app = Gate(Live(gateway), state, self._client).app(watched(row, seen))
        await _asked(app, _scope(inquiry.path, key), inquiry.body, told)
        ms = (state.clock.monotonic() - began) * 1e3
        return _answered(told, seen[0] if seen else None, ms)

    def _standing(self, inquiry: Inquiry) -> State:
        if inquiry.standing == "served":
            return self._state
        apart = replace(memory_state(), clock=self._state.clock)
        return replace(apart, breakers=Looking(self._state.breakers)) if inquiry.standing == "tried" else apart


async def _asked(app: Application, scope: Scope, body: bytes, told: _Told) -> None:
    """Has it served in a task of its own, so that who gives up is a client that leaves, to the ledger as to the
    provider."""
    guards: list[Guard] = []
    scope[KEY] = guards
    task = asyncio.ensure_future(app(scope, received(body), told.send))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        for guard in guards:
            guard.trip("client_gone")
        if not guards and not told.status:  # it has not begun
            task.cancel()
        await asyncio.wait([task])
        raise


def watched(row: Endpoint, seen: list[Call]) -> Endpoint:
    """The endpoint, which tells of the calls that it serves."""

    async def serve(call: Call, client: Client, body: bytes) -> None:
        seen.append(call)
        await row.serve(call, client, body)

    return replace(row, serve=serve)


def received(body: bytes) -> Receive:
    """A body that is here already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


class _Told:
    """What the client would have been sent."""

    def __init__(self) -> None:
        self.status = 0
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")


def _gateway(running: Gateway, inquiry: Inquiry, digest: bytes) -> Gateway:
    """The snapshot in which this caller is known and asks anew, wherever it is."""
    principals = {digest: inquiry.principal}
    routes = {**running.routes, **inquiry.routes} if inquiry.routes else running.routes
    gateway = replace(running, principals=principals, routes=routes, ip_filter=None, cache=None, idempotency=None)
    if inquiry.standing == "served":
        return gateway
    return replace(gateway, policies=Policies(), limits=UNLIMITED, orders=None, queue=None)


def _scope(path: str, key: str) -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"authorization", f"Bearer {key}".encode()),
        ],
        "client": ("127.0.0.1", 0),
    }


def _answered(told: _Told, call: Call | None, ms: float) -> Answered:
    if call is None:
        return Answered(status=told.status, body=bytes(told.body), ms=ms)
    usage = call.usage
    return Answered(
        status=told.status,
        body=bytes(told.body),
        fault=call.fault,
        attempts=tuple(call.attempts),
        target=call.target.id if call.target is not None else "",
        connection=call.connection.id if call.connection is not None else "",
        ms=ms,
        input=usage.input if usage is not None else 0,
        output=usage.output if usage is not None else 0,
        cost=call.cost,
    )
