"""A client's contents to turns.

Calls have no ids here where the client is old, or was answered by an old model: they get one by their number, and
results without one belong to the first call of their name that has none yet.
"""

from __future__ import annotations

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.gemini import media, seal, spelling
from omniroute.formats.gemini.head import NAME
from omniroute.formats.gemini.spelling import View
from omniroute.formats.ir import (
    Audio,
    Block,
    Document,
    Image,
    Opaque,
    Raw,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)

ROLES = ("user", "model", "function")
OUTPUTS = ("output", "result")
"""Under which a result is told that is no object itself: what Google documents, and what its SDK writes."""


class _Blob(View):
    mime_type: str | None = None
    mime_type_: str | None = None
    data: str | None = None
    display_name: str | None = None
    display_name_: str | None = None


class _File(View):
    mime_type: str | None = None
    mime_type_: str | None = None
    file_uri: str | None = None
    file_uri_: str | None = None
    display_name: str | None = None
    display_name_: str | None = None


class _Resolution(View):
    level: str | None = None


class _Call(View):
    id: str | None = None
    name: str | None = None
    args: Raw = Raw()


class _Response(View):
    id: str | None = None
    name: str | None = None
    response: Raw = Raw()
    parts: list[Raw] | None = None


class _Part(View):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    thought_signature_: str | None = None
    inline_data: _Blob | None = None
    inline_data_: _Blob | None = None
    file_data: _File | None = None
    file_data_: _File | None = None
    function_call: _Call | None = None
    function_call_: _Call | None = None
    function_response: _Response | None = None
    function_response_: _Response | None = None
    media_resolution: _Resolution | None = None
    media_resolution_: _Resolution | None = None


class _Content(View):
    role: str | None = None
    parts: list[_Part] | None = None


class _Slices(View):
    parts: list[Raw] | None = None


_part = msgspec.json.Decoder(_Part)
_content = msgspec.json.Decoder(_Content)
_contents = msgspec.json.Decoder(list[_Content])
_slices = msgspec.json.Decoder(list[_Slices])
_members = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)


def read_turns(contents: Raw) -> tuple[Turn, ...]:
    written = bytes(contents)
    if written.startswith(b'"'):
        return (Turn("user", (Text(patch.read(_string, contents, "contents")),)),)
    if written.startswith(b"{"):
        contents = Raw(b"[%b]" % written)
    return _Conversation(contents).read(patch.read(_contents, contents, "contents"))


def read_system(prompt: Raw) -> tuple[Text, ...]:
    place = "systemInstruction"
    if bytes(prompt).startswith(b'"'):
        given = patch.read(_string, prompt, place)
        return (Text(given),) if given else ()
    parts = spelling.read(_content, prompt, place).parts or []
    told = [_instruction(part, f"{place}.parts[{at}]") for at, part in enumerate(parts)]
    return tuple([text for text in told if text.text])


def _instruction(part: _Part, place: str) -> Text:
    if part.text is None:
        raise BadRequest(f"`{place}` must be a text: the system speaks in text only.", param=place)
    return Text(part.text)


