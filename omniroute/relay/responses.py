"""`previous_response_id` and `store` of OpenAI's Responses, whoever answers: a conversation is kept here, not at a
provider, and so goes on at whichever comes next.

What is kept is in memory, bounded, and the caller's own: for anybody else it is not there (`state/base.py: Answers`).
An item that only its provider's own store could complete (reasoning that came without its encrypted content) is left
out when the conversation goes on, and so are the ids that would point into that store.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import BadRequest, NotFound, TooLarge, Unsupported
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.framing import records
from omniroute.formats.ir import Raw
from omniroute.relay.asgi import Message
from omniroute.relay.call import Call
from omniroute.relay.pump import send_whole
from omniroute.relay.relay import converse
from omniroute.state.base import Answer
from omniroute.upstream.client import Client

POINTING = frozenset(
    {"message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"}
)
"""Items whose own id says nothing but where a provider has them; that of any other may be what an answer to it names."""
ENDS = (b"response.completed", b"response.incomplete")
"""The events that hold the whole answer, for a stream that did not fail."""
UNDER_WAY = frozenset({"queued", "in_progress"})
"""The states of an answer that only its provider's own store will ever have whole."""


class _Item(msgspec.Struct):
    type: str | None = None
    encrypted_content: str | None = None


class _Told(msgspec.Struct):
    """A whole answer."""

    id: str
    output: list[Raw]
    status: str | None = None


class _Ended(msgspec.Struct):
    """An event that holds one."""

    type: str = ""
    response: Raw = Raw()


_item = msgspec.json.Decoder(_Item).decode
_told = msgspec.json.Decoder(_Told).decode
_ended = msgspec.json.Decoder(_Ended).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_string = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode


async def create(call: Call, client: Client, body: bytes) -> None:
    """Answers `POST /v1/responses`."""
    if call.path:
        raise NotFound(f"There is no `POST /v1/responses/{call.path}` here.", code="path_not_found")
    head = call.codec.peek(body, call.path, call.scope["query_string"])
    if patch.flag(head.fields, "background"):
        raise Unsupported(
            "An answer in the background could not be fetched from here: ask for a stream instead.", param="background"
        )
    head = call.head = _continued(call, head)
    if call.gateway.server.answers.entries and bytes(head.fields.get("store", b"true")) != b"false":
        call.send = _Recorder(call, head)
    await converse(call, client)


async def stored(call: Call, _client: Client, _body: bytes) -> None:
    """Answers `GET /v1/responses/{id}`."""
    await _say(call, _find(call, call.path).response)


async def forget(call: Call, _client: Client, _body: bytes) -> None:
    """Answers `DELETE /v1/responses/{id}`."""
    _find(call, call.path)
    call.state.answers.delete(_owner(call), call.path)
    await _say(call, _encode({"id": call.path, "object": "response", "deleted": True}))


async def _say(call: Call, body: bytes) -> None:
    call.status = 200
    await send_whole(call, body)


def _owner(call: Call) -> str:
    assert call.principal is not None
    return call.principal.name


def _find(call: Call, ident: str) -> Answer:
    answer = call.state.answers.get(_owner(call), ident, call.state.clock.monotonic())
    if answer is None:
        kept = call.gateway.server.answers.ttl
        raise NotFound(
            f"Response with id `{ident}` not found: answers are kept for {kept:g} s, for the key that asked.",
            param="response_id",
        )
    return answer


# ------------------------------------------------------------------------------------------------------ the way there


def _continued(call: Call, head: Head) -> Head:
    """The request with the conversation before it. One that is not known here is left to the upstream that may."""
    given = head.fields.get("previous_response_id")
    if given is None or bytes(given) == b"null":
        return head
    ident = patch.read(_string, given, "previous_response_id")
    answer = call.state.answers.get(_owner(call), ident, call.state.clock.monotonic())
    if answer is None:
        return head
    fields = {name: raw for name, raw in head.fields.items() if name != "previous_response_id"}
    fields["input"] = Raw(_encode([*_items(answer.items), *_asked(head.fields)]))
    body = patch.join(fields)
    if len(body) > call.gateway.server.body_limit:
        raise TooLarge(
            "The conversation behind `previous_response_id` is larger than what is taken here (`server.body_limit`)."
        )
    head = call.codec.peek(body, call.path, call.scope["query_string"])
    head.echoed = {"previous_response_id": given}
    return head


def _asked(fields: dict[str, Raw]) -> list[Raw]:
    """The input of a request as items."""
    given = fields.get("input")
    if given is None or patch.is_null(given):
        return []
    if bytes(given).lstrip().startswith(b'"'):
        return [Raw(_encode({"type": "message", "role": "user", "content": given}))]
    try:
        return _items(given)
    except msgspec.DecodeError:
        raise BadRequest("`input` must be a string or a list of items.", param="input") from None


# -------------------------------------------------------------------------------------------------------- the way back


class _Recorder:
    """Stands before the client and keeps the answer that goes by."""

    __slots__ = ("_call", "_head", "_ok", "_send")

    def __init__(self, call: Call, head: Head) -> None:
        self._call = call
        self._head = head
        self._send = call.send
        self._ok = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._ok = message["status"] == 200
        elif self._ok:
            self._look(message.get("body", b""))
        await self._send(message)

    def _look(self, body: bytes) -> None:
        if not self._head.stream:
            self._keep(body)
        elif any(end in body for end in ENDS):  # a body is made of whole events
            for name, data in records(body):
                if name in ENDS:
                    self._keep(bytes(_ended(data).response))

    def _keep(self, response: bytes) -> None:
        call = self._call
        try:
            told = _told(response)
            items = [one for raw in (*_asked(self._head.fields), *told.output) if (one := _kept(raw)) is not None]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadRequest):
            return  # what is no answer, or is asked in items that nobody here can read, cannot go on
        if told.status in UNDER_WAY:
            return
        call.state.answers.put(
            _owner(call),
            told.id,
            Answer(response, _encode(items)),
            call.state.clock.monotonic(),
            call.gateway.server.answers,
        )


def _kept(raw: Raw) -> Any:
    """An item as it goes on with the conversation; None where it cannot."""
    item = _item(raw)
    if item.type == "item_reference" or (item.type == "reasoning" and item.encrypted_content is None):
        return None
    if item.type not in POINTING:
        return raw
    return {name: value for name, value in _fields(raw).items() if name not in ("id", "status")}
