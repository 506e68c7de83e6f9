"""What a wire format's module must offer, so that it can stand on the client's side and on the upstream's.

A codec is a module that satisfies `ChatCodec`, or `ClientCodec` where no upstream needs to be spoken to in it; there is
no base class and no registration, the literal dicts in `formats/codecs.py` list them all.  Codecs are pure: bytes and
values in, bytes and values out, no I/O, no clock, no configuration, no randomness, and so they can be tested with files
alone. The one that must say how long it took is told so by the head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec

from omniroute.errors import Fault
from omniroute.formats.fold import Message
from omniroute.formats.ir import Chat, Event, FinishReason, Loss, Raw, Usage

if TYPE_CHECKING:
    from omniroute.formats.instructions import Instruction

Fields = dict[str, Any]
"""The top level of a JSON body: decoded values, or `Raw` slices of what was never looked into."""


def no_time() -> float:
    """How long it took where nobody measures."""
    return 0.0


class Head(msgspec.Struct):
    """What one cheap look at a request tells: enough to route it, and to forward it without looking further.

    `fields` are raw slices of the body by top-level key; `model` and `stream` are decoded and checked. `body` is the
    whole of it, for who looks further. `mode` is how the answer is wanted, where a format has several ways of it.
    `elapsed` tells the seconds since the request came, for the formats whose answers say it; whoever serves the request
    sets it. `at_once` answers a request that asks a model for nothing, given when it came (UNIX seconds). `echoed` is what
    an answer repeats of the request although no upstream is told of it.
    """

    model: str
    stream: bool
    fields: dict[str, Raw]
    body: bytes = b""
    mode: str = ""
    elapsed: Callable[[], float] = no_time
    at_once: Callable[[int], bytes] | None = None
    echoed: dict[str, Raw] = {}


class Reply(msgspec.Struct):
    """A whole answer in the client's format, and what was learned while making it. With a `fault`, it is none."""

    body: bytes
    usage: Usage | None
    finish: FinishReason | None
    fault: Fault | None = None


TRUNCATED = Fault(kind="server", status=502, message="the answer broke off before its end", code="upstream_truncated")
"""What a decoder says of a stream that stopped without an end."""


def malformed(why: str) -> Fault:
    """What a decoder says of bytes that are not its format's."""
    return Fault(
        kind="server", status=502, message=f"the answer is not what it should be: {why}", code="upstream_malformed"
    )


PICTURE = "[The answer holds an image here, which this format cannot carry.]"
SOUND = "[The answer holds a sound here, which this format cannot carry.]"
"""What encoders say in place of what their format has no place for."""

Counted = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
"""Tokens of a prompt as an upstream counts them. No model's window is near the most: a number beyond is a slip of the
provider's, and nobody is to plan with it."""

Retell = Callable[[Fault], Fault]
"""How a fault that the upstream told of itself is told to the client: by name, and without what a stranger may not say."""


def unchanged(fault: Fault) -> Fault:
    """Tells it as it was."""
    return fault


class Decoder(Protocol):
    """Upstream bytes to events. Accepts any split of the bytes; after `Finish` or `Failed` it stays silent."""

    def feed(self, data: bytes) -> list[Event]: ...

    def close(self) -> list[Event]:
        """The upstream is done: what is still owed, at the least a `Finish` or a `Failed`."""
        ...


class Encoder(Protocol):
    """Events to the client's bytes. Emits only legal sequences of its format, whatever it is fed."""

    def feed(self, events: Sequence[Event]) -> bytes: ...

    def close(self) -> bytes:
        """The legal end, if it has not been written yet."""
        ...


class Bridge(Protocol):
    """One streamed answer on its way: upstream bytes in, client bytes out, and what was seen meanwhile.

    `committed` turns true with the first content; until then nothing needs to have been sent. `over` turns true when
    the client's bytes have come to their legal end, whatever else the upstream may send. `fault` is set when
    the upstream said that it failed or stopped short. `produced` counts the pieces of content, for estimates: about a
    token each.
    """

    committed: bool
    over: bool
    produced: int
    usage: Usage | None
    finish: FinishReason | None
    fault: Fault | None
    retell: Retell

    def feed(self, data: bytes) -> bytes: ...

    def close(self) -> bytes:
        """The upstream's bytes have ended: the rest, and a legal end."""
        ...

    def fail(self, fault: Fault) -> bytes:
        """The upstream was lost: the error in the client's own format, and a legal end."""
        ...


