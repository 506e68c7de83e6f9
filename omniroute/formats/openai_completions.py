"""OpenAI's legacy `/v1/completions`: one prompt, answered with a text.

A client's form only: the prompt becomes what a user says to a chat model. Several prompts, prompts of tokens, several
answers and a suffix are refused, for one chat cannot carry them. Nothing is made of an absent `max_tokens`: OpenAI
stopped such an answer after 16 tokens, which would cut those of chat models in their first sentence.

What a model thinks is not part of its text; a call or an image, which nobody asked for, is told in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import PICTURE, SOUND, TRUNCATED, Head
from omniroute.formats.fold import Message
from omniroute.formats.ir import (
    Audio,
    Block,
    Chat,
    Event,
    Failed,
    Finish,
    FinishReason,
    Image,
    Media,
    Raw,
    Refusal,
    RefusalDelta,
    Sampling,
    Text,
    TextDelta,
    ToolCall,
    ToolStart,
    Turn,
    Usage,
    UsageSeen,
)
from omniroute.formats.openai_chat import REQUEST_ID, chunks, content_type, encode_error, faults, ping
from omniroute.formats.openai_chat.head import NAME as CHAT
from omniroute.formats.openai_chat.head import StreamOptions, Whole, wants_usage

NAME = "openai_completions"
PROGRESS = b'"object":"text_completion","choices":[],'


class _Request(msgspec.Struct, kw_only=True):
    prompt: str | list[str | int | list[int]] | None = None
    suffix: str | None = None
    echo: bool | None = None
    best_of: Whole | None = None
    n: Whole | None = None
    logprobs: Whole | None = None
    max_tokens: Whole | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: Whole | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, Raw] | None = None
    user: str | None = None
    stream_options: StreamOptions | None = None


class _Likely(msgspec.Struct):
    token: str
    logprob: float


class _Token(_Likely):
    top_logprobs: list[_Likely] | None = None


_request = msgspec.json.Decoder(_Request)
_tokens = msgspec.json.Decoder(list[_Token])
_encode = msgspec.json.Encoder().encode

UNDERSTOOD = frozenset(name for name in _Request.__struct_fields__) | {"model", "stream"}
CALL = "[The answer holds a call of {} here, which this format cannot carry.]"


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it is all in the body
    head = patch.head(body)
    asked = patch.look(_request, head)
    prompt(asked)
    if asked.suffix:
        raise BadRequest(
            "`suffix` is not taken: chat models do not fill gaps; ask for the missing part in the prompt.",
            param="suffix",
        )
    for name in ("n", "best_of"):
        if getattr(asked, name) not in (None, 1):
            raise BadRequest(f"`{name}` must be 1: a request has one answer; send it several times.", param=name)
    if asked.logprobs is not None and not 0 <= asked.logprobs <= 20:
        raise BadRequest("`logprobs` must be between 0 and 20.", param="logprobs")
    return head


def prompt(asked: _Request) -> str:
    given = asked.prompt
    if isinstance(given, str):
        return given
    if not given:
        raise BadRequest("The body has no `prompt`.", param="prompt")
    if not all(isinstance(one, str) for one in given):
        raise BadRequest("`prompt` must be text: tokens mean something to one model only.", param="prompt")
    if len(given) > 1:
        raise BadRequest(f"`prompt` holds {len(given)} prompts: send a request for each.", param="prompt")
    return str(given[0])


def decode_request(head: Head) -> Chat:
    asked = patch.look(_request, head)
    return Chat(
        turns=(Turn("user", (Text(prompt(asked)),)),),
        sampling=Sampling(
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
            seed=asked.seed,
            presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty,
            logit_bias=None if asked.logit_bias is None else head.fields["logit_bias"],
            logprobs=None if asked.logprobs is None else True,
            top_logprobs=asked.logprobs or None,
        ),
        stream=head.stream,
        user=asked.user,
        vendor_format=CHAT,  # what servers add, they add to both forms
        vendor={name: raw for name, raw in head.fields.items() if name not in UNDERSTOOD and bytes(raw) != b"null"},
    )


def echoed(head: Head) -> str:
    """What stands before the answer."""
    if not patch.flag(head.fields, "echo"):
        return ""
    return prompt(patch.look(_request, head))


def encoder(head: Head, ident: str, created: int) -> CompletionEncoder:
    return CompletionEncoder(head, ident, created)


class CompletionEncoder:
    __slots__ = ("_after", "_before", "_declined", "_echo", "_offset", "_over", "_usage", "_wants_usage")

    def __init__(self, head: Head, ident: str, created: int) -> None:
        self._wants_usage = wants_usage(head)
        self._before = b'data: {"id":%b,"object":"text_completion","created":%d,"model":%b,"choices":[' % (
            _encode(ident),
            created,
            _encode(head.model),
        )
        self._after = b'],"usage":null}\n\n' if self._wants_usage else b"]}\n\n"
        self._usage: Usage | None = None
        self._declined = False
        self._over = False
        self._echo = echoed(head)
        self._offset = len(self._echo)

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._over:
                break
            if self._echo and not isinstance(event, Failed):
                out.append(self._say(self._echo))
                self._echo = ""
            if event.__class__ is TextDelta and event.logprobs is None:
                if event.text:
                    out.append(self._say(event.text))
            else:
                out.append(self._one(event))
        return b"".join(out)

    def close(self) -> bytes:
        return b"" if self._over else self._one(Failed(TRUNCATED))

    def _one(self, event: Event) -> bytes:
        match event:
            case TextDelta(logprobs=Raw() as array):
                told, self._offset = legacy(array, self._offset)
                return self._choice({"text": event.text, "index": 0, "logprobs": told, "finish_reason": None})
            case RefusalDelta(text=str(text)) if text:
                self._declined = True
                return self._say(text)
            case ToolStart():
                return self._say(CALL.format(event.name))
            case Media(block=Image()):
                return self._say(PICTURE)
            case Media(block=Audio()):
                return self._say(SOUND)
            case UsageSeen():
                self._usage = event.usage
            case Finish():
                return self._finish(event.reason)
            case Failed():
                self._over = True
                return faults.event(event.fault)
            case _:
                pass
        return b""

    def _say(self, text: str) -> bytes:
        choice = b'{"text":%b,"index":0,"logprobs":null,"finish_reason":null}' % _encode(text)
        return self._before + choice + self._after

    def _choice(self, choice: dict[str, Any]) -> bytes:
        return self._before + _encode(choice) + self._after

    def _finish(self, reason: FinishReason) -> bytes:
        self._over = True
        told = finish(reason, declined=self._declined)
        out = self._choice({"text": "", "index": 0, "logprobs": None, "finish_reason": told})
        if self._wants_usage and self._usage is not None:
            out += self._before + b'],"usage":' + _encode(chunks.usage(self._usage)) + b"}\n\n"
        return out + b"data: [DONE]\n\n"


def finish(reason: FinishReason, *, declined: bool) -> str:
    """A chat's reason; nobody here would give the result of a call."""
    told = chunks.finish(reason, declined=declined)
    return "stop" if told == "tool_calls" else told


