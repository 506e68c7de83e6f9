"""What settings and policies have done with a request on its way to a target, and with its answer on the way back.

A request in another format is changed as the chat that it is; one that goes on as it came is changed in the fields that
this is about, and every other byte stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from omniroute.errors import Unsupported
from omniroute.formats import patch
from omniroute.formats.codec import ChatCodec, Fields, Head, malformed
from omniroute.formats.instructions import in_chat
from omniroute.formats.ir import Chat, Loss, Raw
from omniroute.formats.redaction.body import SEALED, redacted
from omniroute.formats.redaction.scrubber import Finders, Redaction, finders
from omniroute.relay.call import Call
from omniroute.relay.subject import decoded
from omniroute.routing.ruling import ruling
from omniroute.routing.tables import Orders, Policy, Target
from omniroute.upstream.client import classify

UNREADABLE = (ValueError, RecursionError)
"""What reading through a document raises that is none, or too much; DecodeError of msgspec is a ValueError."""


def ordered(call: Call, target: Target) -> Orders | None:
    """What counts for the call at this target; None where nothing does."""
    general = call.gateway.orders
    if not call.policies:
        return general
    assert call.route is not None
    return ruling(call.policies, call.asked, call.operation, call.route).orders(target, general)


# ------------------------------------------------------------------------------------------------------- on the way there


def told(orders: Orders, chat: Chat, target: Target) -> Chat:
    """The chat with the operator's texts, and with as much thought as they want."""
    for instruction in orders.instructions:
        chat = in_chat(chat, instruction)
    if _thinks(orders, chat, target):
        assert orders.thinking is not None
        chat = msgspec.structs.replace(chat, reasoning=orders.thinking.wanted(chat))
    return chat


def told_in_place(
    orders: Orders, codec: ChatCodec, fields: Fields, head: Head, call: Call, target: Target, losses: list[Loss]
) -> Fields:
    """The fields of a request that goes on as it came, with the same."""
    for instruction in orders.instructions:
        fields = codec.instructed(fields, instruction)
    if orders.thinking is None or orders.thinking.mode == "passthrough":
        return fields
    chat = read(call, head)
    if not _thinks(orders, chat, target):
        return fields
    wanted = msgspec.structs.replace(chat, reasoning=orders.thinking.wanted(chat))
    written, lost = codec.encode_request(wanted, target.model)
    losses += [loss for loss in lost if loss.path.startswith("reasoning")]
    kept = {name: value for name, value in fields.items() if name not in codec.THINKING}
    return kept | {name: written[name] for name in codec.THINKING if name in written}


def _thinks(orders: Orders, chat: Chat, target: Target) -> bool:
    """Whether the amount of thought is to be changed: of a request that speaks of it, or at a model known to think.
    Others refuse a word about it."""
    thought = orders.thinking
    if thought is None or thought.mode == "passthrough":
        return False
    return chat.reasoning is not None or "reasoning" in target.facts.capabilities


def read(call: Call, head: Head) -> Chat:
    """The chat of a head, the call's own or one that was made of it."""
    return decoded(call, head) if head is call.head else call.codec.decode_request(head)


def cleared(call: Call, head: Head, orders: Orders, target: Target) -> Head:
    """The request without what is to be redacted in it. Raises Unsupported where it cannot be read through and a rule
    is strict about that."""
    rules = tuple(one for one in orders.redactions if one.request)
    if not rules:
        return head
    known = call.cleared.get(rules)
    if known is None:
        try:
            known = call.cleared[rules] = _without(head, _together(rules))
        except UNREADABLE as error:
            _refuse(rules, target, str(error))
            known = call.cleared[rules] = head
    return known


def _without(head: Head, found: Finders) -> Head:
    fields = {
        name: raw if name in SEALED else Raw(redacted(bytes(raw), found, field=name))
        for name, raw in head.fields.items()
    }
    if all(bytes(fields[name]) == bytes(raw) for name, raw in head.fields.items()):
        return head
    return msgspec.structs.replace(head, fields=fields, body=patch.join(fields))


def cleared_text(call: Call, text: str) -> str | None:
    """A text of the request that is to go to somebody besides its targets, without what any policy of the call redacts;
    None where it cannot be read through."""
    said = [policy.orders for policy in call.policies if policy.orders is not None]
    rules = tuple(one for each in said for one in each.redactions if one.request)
    if not rules:
        return text
    try:
        scrubbed = _together(rules).scrubbed(text.encode())
    except UNREADABLE:
        return None
    return text if scrubbed is None else scrubbed.decode()


def unlooked(orders: Orders | None, target: Target) -> None:
    """What goes on unread, a recording. Raises Unsupported where a rule that redacts is strict."""
    if orders is not None and orders.redactions:
        _refuse(orders.redactions, target, "a recording and its transcript are not looked into")


def _refuse(rules: Sequence[Redaction], target: Target, why: str) -> None:
    if any(one.strict for one in rules):
        raise Unsupported(f"`{target.id}` may not be sent this: it cannot be redacted, {why}.", code="redaction_failed")


# ------------------------------------------------------------------------------------------------------- on the way back


def answer_finders(orders: Orders | None) -> tuple[Finders | None, bool]:
    """What is to be found in answers, and whether one that cannot be read through is to be refused."""
    if orders is None or not orders.redactions:
        return None, False
    rules = tuple(one for one in orders.redactions if one.response)
    return (_together(rules), any(one.strict for one in rules)) if rules else (None, False)


def cleaned(body: bytes, orders: Orders | None, provider: str) -> bytes:
    """A whole answer without what is to be redacted. Raises UpstreamError where it cannot be read through and a rule is
    strict about that."""
    found, strict = answer_finders(orders)
    if found is None:
        return body
    try:
        return redacted(body, found, answer=True)
    except UNREADABLE as error:
        if strict:
            raise classify(malformed(f"it cannot be redacted, {error}"), provider) from None
        return body


def shadow_finds(call: Call, target: Target) -> list[str]:
    """The names of policies in the shadow that would have redacted something in the request."""
    assert call.head is not None
    return [policy.name for policy in call.shadows if _finds(policy, call.head, call.asked, target)]


def _finds(policy: Policy, head: Head, asked: str, target: Target) -> bool:
    if policy.orders is None or not policy.concerns(asked, target.id):
        return False
    rules = tuple(one for one in policy.orders.redactions if one.request)
    try:
        return bool(rules) and _without(head, _together(rules)) is not head
    except UNREADABLE:
        return any(one.strict for one in rules)


@lru_cache(256)
def _together(rules: tuple[Redaction, ...]) -> Finders:
    """Rules live as long as a snapshot; what several find together is worked out once."""
    return finders(rules)
