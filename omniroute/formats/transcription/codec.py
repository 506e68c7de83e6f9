"""What the wire format of a transcription provider must offer: the upstream's side only, for there is one client format.

To transcribe may take several requests that follow from one another. So an upstream's codec is a conversation: a
generator that gives what to ask next, is sent what was answered, and returns the transcript. It waits for nothing and
sends nothing itself; whoever drives it does.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import msgspec

from omniroute.errors import Fault
from omniroute.formats.ir import Loss
from omniroute.formats.transcription.values import Transcript, Transcription


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the provider, to be sent after `pause` seconds; `path` is below where the format's paths start."""

    method: str = "POST"
    path: str
    content_type: bytes = b""
    body: bytes = b""
    pause: float = 0.0


class Answered(msgspec.Struct, frozen=True):
    """What a successful answer said; a refusal ends the conversation before it gets here."""

    content_type: bytes
    body: bytes


class View(msgspec.Struct, gc=False):
    """What is looked at of an answer: short-lived, and never part of a cycle."""


Conversation = Generator[Ask, Answered, Transcript | Fault]
"""Raises ValueError for an answer that is not the format's; a Fault is a failure that the provider tells of itself."""


class TranscriptionCodec(Protocol):
    """A provider's format."""

    NAME: str

    def losses(self, request: Transcription, model: str) -> list[Loss]:
        """What of the request the provider cannot be told, or not tell."""
        ...

    def converse(self, request: Transcription, model: str, ident: str) -> Conversation: ...

    def decode_error(self, status: int, body: bytes) -> Fault: ...
