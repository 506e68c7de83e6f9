"""Whose conversation a request belongs to: the session as the client names it, in a header or in a field of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from omniroute.formats.codec import Head
from omniroute.relay.asgi import Pairs
from omniroute.relay.call import Call
from omniroute.state.roster import Request

HEADERS = (b"x-session-id", b"x-claude-code-session-id", b"session-id", b"session_id")
"""Where clients name their session, the gateway's own word first: Claude Code, Codex since 0.90, Codex before."""
NAMES = frozenset(HEADERS)
SHOWN = 64
"""Characters of what a client calls itself."""


class _Metadata(msgspec.Struct):
    user_id: str = ""


class _Session(msgspec.Struct):
    session_id: str = ""


_metadata = msgspec.json.Decoder(_Metadata)
_session = msgspec.json.Decoder(_Session)
_text = msgspec.json.Decoder(str)


def session_name(headers: Pairs, head: Head | None) -> str:
    """As headers name it, or else the fields that clients have for it; empty where nothing does."""
    found = {header: value for header, value in headers if header in NAMES}
    if found:
        for header in HEADERS:
            named = found.get(header, b"").strip()
            if named:
                return named.decode("latin-1")
    if head is not None:
        for field, read in FIELDS.items():
            raw = head.fields.get(field)
            if raw is not None and (told := read(raw)):
                return told
    return ""


def remember(call: Call) -> None:
    """Adds what a request took to its session, if it has one."""
    name = session_name(call.headers, call.head)
    if not name:
        return
    usage, target, connection = call.usage, call.target, call.connection
    request = Request(
        client=_client(call.headers),
        target=target.id if target is not None else "",
        connection=connection.id if connection is not None else "",
        tokens=usage.input + usage.output if usage is not None else 0,
        cost=call.cost,
    )
    key = call.principal.name if call.principal is not None else ""
    call.state.roster.note(key, name, request, call.state.clock.now(), call.gateway.session_ttl)


def _client(headers: Pairs) -> str:
    """What the program calls itself: the first product of its `User-Agent`."""
    for header, value in headers:
        if header == b"user-agent":
            product = value.partition(b" ")[0][:SHOWN].decode("latin-1")
            return product if product.isprintable() else ""
    return ""


def _claude(metadata: msgspec.Raw) -> str:
    """Claude Code writes user, device and session into `metadata.user_id`: as JSON, before 2.1 as one name that ends in
    `_session_` and the session. Other clients mean a person by it, whose requests belong together just as well."""
    try:
        user = _metadata.decode(metadata).user_id
    except msgspec.DecodeError:
        return ""
    try:
        return _session.decode(user.encode()).session_id or user
    except msgspec.DecodeError:
        return user.rpartition("_session_")[2]


def _cache_key(key: msgspec.Raw) -> str:
    """OpenAI's word for requests that share a prompt; Codex puts its session there."""
    try:
        return _text.decode(key)
    except msgspec.DecodeError:
        return ""


FIELDS: Mapping[str, Callable[[msgspec.Raw], str]] = {"prompt_cache_key": _cache_key, "metadata": _claude}
