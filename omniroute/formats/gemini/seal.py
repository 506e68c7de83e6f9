"""Thought signatures: Google's own, those of other formats on their way back, and requests that hold the wrong ones.

Here a signature stands on a part (a text, a call, a thought), and it is base64: Google's SDK decodes it and encodes it
again, in the alphabet for URLs. So what another format signed is told as the base64 of the seal (`formats/sealing.py`),
on the part that follows the thinking, which is where Google puts its own and what clients keep; some drop thoughts.

Gemini 3 refuses a call of its history that has no signature. For calls of others Google documents a word to stand in:
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from omniroute.errors import Fault
from omniroute.formats import sealing
from omniroute.formats.codec import Fields
from omniroute.formats.ir import Raw

NAME = "gemini"
STAND_IN = "skip_thought_signature_validator"
"""Valid base64 by chance, and so the same after an SDK has decoded and encoded it."""
REDACTED = "redacted."
"""Before a seal's content that is the thinking itself, encrypted, and not a signature of it."""

_SEALED = "b21uaXJvdXRlL"
"""How the base64 of our seal begins, in both alphabets."""
_MARK = b'"' + _SEALED.encode()
_base64 = re.compile(r"(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2}==|[A-Za-z0-9+/_-]{3}=)?")
_STANDARD = str.maketrans("-_", "+/")
_about_seals = re.compile(r"thought.?signature", re.IGNORECASE)


class _Content(msgspec.Struct):
    parts: list[dict[str, Raw]] | None = None


_contents = msgspec.json.Decoder(list[Raw])
_content = msgspec.json.Decoder(_Content)
_object = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode
_STAND_IN = Raw(_encode(STAND_IN))
_SIGNATURES = ("thoughtSignature", "thought_signature")
_CALLS = ("functionCall", "function_call")


def standard(data: str) -> str:
    """Base64 in the alphabet and with the padding that everybody reads."""
    if "-" in data or "_" in data:
        data = data.translate(_STANDARD)
    return data + "=" * (-len(data) % 4)


def seal(issuer: str | None, signature: str | None, redacted: str | None = None) -> str:
    """The signature to tell a client of this format; empty where there is nothing to tell. One of Google's own is told
    as it is, unless it is no base64, which no client could read."""
    if signature is None and redacted is None:
        return ""
    if issuer in (None, NAME) and redacted is None and _base64.fullmatch(signature or ""):
        return signature or ""
    issuer = issuer or NAME
    held = signature if redacted is None else REDACTED + redacted
    return base64.b64encode(f"{sealing.PREFIX}{issuer}.{held}".encode()).decode()


def unseal(signature: str) -> tuple[str | None, str | None, str | None]:
    """Who issued it, what was signed, and what was encrypted instead. The stand-in signs nothing."""
    if not signature or signature == STAND_IN:
        return None, None, None
    if not signature.startswith(_SEALED):
        return NAME, signature, None
    try:
        opened = base64.b64decode(standard(signature), validate=True).decode()
    except (binascii.Error, ValueError):
        return NAME, signature, None
    issuer, inner = sealing.unseal(NAME, opened)
    if inner is not None and inner.startswith(REDACTED):
        return issuer, None, inner.removeprefix(REDACTED)
    return issuer, inner, None


def without_foreign(contents: Raw) -> Raw:
    """The contents without the signatures that only look like Google's. They stay byte for byte as they are where there
    is none, and after a mistake, which the upstream will name."""
    if _MARK not in bytes(contents):
        return contents
    return _without(contents, foreign_only=True)


def seal_refused(fault: Fault) -> bool:
    return _about_seals.search(f"{fault.message} {fault.param or ''}") is not None


def unsealed(fields: Fields) -> Fields | None:
    """The request without signatures; its calls get the stand-in, which models that insist on one take for one."""
    given = fields["contents"]
    contents = given if isinstance(given, Raw) else Raw(_encode(given))
    kept = _without(contents, foreign_only=False)
    return None if kept is contents else {**fields, "contents": kept}


def _without(contents: Raw, *, foreign_only: bool) -> Raw:
    try:
        told = _contents.decode(contents)
        kept = [_cleaned(one, foreign_only=foreign_only) for one in told]
    except (msgspec.DecodeError, RecursionError):
        return contents
    if all(one is other for one, other in zip(kept, told, strict=True)):
        return contents
    return Raw(_encode([one for one in kept if one is not None]))


def _cleaned(content: Raw, *, foreign_only: bool) -> Any:
    """The content, or None where nothing of it is left."""
    parts = _content.decode(content).parts
    if not parts:
        return content
    kept = [_unsigned(part, foreign_only=foreign_only) for part in parts]
    if all(one is other for one, other in zip(kept, parts, strict=True)):
        return content
    left = [part for part in kept if part is not None]
    return {**_object.decode(content), "parts": left} if left else None


def _unsigned(part: dict[str, Raw], *, foreign_only: bool) -> dict[str, Raw] | None:
    """The part without its signature, or None where it was nothing else; the very same where nothing is to be done."""
    signature = next((bytes(part[name]) for name in _SIGNATURES if name in part), b"")
    calls = any(name in part for name in _CALLS)
    if foreign_only and not signature.startswith(_MARK):
        return part
    if calls:
        if signature == bytes(_STAND_IN):
            return part
        return {name: raw for name, raw in part.items() if name not in _SIGNATURES} | {"thoughtSignature": _STAND_IN}
    if not signature:
        return part
    left = {name: raw for name, raw in part.items() if name not in _SIGNATURES}
    return None if bytes(left.get("text", b"")) == b'""' else left
