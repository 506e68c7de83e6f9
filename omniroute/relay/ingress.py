"""The client endpoints: one row each, and the plain ASGI application that a row becomes.

A row says everything that guards it: who may call, how large a body may be. A route that does not say so cannot be
built. The applications are mounted in Litestar but use none of it beyond the routing, because typed handlers and
dependency injection cost more than the whole gateway does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from omniroute.errors import (
    BadRequest,
    CallError,
    Fault,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnsupportedMedia,
    UpstreamError,
)
from omniroute.formats.codecs import CLIENTS
from omniroute.formats.multipart import Limits, Multipart, Part, boundary_of
from omniroute.relay import (
    actions,
    admission,
    admit,
    counting,
    headers,
    listing,
    meter,
    ollama,
    pump,
    relay,
    responses,
    transcribe,
    unary,
)
from omniroute.relay.asgi import Application, Receive, Scope, Send, respond
from omniroute.relay.call import Call
from omniroute.relay.guard import Guard
from omniroute.routing.live import Live
from omniroute.routing.tables import ANONYMOUS
from omniroute.state.base import State
from omniroute.upstream.client import Client

log = logging.getLogger("omniroute.relay")

Serve = Callable[[Call, Client, bytes], Awaitable[None]]
LONG = 60.0
"""Seconds. Longer than this, no official SDK waits for a refusal to end; those of OpenAI and Anthropic try again at once
instead, unless they are told not to."""
MEBIBYTE = 1024 * 1024
FORM_TOO_LARGE = "The form is larger than the {:g} MiB that are taken here (`server.audio_limit`, and its fields)."
FORM_FIELDS = 5 * MEBIBYTE
"""What a form may hold beside its file."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path of the client API. `body_limit` is in bytes, None for the configured one; `metered` calls
    stand in the ledger; `mount` takes all paths below; `shared` paths speak another format to callers that send a header
    of its own; a row that is `holding` something takes no path without it; where there is a `form`, the body is one with
    a file under one of these names, and no JSON."""

    path: str
    method: Literal["GET", "POST", "DELETE"]
    operation: str
    format: str
    serve: Serve
    access: Literal["client"]
    body_limit: int | None
    metered: bool = False
    mount: bool = False
    shared: bool = False
    holding: str = ""
    form: frozenset[str] = frozenset()


async def at_provider(call: Call, client: Client, body: bytes) -> None:
    """Answers `/v1/providers/{provider}/…` as the endpoint does whose path the rest is."""
    call.provider, _, rest = call.path.partition("/")
    row = next((row for row in ENDPOINTS if row.path == f"/v1/{rest}" and row.method == call.endpoint.method), None)
    if row is None or not row.metered or row.form:  # a form is read on the way to its own path only
        raise NotFound(f"There is no `{rest}` of a single provider.", code="path_not_found")
    call.endpoint, call.operation, call.codec, call.path = row, row.operation, CLIENTS[row.format], ""
    await row.serve(call, client, body)


def _posted(path: str, spoken: str, serve: Serve, operation: str = "chat", **more: Any) -> Endpoint:
    """A row that takes JSON and stands in the ledger, as most do."""
    usual: dict[str, Any] = {"access": "client", "body_limit": None, "metered": True}
    return Endpoint(path=path, method="POST", operation=operation, format=spoken, serve=serve, **(usual | more))


def _looked_up(path: str, spoken: str, serve: Serve, operation: str = "models", **more: Any) -> Endpoint:
    """A row that has no body and costs nothing."""
    usual: dict[str, Any] = {"method": "GET", "access": "client", "body_limit": 0}
    return Endpoint(path=path, operation=operation, format=spoken, serve=serve, **(usual | more))


ENDPOINTS = (
    _posted("/v1/chat/completions", "openai_chat", relay.chat),
    _posted("/v1/completions", "openai_completions", relay.chat),
    _posted("/v1/messages", "anthropic", relay.chat),
    _posted("/v1/messages/count_tokens", "anthropic", counting.count, "count_tokens", metered=False),
    _posted("/v1/responses", "openai_responses", responses.create, mount=True),
    _looked_up("/v1/responses", "openai_responses", responses.stored, "responses", mount=True),
    _looked_up("/v1/responses", "openai_responses", responses.forget, "responses", mount=True, method="DELETE"),
    _posted("/v1/responses/input_tokens", "openai_responses", counting.count, "count_tokens", metered=False),
    _posted(
        "/v1/audio/transcriptions",
        "openai_chat",
        transcribe.transcribe,
        "transcriptions",
        form=frozenset({"file"}),
    ),
    _posted("/v1/embeddings", "openai_chat", unary.embed_openai, "embeddings"),
    _looked_up("/v1/embeddings", "openai_chat", listing.models, "embeddings"),
    _posted("/v1/images/generations", "openai_chat", unary.draw, "images"),
    _looked_up("/v1/images/generations", "openai_chat", listing.models, "images"),
    _looked_up("/v1/models", "openai_chat", listing.models, mount=True, shared=True),
    _posted("/v1/models", "gemini", actions.act, mount=True, holding=":"),
    _posted("/v1/providers", "openai_chat", at_provider, mount=True),
    _posted("/v1beta/models", "gemini", actions.act, mount=True),
    _looked_up("/v1beta/models", "gemini", listing.models, mount=True),
    _posted("/api/v1beta/models", "gemini", actions.act, mount=True),
    _looked_up("/api/v1beta/models", "gemini", listing.models, mount=True),
    _posted("/api/chat", "ollama", relay.chat),
    _posted("/v1/api/chat", "ollama", relay.chat),
    _posted("/api/generate", "ollama_generate", relay.chat),
    _looked_up("/api/tags", "ollama", ollama.tags),
    _looked_up("/api/ps", "ollama", ollama.ps),
    _looked_up("/api/version", "ollama", ollama.version),
    _looked_up("/api/show", "ollama", ollama.show, method="POST", body_limit=None),
    _posted("/api/embed", "ollama", unary.embed_ollama, "embeddings"),
    _posted("/api/embeddings", "ollama", unary.embed_ollama, "embeddings"),
)
OWN_HEADERS = {b"anthropic-version": "anthropic", b"x-goog-api-key": "gemini"}
"""Which format a caller speaks on a path that several formats have."""
UNMETERED = frozenset({"count_tokens"})
"""Operations that cost nothing, under whichever path."""
SURFACES = (
    ("/v1/messages", "anthropic"),
    ("/v1/api", "ollama"),
    ("/v1", "openai_chat"),
    ("/v1beta", "gemini"),
    ("/api/v1beta", "gemini"),
)
"""Which format is spoken below a path, also where there is no endpoint."""


def _spoken(pairs: Iterable[tuple[bytes, bytes]], otherwise: str) -> str:
    return next((OWN_HEADERS[name] for name, _ in pairs if name in OWN_HEADERS), otherwise)


class Gate:
    """What every endpoint shares: the snapshot, the state, the way out, and how many requests are under way."""

    def __init__(self, live: Live, state: State, client: Client) -> None:
        self.live = live
        self.state = state
        self.client = client
        self.active = 0

    async def settled(self, seconds: float) -> None:
        """Waits until nothing is under way, for so long at the most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.active:  # noqa: ASYNC110 - an event would cost something in each request
                    await asyncio.sleep(0.01)

    def app(self, *rows: Endpoint) -> Application:
        """The ASGI application of a path, of which each row takes one method."""
        methods = {row.method: row for row in rows}

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            row = methods.get(scope["method"], rows[0])
            if row.holding not in scope["path"]:
                row = rows[0]
            call = self._call(row, scope, send)
            self.active += 1
            try:
                if scope["method"] != row.method:
                    raise _other_method(scope, rows)
                await self._answer(call, scope, receive)
            except CallError as error:
                await _refuse(call, error.fault, error.allow if isinstance(error, MethodNotAllowed) else ())
            except UpstreamError as error:
                await _refuse(call, error.fault)
            except asyncio.CancelledError:
                await _cancelled(call, call.guard)
            except Exception:
                log.exception("request %s failed inside the gateway", call.request_id)
                await _refuse(call, _OURS)
            finally:
                self.active -= 1
                _settle(call)

        return application

    def _call(self, endpoint: Endpoint, scope: Scope, send: Send) -> Call:
        spoken = _spoken(scope["headers"], endpoint.format) if endpoint.shared else endpoint.format
        call = Call(endpoint, CLIENTS[spoken], self.live.current, self.state, scope, send)
        if endpoint.mount:
            call.path = unquote(scope["raw_path"].decode("latin-1")).removeprefix(endpoint.path).strip("/")
        call.guard = Guard(scope, asyncio.get_running_loop())
        return call

    async def _answer(self, call: Call, scope: Scope, receive: Receive) -> None:
        endpoint, gateway = call.endpoint, call.gateway
        if gateway.ip_filter is not None:
            gateway.ip_filter.check(admit.client(scope, gateway.server.trusted_proxies))
        now = self.state.clock.now()
        call.principal = admit.identify(gateway, call.headers, scope["query_string"], now)
        admit.check_role(call.principal, endpoint.access)
        if call.principal is ANONYMOUS:
            admit.check_page(call.headers, gateway.access.allowed_hosts)
        if endpoint.form:
            body = b""
            most = gateway.server.audio_limit
            call.form = await _form(call, receive, Limits(most, endpoint.form, setting="server.audio_limit"))
        else:
            limit = gateway.server.body_limit if endpoint.body_limit is None else endpoint.body_limit
            body = await _read(call, receive, limit)
        call.guard.body_is_here()
        await endpoint.serve(call, self.client, body)