class _Conversation:
    def __init__(self, contents: Raw) -> None:
        self._contents = contents
        self._slices: list[_Slices] | None = None
        self._calls = 0
        self._open: list[tuple[str, str]] = []  # ids and names of the calls that no result was told of yet

    def read(self, contents: list[_Content]) -> tuple[Turn, ...]:
        return tuple([self._turn(content, at) for at, content in enumerate(contents)])

    def _slice(self, content: int, part: int) -> Raw:
        """A part as it was written."""
        if self._slices is None:
            self._slices = _slices.decode(self._contents)
        return (self._slices[content].parts or [])[part]

    def _turn(self, content: _Content, number: int) -> Turn:
        place = f"contents[{number}]"
        role = content.role or "user"
        if role not in ROLES:
            raise BadRequest(f"`{place}.role` must be `user` or `model`.", param=f"{place}.role")
        blocks: list[Block] = []
        for at, part in enumerate(content.parts or ()):
            spot = f"{place}.parts[{at}]"
            spelling.settle(part, spot)
            known = self._say(part, spot, blocks) if role == "model" else self._ask(part, spot, blocks)
            if not known:
                blocks.append(_other(part, self._slice(number, at), spot))
        return Turn("assistant" if role == "model" else "user", tuple(blocks))

    def _ask(self, part: _Part, place: str, blocks: list[Block]) -> bool:
        """A part of the user's; whether it is a text or a result."""
        if part.function_response is not None:
            blocks.append(self._result(spelling.settle(part.function_response, place), place))
        elif part.function_call is not None:
            raise BadRequest(f"`{place}.functionCall` can only be the model's.", param=f"{place}.functionCall")
        elif part.text is not None:
            blocks.append(Text(part.text))
        else:
            return False
        return True

    def _say(self, part: _Part, place: str, blocks: list[Block]) -> bool:
        """A part of the model's; whether it is a text or a call. A signature belongs to the thinking before it, or is a
        thought without words."""
        issuer, signature, redacted = seal.unseal(part.thought_signature or "")
        if part.thought and part.text is not None:
            if part.text or signature:
                blocks.append(Thinking(part.text, signature, issuer=issuer))
            if redacted is not None:
                blocks.append(Thinking(redacted=redacted, issuer=issuer))
            return True
        if redacted is not None:
            blocks.append(Thinking(redacted=redacted, issuer=issuer))
        elif signature is not None:
            last = blocks[-1] if blocks else None
            if isinstance(last, Thinking) and last.signature is None and last.redacted is None:
                blocks[-1] = Thinking(last.text, signature, issuer=issuer)
            else:
                blocks.append(Thinking(signature=signature, issuer=issuer))
        if part.function_call is not None:
            blocks.append(self._call(part.function_call, f"{place}.functionCall"))
        elif part.function_response is not None:
            spot = f"{place}.functionResponse"
            raise BadRequest(f"`{spot}` can only be the user's.", param=spot)
        elif part.text is not None:
            if part.text:
                blocks.append(Text(part.text))
        else:
            return False
        return True

    def _call(self, call: _Call, place: str) -> ToolCall:
        if not call.name:
            raise missing(f"{place}.name")
        arguments = bytes(call.args)
        if arguments in (b"", b"null"):
            arguments = b"{}"
        else:
            patch.read(_members, call.args, f"{place}.args")
        ident = call.id or f"call_{self._calls}"
        self._calls += 1
        self._open.append((ident, call.name))
        return ToolCall(ident, call.name, arguments.decode())

    def _result(self, told: _Response, place: str) -> ToolResult:
        place = f"{place}.functionResponse"
        if not told.name and not told.id:
            raise missing(f"{place}.name")
        ident = self._answered(told)
        blocks, failed = _output(told.response, f"{place}.response")
        for at, raw in enumerate(told.parts or ()):
            spot = f"{place}.parts[{at}]"
            block = _other(spelling.read(_part, raw, spot), raw, spot)
            if not isinstance(block, Image | Document | Opaque):
                block = Opaque(NAME, "inlineData", raw)
            blocks.append(block)
        return ToolResult(ident, tuple(blocks), is_error=failed)

    def _answered(self, told: _Response) -> str:
        """The id of the call that a result is for."""
        matches = [call for call in self._open if call[0] == told.id]
        if not matches:
            matches = [call for call in self._open if call[1] == told.name]
        if not matches:
            return told.id or f"call_of_{told.name}"
        self._open.remove(matches[0])
        return matches[0][0]


def _output(response: Raw, place: str) -> tuple[list[Text | Image | Document | Opaque], bool]:
    """What a function gave, as text, and whether that is an error: an object that says one thing only is what it says."""
    written = bytes(response)
    if written in (b"", b"null"):
        return [], False
    members = patch.read(_members, response, place)
    if not members:
        return [], False
    failed = set(members) == {"error"}
    only = next(iter(members.values())) if failed or (len(members) == 1 and set(members) <= set(OUTPUTS)) else None
    if only is not None and bytes(only).startswith(b'"'):
        text = patch.read(_string, only, place)
        return ([Text(text)] if text else []), failed
    return [Text((written if only is None or failed else bytes(only)).decode())], failed


def _other(part: _Part, raw: Raw, place: str) -> Image | Audio | Document | Opaque:
    """A part that is neither text nor a call."""
    detail = None
    if part.media_resolution is not None:
        detail = media.LEVELS.get((part.media_resolution.level or "").upper())
    known: Image | Audio | Document | None = None
    if part.inline_data is not None:
        spot = f"{place}.inlineData"
        blob = spelling.settle(part.inline_data, spot)
        if blob.data is None or not blob.mime_type:
            raise missing(f"{spot}.{'data' if blob.data is None else 'mimeType'}")
        known = media.given(blob.mime_type, blob.data, blob.display_name, detail)
    elif part.file_data is not None:
        spot = f"{place}.fileData"
        file = spelling.settle(part.file_data, spot)
        if not file.file_uri:
            raise missing(f"{spot}.fileUri")
        known = media.referred(file.mime_type or "", file.file_uri, file.display_name, detail)
    if known is not None:
        return known
    names = patch.read(_members, raw, place)
    if not names:
        raise BadRequest(f"`{place}` is empty.", param=place)
    return Opaque(NAME, spelling.camel(next(iter(names))), raw)


def missing(place: str) -> BadRequest:
    return BadRequest(f"`{place}` is missing.", param=place)
