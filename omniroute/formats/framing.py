"""Records from bytes, and back: server-sent events, and JSON of one line each.

`SSE.feed` accepts any split of the bytes and gives whole events, as the WHATWG HTML standard frames them
(https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation): CR, LF and CRLF end a
line, several `data` lines join with LF, comments and unknown fields vanish.  One shape is tried first, because nearly
all that providers send looks like it: whole events of a single `data:` line each. Next comes a name before that line.

`NDJSON` does the same for lines of JSON (Ollama's form): a record is a line.
"""

from __future__ import annotations

EVENT_LIMIT = 16 * 1024 * 1024
"""Bytes of one record. A provider that never ends a line must not fill the memory."""

Record = tuple[bytes, bytes]
"""The event's name (empty if it has none, as a line never has) and its data."""

_MARK = b"\xef\xbb\xbf"


class Blocks:
    """Gathers bytes up to the end of an event, with LF as the only line end.

    An unfinished event is held in pieces that are joined once, so that a large one costs no more than its bytes,
    however small the pieces are that it comes in.
    """

    __slots__ = ("_begun", "_cr", "_pieces", "_size")
    END = b"\n\n"

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._cr = False
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """All events that are whole now. Raises ValueError when one grows beyond `EVENT_LIMIT`."""
        if self._cr or b"\r" in data:
            data = self._unified(data)
        if self._pieces:
            ends = self.END in data or (data.startswith(b"\n") and self._pieces[-1].endswith(b"\n"))
            if not ends:
                return self._hold(data)
            data = self.rest() + data
        found = data.rfind(self.END)
        if found < 0:
            return self._hold(data)
        cut = found + len(self.END)
        if cut < len(data):
            self._hold(data[cut:])
            data = data[:cut]
        if not self._begun:
            self._begun = True
            data = data.removeprefix(_MARK)
        return data

    def records(self, block: bytes) -> list[Record]:
        """The records of a block that `feed` or `rest` gave."""
        return records(block)

    def rest(self) -> bytes:
        """What is held, which is then no longer held."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return rest if self._begun else rest.removeprefix(_MARK)

    def _hold(self, data: bytes) -> bytes:
        if data:
            self._pieces.append(data)
            self._size += len(data)
        if self._size > EVENT_LIMIT:
            raise ValueError(f"an event of more than {EVENT_LIMIT} bytes")
        return b""

    def _unified(self, data: bytes) -> bytes:
        """CRLF and CR as LF. A CR that ends the bytes waits, for its LF may be the next byte to come."""
        if self._cr:
            data = b"\r" + data
        self._cr = data.endswith(b"\r")
        if self._cr:
            data = data[:-1]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class Lines(Blocks):
    """Gathers bytes up to the end of a line."""

    __slots__ = ()
    END = b"\n"

    def records(self, block: bytes) -> list[Record]:
        return [(b"", line) for line in block.split(b"\n") if line and not line.isspace()]


class Records:
    """The records of one stream."""

    __slots__ = ("_blocks",)

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks

    def feed(self, data: bytes) -> list[Record]:
        """The records that are whole now. Raises ValueError when one grows beyond `EVENT_LIMIT`."""
        block = self._blocks.feed(data)
        return self._blocks.records(block) if block else []

    def close(self) -> list[Record]:
        """What is left when the bytes end. The standard drops an unfinished event; a last one that lacks only its
        end is taken, because several providers leave it out."""
        return self._blocks.records(self._blocks.rest())


class SSE(Records):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Blocks())


class NDJSON(Records):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Lines())


def records(block: bytes) -> list[Record]:
    """The events of a block of whole ones."""
    if block.startswith(b"data: ") and block.endswith(b"\n\n"):
        datas = block[6:-2].split(b"\n\ndata: ")
        if block.count(b"\n") == 2 * len(datas):
            return [(b"", data) for data in datas]
    out: list[Record] = []
    for event in block.split(b"\n\n"):
        name, found, data = event.partition(b"\ndata: ")
        if found and name.startswith(b"event: ") and event.count(b"\n") == 1:
            out.append((name[7:], data))
        elif event:
            out += _parsed(event)
    return out


def _parsed(event: bytes) -> list[Record]:
    """One event, or none where it has no data."""
    name = b""
    data: list[bytes] = []
    for line in event.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return [(name, b"\n".join(data))] if data else []


def flat(data: bytes) -> bytes:
    """JSON on one line, to stand in an event. Strings hold no line ends, so all there are is white space; and nothing is
    read, so nothing can be too deep or too odd for it."""
    return data.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in data or b"\r" in data else data


def frame(data: bytes, name: bytes = b"") -> bytes:
    """One event. `data` is JSON as msgspec writes it and so has no line ends of its own."""
    if name:
        return b"event: " + name + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"