def _other_method(scope: Scope, rows: Sequence[Endpoint]) -> MethodNotAllowed:
    allowed = [row.method for row in rows if row.holding in scope["path"]]
    return MethodNotAllowed(f"{scope['path']} takes {', '.join(allowed)}, not {scope['method']}.", allowed)


def _settle(call: Call) -> None:
    """The request is over, however: what it held is given back, and what became of it is written down."""
    call.guard.release()
    admission.settle(call)
    if call.place is not None:
        call.place.free()
    if call.endpoint.metered and call.operation not in UNMETERED and call.principal is not None:
        meter.settle(call)  # strangers cannot make the ledger grow


def in_client_shape(path: str, fault: Fault, request_id: str) -> bytes | None:
    """A refusal as the client API tells it, for a path below it that is no endpoint; None for any other path."""
    spoken = next((form for place, form in SURFACES if path == place or path.startswith(f"{place}/")), None)
    return None if spoken is None else CLIENTS[spoken].encode_error(fault, request_id)


_OURS = Fault(kind="server", status=500, message="The gateway failed on this request; its log says why.")
_SLOW = Fault(kind="timeout", status=408, message="The body did not arrive in time.", code="body_timeout")
_GONE = Fault(kind="invalid_request", status=499, message="The client left before the answer.", code="client_gone")


