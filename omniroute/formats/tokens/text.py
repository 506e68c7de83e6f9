"""The tokens of texts: OpenAI's vocabularies by a library, those of the other families by what they cost beside it.

No other vocabulary is small, public and packaged, so another family's count is made from o200k's and from how many
characters of each script there are, because that is where tokenizers differ: some spell numbers digit by digit, some
need twice the tokens for Greek, some six times for Gujarati.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

Encoding = Literal["o200k_base", "cl100k_base"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

BYTES_PER_TOKEN = 3.5
"""Of prose and code in UTF-8, where there is no time to count; a little below what tokenizers need."""
EXACT = 100_000
"""Characters that are counted. A longer prompt is judged by as many of it, since the slowest texts (long runs of one
sign) take half a microsecond a character."""
WINDOW = 1000
"""Characters of one sample of a longer prompt; short ones, so that many are spread over it."""
MARGIN = 1.06
"""What is added to a count that was made from samples: twice and a half what chance does to 100 of them where prose,
code and data are mixed."""


class Rate(msgspec.Struct, frozen=True):
    """Tokens of a text: `factor` times its tokens in `encoding`, and so many for each character of the kinds below.

    The kinds are told by the first byte of a character in UTF-8. A negative number takes back what `factor` overrates.
    """

    encoding: Encoding = "o200k_base"
    factor: float = 1.0
    digits: float = 0.0
    capitals: float = 0.0
    blanks: float = 0.0
    cyrillic: float = 0.0
    """Also accented Latin."""
    levant: float = 0.0
    """Greek, and from Armenian over Hebrew and Arabic to Thaana."""
    indic: float = 0.0
    """From Devanagari over Thai and Tibetan to Georgian and Khmer."""
    east: float = 0.0
    """Chinese, Japanese, and the signs and arrows before them."""
    hangul: float = 0.0
    emoji: float = 0.0
    """And whatever else is beyond the basic plane."""


KINDS = ("digits", "capitals", "blanks", "cyrillic", "levant", "indic", "east", "hangul", "emoji")
_FIRST: dict[str, Iterable[int]] = {
    "digits": b"0123456789",
    "capitals": range(0x41, 0x5B),
    "blanks": b" \t\r\n",
    "cyrillic": [*range(0xC2, 0xCE), *range(0xD0, 0xD4)],
    "levant": [0xCE, 0xCF, *range(0xD4, 0xE0)],
    "indic": (0xE0, 0xE1),
    "east": range(0xE2, 0xEA),
    "hangul": range(0xEA, 0xF0),
    "emoji": range(0xF0, 0xF5),
}


def _classes() -> bytes:
    table = bytearray([255]) * 256
    for number, kind in enumerate(KINDS):
        for first in _FIRST[kind]:
            table[first] = number
    return bytes(table)


_CLASSES = _classes()
"""Bytes to the numbers of their kinds."""


def tokens(texts: Sequence[str], rate: Rate) -> int:
    """The tokens of all the texts together."""
    length = sum(map(len, texts))
    if length <= EXACT:
        return ceil(_tokens(list(texts), rate))
    whole = "\n".join(texts)
    step = len(whole) / (EXACT // WINDOW)
    samples = [whole[round(n * step) : round(n * step) + WINDOW] for n in range(EXACT // WINDOW)]
    taken = sum(map(len, samples))
    return ceil(_tokens(samples, rate) * len(whole) / taken * MARGIN)


def _tokens(texts: list[str], rate: Rate) -> float:
    try:
        size = sum(_count(rate.encoding, texts)) * rate.factor
        raw = "".join(texts).encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can write and UTF-8 cannot
        return _tokens([text.encode("utf-8", "replace").decode() for text in texts], rate)
    classes = raw.translate(_CLASSES)
    for number, kind in enumerate(KINDS):
        weight: float = getattr(rate, kind)
        if weight:
            size += classes.count(number) * weight
    return size


def rough(texts: Iterable[str]) -> int:
    """The tokens of all the texts by their size alone."""
    return ceil(sum(len(text.encode("utf-8", "replace")) for text in texts) / BYTES_PER_TOKEN)


_loading = Lock()


def load() -> None:
    """Loads both vocabularies, so that no count has to: 0.4 s in which nothing else runs, and 80 MB, which grow to 115 MB
    with use."""
    for encoding in ENCODINGS:
        _count(encoding, [])


def _count(encoding: Encoding, texts: list[str]) -> list[int]:
    """On this thread alone, and without the interpreter's lock. The first count in an encoding takes about 0.3 s, and
    holds it meanwhile."""
    with _loading:  # two threads would load it twice
        batch_count = _library(encoding)
    return batch_count(texts, encoding, 1)


@cache
def _library(encoding: Encoding) -> Callable[[list[str], str, int], list[int]]:
    from toktok import batch_count  # noqa: PLC0415 - only who counts pays for it

    batch_count([], encoding, 1)
    return batch_count
