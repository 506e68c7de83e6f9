"""Reasoning that was sealed: which of it is this format's own, and how a request is rid of the rest.

A reasoning item holds its thoughts encrypted, for the provider that thought them. The item's id belongs to that, so
both are kept as one signature. Thoughts of other formats are told in the same place, under a seal of ours
(`formats/sealing.py`), and must not reach an upstream of this format.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from omniroute.errors import Fault
from omniroute.formats import sealing
from omniroute.formats.codec import Fields
from omniroute.formats.ir import Raw, Thinking

NAME = "openai_responses"

_MARK = b'"' + sealing.PREFIX.encode()
_REDACTED = "redacted."
"""Before what another format had sealed without a text: an item here does not tell the two apart."""
_ID = "rs_"
_about_seals = re.compile(r"encrypted.content|'rs_\w+'|of type 'reasoning'", re.IGNORECASE)
_encode = msgspec.json.Encoder().encode


class _Item(msgspec.Struct):
    type: str | None = None
    encrypted_content: str | None = None


_item = msgspec.json.Decoder(_Item)
_items = msgspec.json.Decoder(list[Raw])


def seal(issuer: str | None, signature: str | None, redacted: str | None = None) -> tuple[str | None, str | None]:
    """The id of a reasoning item, if it has one of its own, and its encrypted content."""
    if issuer in (None, NAME):
        return opened(signature if redacted is None else redacted)
    return None, sealing.seal(issuer, NAME, signature if redacted is None else _REDACTED + redacted)


def unseal(ident: str | None, encrypted: str | None, text: str) -> Thinking:
    """What a reasoning item holds."""
    issuer, inner = sealing.unseal(NAME, encrypted or "")
    if issuer in (None, NAME):
        return Thinking(text, _signature(ident, inner), issuer=issuer)
    if inner is not None and inner.startswith(_REDACTED):
        return Thinking(redacted=inner.removeprefix(_REDACTED), issuer=issuer)
    return Thinking(text, inner, issuer=issuer)


def opened(signature: str | None) -> tuple[str | None, str | None]:
    """The id and the encrypted content of a signature of this format."""
    ident, found, encrypted = (signature or "").partition(".")
    return (ident, encrypted) if found and ident.startswith(_ID) else (None, signature)


def _signature(ident: str | None, encrypted: str | None) -> str | None:
    if encrypted is None or ident is None or not ident.startswith(_ID) or "." in ident:
        return encrypted
    return f"{ident}.{encrypted}"


def without_foreign(items: Raw) -> Raw:
    """The input without reasoning that only looks like this format's; byte for byte the same where there is none."""
    if _MARK not in bytes(items):
        return items
    return _without(items, _is_foreign)


def seal_refused(fault: Fault) -> bool:
    return _about_seals.search(f"{fault.message} {fault.param or ''} {fault.code or ''}") is not None


def unsealed(fields: Fields) -> Fields | None:
    given = fields.get("input")
    items = given if isinstance(given, Raw) else Raw(_encode(given))
    kept = _without(items, _is_sealed)
    return None if kept is items else {**fields, "input": kept}


def _without(items: Raw, unwanted: Callable[[_Item], bool]) -> Raw:
    """The items but for the unwanted ones; the very same where there are none, and after a mistake."""
    try:
        told = _items.decode(items)
        kept = [one for one in told if not unwanted(_item.decode(one))]
    except (msgspec.DecodeError, RecursionError):
        return items
    return items if len(kept) == len(told) else Raw(_encode(kept))


def _is_sealed(item: _Item) -> bool:
    return item.type == "reasoning" and bool(item.encrypted_content)


def _is_foreign(item: _Item) -> bool:
    return item.type == "reasoning" and (item.encrypted_content or "").startswith(sealing.PREFIX)
