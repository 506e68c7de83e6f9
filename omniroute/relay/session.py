"""Whose conversation a request belongs to: the session as the client names it, in a header or in a field of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec

from omniroute.formats.codec import Head
from omniroute.relay.call import Call
from omniroute.state.roster import Request

HEADERS = (b"x-session-id", b"x-claude-code-session-id", b"session-id", b"session_id")
"""Where clients name their session, the gateway's own word first: Claude Code, Codex since 0.90, Codex before."""
AGENT = b"user-agent"
SHOWN = 64
"""Characters of what a client calls itself."""


LONGEST = 128
"""Characters of a name that the ledger keeps."""


class _Metadata(msgspec.Struct):
    user_id: str = ""


class _Session(msgspec.Struct):
    session_id: str = ""


_metadata = msgspec.json.Decoder(_Metadata)
_session = msgspec.json.Decoder(_Session)
_text = msgspec.json.Decoder(str)


def session_of(named: Mapping[bytes, bytes], head: Head | None) -> str:
    """The session as headers name it, or else the fields that clients have for it; empty where nothing does."""
    for header in HEADERS:
        if header in named and (name := named[header].strip()):
            return name.decode("latin-1")
    if head is not None:
        for field, read in FIELDS.items():
            if field in head.fields and (told := read(head.fields[field])):
                return told
    return ""


def remember(call: Call) -> None:
    """Adds what a request took to its session, if it has one."""
    name = session_of(call.named, call.head)
    if not name:
        return
    call.session = name[:LONGEST]
    usage, target, connection, principal = call.usage, call.target, call.connection, call.principal
    request = Request(
        _product(call.named.get(AGENT, b"")),
        target.id if target is not None else "",
        connection.id if connection is not None else "",
        usage.input + usage.output if usage is not None else 0,
        call.cost,
    )
    key = principal.name if principal is not None else ""
    call.state.roster.note(key, name, request, call.state.clock.now(), call.gateway.session_ttl)


@lru_cache(maxsize=256)
def _product(agent: bytes) -> str:
    """What the program calls itself: the first product of its `User-Agent`."""
    product = agent.partition(b" ")[0][:SHOWN].decode("latin-1")
    return product if product.isprintable() else ""


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
