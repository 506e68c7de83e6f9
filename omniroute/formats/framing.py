"""Server-sent events from bytes, and back.

`SSE.feed` accepts any split of the bytes and gives whole events, as the WHATWG HTML standard frames them
(https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation): CR, LF and CRLF end a
line, several `data` lines join with LF, comments and unknown fields vanish.  One shape is tried first, because nearly all
that providers send looks like it: whole events of a single `data:` line each.
"""

from __future__ import annotations

EVENT_LIMIT = 16 * 1024 * 1024
"""Bytes of one event. A provider that never ends a line must not fill the memory."""

Record = tuple[bytes, bytes]
"""The event's name (empty if it has none) and its data."""


class SSE:
    """The events of one stream."""

    __slots__ = ("_rest", "_seen")

    def __init__(self) -> None:
        self._rest = b""
        self._seen = False

    def feed(self, data: bytes) -> list[Record]:
        """The events that are whole now. Raises ValueError when one grows beyond `EVENT_LIMIT`."""
        text = self._rest + data if self._rest else data
        if not self._seen:
            text = self._skip_mark(text)
        if b"\r" in text:
            text = _unify(text)
        if text.startswith(b"data: "):
            plain = _plain(text)
            if plain is not None:
                self._rest = b""
                return plain
        *blocks, self._rest = text.split(b"\n\n")
        if len(self._rest) > EVENT_LIMIT:
            raise ValueError(f"an event of more than {EVENT_LIMIT} bytes")
        records = []
        for block in blocks:
            record = _parse(block)
            if record is not None:
                records.append(record)
        return records

    def close(self) -> list[Record]:
        """What is left when the bytes end. The standard drops an unfinished event; a last one that lacks only its
        empty line is taken, because several providers leave it out."""
        rest, self._rest = self._rest.replace(b"\r", b"\n").strip(b"\n"), b""
        record = _parse(rest) if rest else None
        return [] if record is None else [record]

    def _skip_mark(self, text: bytes) -> bytes:
        """Drops a byte order mark at the very start, once there are bytes enough to tell."""
        mark = b"\xef\xbb\xbf"
        if len(text) < len(mark) and mark.startswith(text):
            return text
        self._seen = True
        return text.removeprefix(mark)


def _plain(text: bytes) -> list[Record] | None:
    """The events of bytes that are nothing but `data: ...` lines with an empty line after each."""
    datas = text.split(b"\n\ndata: ")
    if not text.endswith(b"\n\n") or text.count(b"\n") != 2 * len(datas):
        return None
    datas[0] = datas[0][6:]
    datas[-1] = datas[-1][:-2]
    return [(b"", data) for data in datas]


def _unify(text: bytes) -> bytes:
    """CRLF and CR as LF. A CR that ends the bytes stays, for its LF may be the next byte to come."""
    held = b"\r" if text.endswith(b"\r") else b""
    if held:
        text = text[:-1]
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held


def _parse(block: bytes) -> Record | None:
    if b"\n" not in block and block.startswith(b"data:"):
        return b"", block[5:].removeprefix(b" ")
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, colon, value = line.partition(b":")
        if not colon and not field:
            continue
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return (name, b"\n".join(data)) if data else None


def frame(data: bytes, name: bytes = b"") -> bytes:
    """One event. `data` is JSON as msgspec writes it and so has no line ends of its own."""
    if name:
        return b"event: " + name + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"
