"""Redacts the strings of a JSON document where they stand: every other byte stays as it came.

It knows no format: texts are everywhere but in the fields that are named here, whose values are names, seals and the
bytes of files. In what a tool is given or gives (`FREE`) a caller's own words may stand in any field, so there all are
looked at, the names of fields too. A number that is found becomes a string, for JSON has no other place for words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from omniroute.formats.dialects import words
from omniroute.formats.redaction.scrubber import Finders

SEALED = words(
    "id call_id tool_use_id tool_call_id item_id response_id previous_response_id file_id container_id role type object "
    "model modelVersion responseId created created_at media_type mime_type mimeType status format signature "
    "thoughtSignature thought_signature encrypted_content redacted_thinking finish_reason finishReason stop_reason "
    "service_tier system_fingerprint prompt_cache_key reasoning_effort effort cache_control detail"
)
"""Fields whose values are words of the format, names that lead back to something, or seals over bytes."""
FILES = words("data url image_url file_data b64_json images result file_uri fileUri embedding")
"""Fields that may hold the bytes of a file: what is long and looks like base64 there is not read as text."""
FREE = words("input args arguments response structured_output")
"""Fields that hold a tool's own words, where they are objects."""
TEXTS_OF_JSON = frozenset({"arguments"})
"""Fields whose text is JSON itself."""
TOLD_AGAIN = frozenset({"logprobs", "logprobsResult"})
"""Fields of an answer that tell its text a second time, in pieces; they become null."""

_token = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_base64 = re.compile(rb"(?:data:[^,]{0,100},)?[A-Za-z0-9+/_=-]{64,}").fullmatch
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_SPACE = b" \t\r\n"


def redacted(document: bytes, finders: Finders, *, answer: bool = False, field: str = "", free: bool = False) -> bytes:
    """The JSON document without what is found, the very same where nothing is. It is the value of the `field` of some
    object. Raises ValueError where a string of it is none or there is too much to look at."""
    return _Walk(document, finders, answer=answer).run(field, free=free)


class _Walk:
    """One pass over the tokens, with the field that each container is the value of."""

    def __init__(self, document: bytes, finders: Finders, *, answer: bool) -> None:
        self.document = document
        self.finders = finders
        self.out: list[bytes] = []
        self.kept = 0
        self.answer = answer

    def run(self, field: str, *, free: bool) -> bytes:
        document = self.document
        stack: list[tuple[str, bool, bool]] = []
        is_object = named = False  # of the container, and whether its field's name has come
        tokens = _token.finditer(document)
        for found in tokens:
            token = found[0]
            match token[:1]:
                case b"{" | b"[":
                    stack.append((field, free, is_object))
                    free = free or (is_object and token == b"{" and field in FREE)
                    is_object, named = token == b"{", False
                case b"}" | b"]":
                    field, free, is_object = stack.pop() if stack else ("", False, False)
                    named = is_object
                case b",":
                    named = False
                case b":":
                    named = True
                case b'"' if is_object and not named:
                    if free:
                        self.text(found.start(), token)
                    field = _text(token)
                    if self.answer and not free and field in TOLD_AGAIN:
                        self.blank(tokens)
                        named = True
                case b'"':
                    self.value(found.start(), token, field, free=free)
                case _:
                    self.number(found.start(), token)
        return b"".join((*self.out, document[self.kept :])) if self.out else document

    def blank(self, tokens: Iterator[re.Match[bytes]]) -> None:
        """The value that comes next becomes null, whatever it is."""
        depth, begins = 0, -1
        for found in tokens:
            token = found[0]
            if begins < 0 and token == b":":
                continue
            if begins < 0:
                begins = found.start()
            depth += (token in (b"{", b"[")) - (token in (b"}", b"]"))
            if depth == 0:
                self.out += (self.document[self.kept : begins], b"null")
                self.kept = found.end()
                return

    def value(self, at: int, token: bytes, field: str, *, free: bool) -> None:
        if not free and (field in SEALED or (field in FILES and _base64(token[1:-1]))):
            return
        if field in TEXTS_OF_JSON and not free:
            inner = _text(token).encode()
            if inner.lstrip(_SPACE)[:1] in (b"{", b"["):
                changed = redacted(inner, self.finders, free=True)
                if changed is not inner:
                    self.put(at, token, _encode(changed.decode()))
                return
        self.text(at, token)

    def text(self, at: int, token: bytes) -> None:
        plain = token[1:-1] if b"\\" not in token else _text(token).encode()
        scrubbed = self.finders.scrubbed(plain)
        if scrubbed is not None:
            self.put(at, token, _encode(scrubbed.decode()))

    def number(self, at: int, token: bytes) -> None:
        if len(token) > 4:
            scrubbed = self.finders.scrubbed(token)
            if scrubbed is not None:
                self.put(at, token, _encode(scrubbed.decode()))

    def put(self, at: int, token: bytes, instead: bytes) -> None:
        self.out += (self.document[self.kept : at], instead)
        self.kept = at + len(token)
