"""Whether an answer may be given again, and to what: pure decisions over the request.

Two requests get the same answer where nothing that shapes it differs: what the caller said, in no format's words, which
route and policies it meets, and who is asking. All of that goes into one digest. Whether the answer is streamed does
not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from zlib import crc32

import msgspec

from omniroute.formats.fold import Message
from omniroute.formats.ir import Chat, Document, FinishReason, Text, Thinking, Turn
from omniroute.routing.resolve import Variant
from omniroute.routing.tables import Caching, Policy, Principal, Route, Target

ELSEWHERE = frozenset({"container", "mcp_servers", "plugins", "prompt", "search_parameters", "web_search_options"})
"""Fields with which an answer depends on more than the request says: a provider's own store, or the world outside."""
GOOD: frozenset[FinishReason | None] = frozenset({"stop", "stop_sequence"})
"""Ends after which an answer is what was asked for: one that was cut off, at whatever limit, is asked for again in the
hope of more."""
SHAPING = frozenset({b"anthropic-beta", b"openai-beta"})
"""Headers of a client that change what an upstream answers."""

PLAIN = frozenset(
    {
        *("model", "messages", "system", "input", "instructions", "stream", "stream_options", "temperature", "top_p"),
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "stop", "stop_sequences", "seed", "user"),
        *("frequency_penalty", "presence_penalty", "response_format", "reasoning_effort", "verbosity", "metadata"),
    }
)
"""Fields at the top of a body that hold nothing of what `why_not` says, but for a temperature."""
STRUCTURE = b" \t\r\n:,{}[]0123456789.+-Eaeflnrstu"
"""What stands between the strings of JSON: blanks, signs, numbers, and the letters of `true`, `false` and `null`."""
UNREADABLE = (ValueError, RecursionError)
"""What reading JSON raises that is none in its depth; DecodeError of msgspec is a ValueError."""
LONGEST_KEY = 24
"""Bytes of what an outline leaves out at once."""

_escaped = re.compile(rb"\\[u/]").search
"""An escape that need not be. A search of `re` for it takes a tenth of the time of `in`."""
_number = re.compile(r"\d+(?:[.,:/-]\d+)*").findall
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


def why_not(chat: Chat) -> str:
    """Why the answer to this cannot be given again; empty where it can."""
    sampling = chat.sampling
    if sampling.temperature:
        return f"`temperature` is {sampling.temperature:g}: another answer is wanted each time"
    if sampling.n is not None and sampling.n > 1:
        return "several answers are wanted at once"
    if any(tool.opaque is not None for tool in chat.tools):
        return "a tool of the provider's own looks at the world"
    outside = ELSEWHERE.intersection(chat.vendor)
    if outside:
        return f"`{min(outside)}` points to what is not in the request"
    if any(isinstance(block, Document) and block.citations for turn in chat.turns for block in turn.blocks):
        return "documents are to be cited"
    return ""


def plain(fields: Iterable[str], body: bytes) -> bool:
    """Whether `why_not` has surely nothing against a request, but for its temperature, without a look into it."""
    return PLAIN.issuperset(fields) and b'"citations"' not in body