class ClientCodec(Protocol):
    """A chat format as clients speak it. Malformed requests raise `BadRequest`."""

    NAME: str
    REQUEST_ID: bytes
    """The header in which clients of the format look for the name of their request."""
    PROGRESS: bytes | None
    """Fields, each with its comma, by which the clients of the format pass over an event that tells of progress; None
    where they would take any event for a part of the answer, or for an error."""

    def peek(self, body: bytes, path: str = "", query: bytes = b"") -> Head:
        """The head of a request. `path` is what follows the endpoint's own path, decoded, and `query` what stands behind
        the question mark: some formats name the model and the mode there."""
        ...

    def content_type(self, head: Head) -> bytes:
        """Of a streamed answer."""
        ...

    def ping(self, head: Head) -> bytes:
        """What may be sent between two events to show that the stream is alive; empty where nothing may."""
        ...

    def decode_request(self, head: Head) -> Chat: ...

    def encode_reply(self, message: Message, head: Head, ident: str, created: int) -> bytes: ...

    def encoder(self, head: Head, ident: str, created: int) -> Encoder: ...

    def encode_error(self, fault: Fault, request_id: str) -> bytes: ...


class Refusing(Protocol):
    """A format as far as it tells of refusals, whatever an upstream is asked for."""

    def decode_error(self, status: int, body: bytes) -> Fault: ...


class Speaks(Refusing, Protocol):
    """A format as far as any upstream is asked in it."""

    HEADERS: tuple[tuple[bytes, bytes], ...]
    """What an upstream of the format is sent with every body, unless the configuration or the client says otherwise."""


class ChatCodec(ClientCodec, Speaks, Protocol):
    """A chat format, both directions. Malformed answers raise `ValueError`."""

    CONTENT_TYPE: bytes
    """Of an upstream's streamed answer."""
    FORWARD: frozenset[bytes]
    """Headers of a client that mean something to an upstream of the same format."""
    HISTORY: str
    """The field of what was said. It goes on to an upstream of the same format as it came, the very same slice, unless
    thinking was left out that the format's own providers have not sealed."""

    THINKING: tuple[str, ...]
    """The fields that say how much to think, and those whose values depend on it."""

    # The upstream's side
    def path(self, model: str, stream: bool) -> str: ...

    def encode_request(self, chat: Chat, model: str) -> tuple[Fields, list[Loss]]: ...

    def reads_address(self, address: str, model: str) -> bool:
        """Whether an upstream gets an image from this address itself; where not, it takes the image alone."""
        ...

    def limited(self, fields: Fields, limit: int) -> Fields:
        """The request with its answer limited to so many tokens, or to fewer where it says so itself."""
        ...

    def instructed(self, fields: Fields, told: Instruction) -> Fields:
        """The request as it came, with an operator's text in its system prompt."""
        ...

    def unsealed(self, fields: Fields) -> Fields | None:
        """The request without the thinking that may be refused, which is what somebody sealed, or, where nothing is
        sealed, the wish for it; None where it holds none."""
        ...

    def seal_refused(self, fault: Fault) -> bool:
        """Whether an upstream refused a request because of that thinking: it has not sealed it, or cannot think."""
        ...

    def decode_reply(self, body: bytes) -> Message: ...

    def decoder(self) -> Decoder: ...

    # The same format on both sides
    def forward(self, head: Head, model: str) -> Fields:
        """The request for an upstream of this format: every byte as it came but for what must differ."""
        ...

    def relabel(self, body: bytes, head: Head) -> Reply:
        """A whole answer handed on, its model being the one that was asked for."""
        ...

    def through(self, head: Head) -> Bridge:
        """A streamed answer handed on."""
        ...


class CountCodec(Protocol):
    """The counting of a prompt's tokens in a chat format, where the format has it: what a client asks, what an upstream
    answers. Malformed requests raise `BadRequest`, malformed answers `ValueError`."""

    def peek_count(self, body: bytes, path: str = "", query: bytes = b"") -> Head:
        """The head of a client's request to count, its fields being those of the chat request that is to be counted."""
        ...

    def encode_count(self, count: int, *, estimated: bool) -> bytes: ...

    def count_path(self, model: str) -> str: ...

    def count_request(self, fields: Fields, model: str) -> Fields:
        """The request that has an upstream count the chat request of these fields."""
        ...

    def decode_count(self, body: bytes) -> int: ...
