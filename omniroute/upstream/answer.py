"""What an answer may be, whichever client reads it: its limits, its content codings, and the ways it fails.

A provider is a stranger: what it sends is counted before it is kept, and inflated a piece at a time, so that a
megabyte of zeros stays a megabyte until somebody asks for the rest.
"""

from __future__ import annotations

import zlib

import msgspec

from omniroute.errors import Fault, UpstreamError, UpstreamKind

GZIP = 16 + zlib.MAX_WBITS
ZLIB = zlib.MAX_WBITS
RAW_DEFLATE = -zlib.MAX_WBITS


class Limits(msgspec.Struct, frozen=True):
    """What is too much. Body bytes are counted after decoding; a coded body may grow `ratio` times, once it is longer
    than `ratio_from`."""

    head_bytes: int = 64 * 1024
    head_fields: int = 256
    body_bytes: int = 256 * 1024 * 1024
    ratio: int = 100
    ratio_from: int = 1024 * 1024


def failure(kind: UpstreamKind, message: str, cause: BaseException | None = None) -> UpstreamError:
    """An error whose words are ours alone. What the socket said is the cause: for the log, never for a caller."""
    if kind == "timeout":
        error = UpstreamError(kind, Fault(kind="timeout", status=504, message=message))
    else:
        error = UpstreamError(kind, Fault(kind="server", status=502, message=message))
    error.__cause__ = cause
    return error


def check_head(headers: list[tuple[bytes, bytes]], limits: Limits) -> None:
    """Raises UpstreamError(malformed) for more header than anybody needs."""
    if len(headers) > limits.head_fields or sum(len(n) + len(v) for n, v in headers) > limits.head_bytes:
        raise failure("malformed", "the provider's answer has too much header")


def inflater(headers: list[tuple[bytes, bytes]], limits: Limits) -> Inflater | None:
    """What undoes the body's content coding; None for a plain body. We ask for no coding, but some answer with one."""
    coding = b""
    for name, value in headers:
        if name == b"content-encoding":
            coding = coding + b"," + value if coding else value
    coding = coding.strip().lower()
    if coding in (b"", b"identity"):
        return None
    if coding in (b"gzip", b"x-gzip", b"deflate"):
        return Inflater(gzip=coding != b"deflate", limits=limits)
    raise failure("malformed", "the provider's answer has a content coding that was not asked for")


class Inflater:
    """Undoes gzip or deflate: `feed` what came, then `pull` pieces until there is none, `finish` at the end."""

    PIECE = 64 * 1024

    def __init__(self, *, gzip: bool, limits: Limits) -> None:
        self._gzip = gzip
        self._limits = limits
        self._stream = zlib.decompressobj(GZIP) if gzip else None
        self._input = b""
        self._more = False
        self._came = 0
        self._made = 0

    def feed(self, data: bytes) -> None:
        self._came += len(data)
        self._input += data

    def pull(self) -> bytes:
        """The next piece, b"" when more has to come first."""
        try:
            while self._input or self._more:
                if piece := self._inflate():
                    return piece
        except zlib.error as error:
            raise failure("malformed", "the provider's answer cannot be decoded", error) from error
        return b""

    def finish(self) -> None:
        """Raises UpstreamError(truncated) where the coded data stops before its own end."""
        if self._stream is not None and self._came and not self._stream.eof:
            raise failure("truncated", "the provider's answer stopped before its end")

    def _inflate(self) -> bytes:
        stream = self._stream
        if stream is None:
            # "deflate" is a zlib stream by the standard and a bare one by some servers: the first byte tells.
            stream = self._stream = zlib.decompressobj(ZLIB if self._input[0] & 0x0F == 8 else RAW_DEFLATE)
        elif stream.eof:
            # A gzip body may be several members in a row; nothing may follow a deflate one.
            if not self._gzip:
                raise failure("malformed", "the provider's answer goes on after its end")
            stream = self._stream = zlib.decompressobj(GZIP)
        piece = stream.decompress(self._input, self.PIECE)
        self._more = len(piece) == self.PIECE and not stream.eof
        self._input = stream.unused_data if stream.eof else stream.unconsumed_tail
        self._count(len(piece))
        return piece

    def _count(self, size: int) -> None:
        self._made += size
        if self._made > self._limits.ratio_from and self._made > self._came * self._limits.ratio:
            raise failure("malformed", "the provider's answer grows too much when it is decoded")


class Answer:
    """What the replies of both clients share: a body pulled raw, inflated where it has to be, and counted."""

    __slots__ = ("_body_bytes", "_inflater", "headers", "limits", "status")

    def __init__(self, limits: Limits) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.limits = limits
        self._inflater: Inflater | None = None
        self._body_bytes = 0

    async def chunk(self) -> bytes:
        piece = await (self._raw() if self._inflater is None else self._inflated(self._inflater))
        self._body_bytes += len(piece)
        if self._body_bytes > self.limits.body_bytes:
            self.close()
            raise failure("malformed", "the provider's answer is too long")
        return piece

    async def read(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await self.chunk():
            size += len(piece)
            if size > limit:
                self.close()
                raise failure("malformed", "the provider's answer is too long")
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _inflated(self, inflater: Inflater) -> bytes:
        try:
            while not (piece := inflater.pull()):
                raw = await self._raw()
                if not raw:
                    inflater.finish()
                    break
                inflater.feed(raw)
        except UpstreamError:
            self.close()
            raise
        return piece

    async def _raw(self) -> bytes:
        """The next piece as it came, b"" at the end."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
