"""Recorded bytes with a few of them changed, the same ones in each run."""

from collections.abc import Iterator
from random import Random

SPLICES = (b"null", b"-1", b"1e999", b'"', b"[", b"{}", b"\xff", b"\\ud800", b"9" * 400, b"true", b"[[[[", b'"":', b",")


def mutations(body: bytes, count: int = 150) -> Iterator[bytes]:
    """Each with one to three spots deleted, repeated or written over."""
    random = Random(len(body))
    for _ in range(count):
        changed = body
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(changed) + 1)
            end = min(len(changed), at + random.randint(0, 12))
            piece = random.choice((b"", changed[at:end] * 2, *SPLICES))
            changed = changed[:at] + piece + changed[end:]
        yield changed
