"""What a format's module must offer for an operation that is one request and one answer: embeddings, images.

As with chat (`codec.py`) a codec is a module that satisfies a Protocol, and pure.  An operation has a request and an
answer of its own (`Q` and `A`), and a literal dict of the codecs that upstreams are spoken to in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from omniroute.errors import Fault
from omniroute.formats.codec import Fields, Head, Speaks
from omniroute.formats.handover import is_text
from omniroute.formats.ir import Loss, Usage


class Answered(Protocol):
    """What every answer tells. With a `fault`, it is none; without usage, it gets a guess before it is told."""

    usage: Usage | None
    fault: Fault | None


T = TypeVar("T")
Q = TypeVar("Q")
A = TypeVar("A", bound=Answered)
Q_contra = TypeVar("Q_contra", contravariant=True)
A_contra = TypeVar("A_contra", bound=Answered, contravariant=True)
A_co = TypeVar("A_co", bound=Answered, covariant=True)


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """An upstream's answer as the decoder's type. Raises ValueError where it is none."""
    if not is_text(body):
        raise ValueError("it is not UTF-8")
    try:
        return decoder.decode(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class Outgoing(msgspec.Struct):
    """A request on its way to an upstream: the path below its base, the fields of the body, what they do not say."""

    path: str
    fields: Fields
    losses: Sequence[Loss] = ()


class Made(msgspec.Struct):
    """An answer in the client's words, and what it does not say."""

    body: bytes
    losses: Sequence[Loss] = ()


class Moment(msgspec.Struct, frozen=True):
    """When the request came (UNIX time) and how long its answer took, in seconds: some formats tell."""

    created: int
    took: float = 0.0


class UnaryClient(Protocol[Q, A_contra]):
    """A format as clients speak it. Malformed requests raise `BadRequest`."""

    NAME: str

    def peek(self, body: bytes, path: str, query: bytes) -> Head: ...

    def decode_request(self, head: Head) -> Q: ...

    def encode_reply(self, answer: A_contra, asked: Q, head: Head, moment: Moment) -> Made:
        """Raises ValueError where what the upstream said cannot be told in these words."""
        ...


class UnaryUpstream(Speaks, Protocol[Q_contra, A_co]):
    """A format as upstreams speak it. Malformed answers raise `ValueError`."""

    NAME: str
    MENDED: frozenset[str]
    """Fields that an upstream need not take, for the answer is brought into the form that they ask for."""

    def encode_request(self, asked: Q_contra, model: str) -> Outgoing:
        """Raises Unsupported where the request cannot be carried."""
        ...

    def decode_reply(self, body: bytes, asked: Q_contra) -> A_co: ...


class UnaryCodec(UnaryClient[Q, A], UnaryUpstream[Q, A], Protocol[Q, A]):
    """Both sides, and the way from one to the other within a format."""

    def forward(self, head: Head, model: str) -> Outgoing:
        """The request for an upstream of this format: every byte as it came but for what must differ."""
        ...

    def relabel(self, body: bytes, answer: A, asked: Q, head: Head, moment: Moment) -> Made:
        """A whole answer handed on, its model being the one that was asked for."""
        ...