def encode_reply(told: Message, head: Head, ident: str, created: int) -> bytes:
    if told.fault is not None:
        return faults.encode_error(told.fault, "")
    echo = echoed(head)
    declined = any(isinstance(block, Refusal) for block in told.blocks)
    choice = {
        "text": echo + "".join(map(_text, told.blocks)),
        "index": 0,
        "logprobs": _joined(told.logprobs, len(echo)),
        "finish_reason": finish(told.finish or "stop", declined=declined),
    }
    body: dict[str, Any] = {
        "id": ident,
        "object": "text_completion",
        "created": created,
        "model": head.model,
        "choices": [choice],
    }
    if told.usage is not None:
        body["usage"] = chunks.usage(told.usage)
    return _encode(body)


def _text(block: Block) -> str:
    match block:
        case Text() | Refusal():
            return block.text
        case ToolCall():
            return CALL.format(block.name)
        case Image():
            return PICTURE
        case Audio():
            return SOUND
        case _:
            return ""


def _joined(arrays: Iterable[Raw], offset: int) -> dict[str, list[Any]] | None:
    joined: dict[str, list[Any]] | None = None
    for array in arrays:
        told, offset = legacy(array, offset)
        if told is not None:
            joined = {name: (joined or {}).get(name, []) + values for name, values in told.items()}
    return joined


def legacy(array: Raw, offset: int) -> tuple[dict[str, list[Any]] | None, int]:
    """A chat's log probabilities in the shape that they had here, and the offset in the text after them."""
    try:
        tokens = _tokens.decode(array)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, offset
    told: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for token in tokens:
        told["tokens"].append(token.token)
        told["token_logprobs"].append(token.logprob)
        told["top_logprobs"].append({other.token: other.logprob for other in token.top_logprobs or ()})
        told["text_offset"].append(offset)
        offset += len(token.token)
    return told, offset


__all__ = [
    "NAME",
    "PROGRESS",
    "REQUEST_ID",
    "content_type",
    "decode_request",
    "encode_error",
    "encode_reply",
    "encoder",
    "peek",
    "ping",
]