async def _read(call: Call, receive: Receive, limit: int) -> bytes:
    """The body. Raises before reading what is announced too large, and as soon as what comes is."""
    named = call.named
    length = named.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    if named.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMedia("Compressed bodies are not taken; send the JSON as it is.")
    if call.endpoint.method == "POST" and not _is_json(named.get(b"content-type", b"")):
        # also where it does not say: browsers send such a body anywhere without asking
        raise UnsupportedMedia("The body must be JSON: send `Content-Type: application/json`.")
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message["more_body"]:
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body", True) and size <= limit:
        if message["type"] != "http.request":
            raise BadRequest("The body broke off.", code="body_incomplete")
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        call.guard.body_size = size
    if size > limit:
        raise _too_large(limit)
    return b"".join(parts)


async def _form(call: Call, receive: Receive, limits: Limits) -> list[Part]:
    """The parts of a form. Raises as soon as what comes is too much of anything, or no form."""
    limit = limits.file_bytes + FORM_FIELDS
    if call.principal is ANONYMOUS:
        admit.check_origin(call.headers)
    boundary = b""
    for name, value in call.headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise TooLarge(FORM_TOO_LARGE.format(limit / MEBIBYTE))
        if name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedMedia("Compressed bodies are not taken; send the form as it is.")
        if name == b"content-type":
            boundary = value
    form = Multipart(boundary_of(boundary), limits)
    parts: list[Part] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest("The body broke off.", code="body_incomplete")
        data: bytes = message.get("body", b"")
        size += len(data)
        call.guard.body_size = size
        if size > limit:
            raise TooLarge(FORM_TOO_LARGE.format(limit / MEBIBYTE))
        parts += form.feed(data)
        more = message.get("more_body", False)
    form.close()
    return parts


def _is_json(content_type: bytes) -> bool:
    if content_type == headers.JSON:
        return True
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than the {limit / MEBIBYTE:g} MiB that are taken here (`server.body_limit`).")


async def _refuse(call: Call, fault: Fault, allow: tuple[str, ...] = ()) -> None:
    """Tells the caller in the format of the surface, if nothing has been sent yet."""
    call.fault = fault
    if call.committed:
        return
    call.status = fault.status
    body = call.codec.encode_error(fault, call.request_id)
    pairs = [(b"content-type", headers.JSON), (b"content-length", b"%d" % len(body)), *headers.common(call)]
    if fault.retry_after is not None:
        pairs.append((b"retry-after", b"%d" % max(1, round(fault.retry_after + 0.4999))))
        if fault.retry_after > LONG and call.target is None:  # SDKs would wait, and ask again for nothing
            pairs.append((b"x-should-retry", b"false"))
    if allow:
        pairs.append((b"allow", ", ".join(allow).encode()))
    if fault.status == 401 and call.target is None:  # a provider's 401 is about our credential
        pairs.append((b"www-authenticate", b"Bearer"))
    await respond(call.send, fault.status, pairs, body)


async def _cancelled(call: Call, guard: Guard) -> None:
    """The client left, was too slow, or the server has waited long enough for us."""
    if not guard.caught():
        await _refuse(call, pump.STOPPING)  # and to end is all that is asked for
        return
    if guard.reason == "body_timeout":
        await _refuse(call, _SLOW)
        return
    call.fault = _GONE
    call.status = _GONE.status