class Cacheability(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the answer to a request may be given again: looked for, and kept if it turns out well. `reason` says why
    not."""

    cacheable: bool
    reason: str = ""


def cacheability(caching: Caching | None, chat: Chat | None, *, declined: bool = False) -> Cacheability:
    """What `explain` tells. Without a request, it is told of one that has nothing against it."""
    if caching is None:
        return Cacheability(cacheable=False, reason="`cache.exact` is not switched on")
    if declined:
        return Cacheability(cacheable=False, reason="`X-OmniRoute-No-Cache: true` asks for a new answer")
    reason = "" if chat is None else why_not(chat)
    return Cacheability(cacheable=not reason, reason=reason)


def keepable(message: Message) -> bool:
    """Whether an answer is whole, good, and says all that it says in words."""
    return (
        message.finish in GOOD
        and any(isinstance(block, Text) and block.text for block in message.blocks)
        and all(isinstance(block, (Text, Thinking)) for block in message.blocks)
    )


def circumstances(
    caching: Caching,
    principal: Principal,
    route: Route,
    asked: str,
    variant: Variant,
    policies: tuple[Policy, ...],
    betas: list[tuple[str, str]],
) -> bytes:
    """Everything but the request's own words: who asks, for which route, under which rules. A policy may look at the
    name that was asked for, so where there is one, two names for a route are two."""
    group = caching.groups.get(principal.name)
    caller = ("key", principal.name) if group is None else ("group", group)
    rules = (asked, *[policy.name for policy in policies]) if policies else ()
    return _circumstances(caching.ground, caller, route.name, rules, tuple(variant), tuple(betas))


@lru_cache(4096)
def _circumstances(*parts: str | tuple[str, ...] | tuple[tuple[str, str], ...]) -> bytes:
    return _encode(parts)


def digest(circumstances: bytes, chat: Chat) -> bytes:
    """The key of the answer to a request under these circumstances."""
    neutral = msgspec.structs.replace(chat, stream=False, vendor_format=None if _neutral(chat) else chat.vendor_format)
    said = sha256(circumstances)
    said.update(b"\n")  # which no JSON of ours holds, so that neither part can reach into the other
    said.update(_encode(neutral))
    return said.digest()


def name(circumstances: bytes, spoken: str, mode: str, body: bytes) -> bytes:
    """A digest of the request as it was written, which costs no look into it: where it is known, so is the key."""
    said = sha256(b"%b\n%b %b\n" % (circumstances, spoken.encode(), mode.encode()))
    said.update(body)
    return said.digest()


def outline(circumstances: bytes, body: bytes) -> bytes:
    """The same, four bytes, for all bodies that may ask the same under these circumstances, and hardly for others: of
    the longer texts in it, whatever is around them. A text stands in JSON in one way only, once escapes that need not be
    are gone; what has no blank and only ASCII may be a key or a name, and is left out."""
    if _escaped(body):
        with suppress(*UNREADABLE):  # then nothing but the same bytes is the same
            body = _encode(_decode(body))
    total = crc32(circumstances)
    for part in body.split(b'"'):
        if len(part) > LONGEST_KEY and (b" " in part.strip(STRUCTURE) or not part.isascii()):
            total += crc32(part)
    return (total & 0xFFFFFFFF).to_bytes(4, "big")


def _neutral(chat: Chat) -> bool:
    """Whether it means the same whichever format it came in: tools, thinking and files have each format's defaults."""
    return (
        not chat.vendor
        and not chat.tools
        and chat.reasoning is None
        and all(type(block) is Text for turn in chat.turns for block in turn.blocks)
    )


def numbers(text: str) -> bytes:
    """The numbers in a question. To a model of embeddings 12 kilometres are nearly 10, so questions are compared only
    where these are the same."""
    return _encode(_number(text))


def question(chat: Chat) -> tuple[str, Chat] | None:
    """The text of the last turn, and the request without it; None where the last turn is not the user's, or says more
    than text can."""
    if not chat.turns or chat.turns[-1].role != "user":
        return None
    last = chat.turns[-1]
    texts = [block.text for block in last.blocks if type(block) is Text]
    text = "\n".join(texts).strip()
    if len(texts) != len(last.blocks) or not text:
        return None
    blank = Turn(role="user", blocks=(), name=last.name)
    return text, msgspec.structs.replace(chat, turns=(*chat.turns[:-1], blank))


def target_of(route: Route, ident: str) -> Target | None:
    """The target of this id that the route leads to, if it still does."""
    for step in route.steps:
        found = target_of(step, ident) if isinstance(step, Route) else step if step.id == ident else None
        if found is not None:
            return found
    return None
