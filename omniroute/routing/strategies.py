"""In which order the steps of a combo are tried: one function for each strategy, in one literal dict.

Pure: what a strategy looks at is a `Moment`, which holds the scores, the clock's time and a source of chance.  Each
strategy also tells why it put a step where it did, for `explain`, from the same figures.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TypeVar

import msgspec

from omniroute.routing.tables import Connection, Route, Strategy, Target
from omniroute.state.scores import Score, Scores

Step = Target | Route
T = TypeVar("T")
Weighty = TypeVar("Weighty", Target | Route, Connection)
Turn = Callable[[str], int]
"""Whose turn it is in a rotation, by the rotation's name: 0, 1, 2, …"""
Order = Callable[[Route, "Moment"], Sequence[Step]]
Why = Callable[[Route, Step, "Moment"], str]
TYPICAL_INPUT = 3
"""Tokens of a prompt for each token of its answer, by which prices are made comparable."""


class Moment(msgspec.Struct):
    """What strategies look at: `turn` gives the turns of rotations, `stream` says which latency counts."""

    scores: Scores
    turn: Turn
    random: random.Random
    now: float
    stream: bool

    def score(self, route: Route, step: Step) -> Score:
        return self.scores.score(route.name, name(step), self.now, stream=self.stream)


class Rule(msgspec.Struct, frozen=True):
    """A strategy. One that is `scored` goes by what is noted of tries."""

    order: Order
    why: Why
    scored: bool = False


def name(step: Step) -> str:
    """What a step is called in scores and sessions: `provider/model`, or a combo's name, which has no slash."""
    return step.id if isinstance(step, Target) else step.name


# ---------------------------------------------------------------------------------------------------------- by the file


def _listed(route: Route, _moment: Moment) -> Sequence[Step]:
    return route.steps


def _why_listed(route: Route, step: Step, _moment: Moment) -> str:
    return f"{ordinal(route.steps.index(step) + 1)} in the file"


def _cheapest(route: Route, _moment: Moment) -> Sequence[Step]:
    return sorted(route.steps, key=usual_price)


def usual_price(step: Step) -> float:
    """USD for a million tokens as requests usually have them, three of the prompt to one of the answer; infinite where
    the price is not known. A combo costs what the cheapest of its targets does."""
    if isinstance(step, Route):
        return min(map(usual_price, step.steps))
    price = step.facts.price
    if price is None or price.input is None:
        return inf
    output = price.input if price.output is None else price.output
    return float(TYPICAL_INPUT * price.input + output) / (TYPICAL_INPUT + 1)


def _why_cheap(_route: Route, step: Step, _moment: Moment) -> str:
    price = usual_price(step)
    return "its price is not known" if price == inf else f"${price:g} per million tokens, three in to one out"


def _widest(route: Route, _moment: Moment) -> Sequence[Step]:
    return sorted(route.steps, key=window, reverse=True)


def window(step: Step) -> int:
    """Tokens that fit in; 0 where that is not known. A combo holds what the widest of its targets does."""
    if isinstance(step, Route):
        return max(map(window, step.steps))
    return step.facts.context or 0


def _why_wide(_route: Route, step: Step, _moment: Moment) -> str:
    size = window(step)
    return f"a window of {size} tokens" if size else "its window is not known"


# --------------------------------------------------------------------------------------------------- by turn and chance


def rotated(items: Sequence[T], by: int) -> list[T]:
    """The items from another one on."""
    at = by % len(items)
    return [*items[at:], *items[:at]]


def drawn(items: Sequence[Weighty], chance: random.Random) -> list[Weighty]:
    """Drawn without putting back, so that the share of first places follows the weights and the rest is a fallback.
    A weight of 0 is never drawn first while others are left."""
    left = list(items)
    out = []
    while left:
        weights = [item.weight for item in left]
        index = chance.choices(range(len(left)), weights if any(weights) else None)[0]
        out.append(left.pop(index))
    return out


def better_of_two(items: Sequence[T], load: Callable[[T], float], chance: random.Random) -> list[T]:
    """The less loaded of two that are drawn goes first, the other second, and the rest follows as it stands: nearly as
    even as to ask all for their load, without all requests of a moment running to the same one."""
    first, second = chance.sample(range(len(items)), 2)
    if load(items[second]) < load(items[first]):
        first, second = second, first
    rest = [item for index, item in enumerate(items) if index not in (first, second)]
    return [items[first], items[second], *rest]


def _rotation(route: Route, moment: Moment) -> Sequence[Step]:
    return rotated(route.steps, moment.turn(f"combo/{route.name}"))


def _why_turn(_route: Route, _step: Step, _moment: Moment) -> str:
    return "in turn"


def _shuffled(route: Route, moment: Moment) -> Sequence[Step]:
    return moment.random.sample(route.steps, len(route.steps))


def _why_chance(_route: Route, _step: Step, _moment: Moment) -> str:
    return "drawn at random"


def _deck(route: Route, moment: Moment) -> Sequence[Step]:
    """Cards from a shuffled deck, and a new deck when all have been drawn: which deck it is and which card is told by
    the turn alone."""
    number, card = divmod(moment.turn(f"combo/{route.name}"), len(route.steps))
    deck = random.Random(f"{route.name}/{number}").sample(route.steps, len(route.steps))
    return rotated(deck, card)


def _why_deck(_route: Route, _step: Step, _moment: Moment) -> str:
    return "drawn from a deck that holds each once"


def _weighted(route: Route, moment: Moment) -> Sequence[Step]:
    return drawn(route.steps, moment.random)


def _why_weight(route: Route, step: Step, _moment: Moment) -> str:
    return f"drawn with weight {step.weight} of {sum(each.weight for each in route.steps)}"


# ------------------------------------------------------------------------------------------------------------ by scores


def _least_used(route: Route, moment: Moment) -> Sequence[Step]:
    return sorted(route.steps, key=lambda step: moment.score(route, step).uses)


def _why_used(route: Route, step: Step, moment: Moment) -> str:
    return f"{moment.score(route, step).uses:.1f} tries lately"


def _slowness(score: Score) -> float:
    """Seconds that a good answer takes, with the tries that it takes; 0 for what was not measured, so that it is."""
    if score.latency is None:
        return 0.0 if score.success == 1.0 else inf
    return score.latency / max(score.success, 0.01)


def _fastest(route: Route, moment: Moment) -> Sequence[Step]:
    return sorted(route.steps, key=lambda step: _slowness(moment.score(route, step)))


def _why_fast(route: Route, step: Step, moment: Moment) -> str:
    score = moment.score(route, step)
    if score.latency is None:
        return "not measured lately" if score.success == 1.0 else f"{score.success:.0%} of tries succeed"
    return f"{score.latency * 1e3:.0f} ms on average, {score.success:.0%} of tries succeed"


def _less_loaded(route: Route, moment: Moment) -> Sequence[Step]:
    def load(step: Step) -> float:
        score = moment.score(route, step)
        return max(_slowness(score), 0.001) * (score.in_flight + 1)

    return better_of_two(route.steps, load, moment.random)


def _why_loaded(route: Route, step: Step, moment: Moment) -> str:
    return f"the better of two: {moment.score(route, step).in_flight} under way, {_why_fast(route, step, moment)}"


def _last_good(route: Route, moment: Moment) -> Sequence[Step]:
    good = moment.scores.last_good(route.name)
    return first(route.steps, good) if good is not None else route.steps


def first(steps: Sequence[Step], wanted: str) -> Sequence[Step]:
    """The steps with that of a name before all others."""
    for index, step in enumerate(steps):
        if name(step) == wanted:
            return [step, *steps[:index], *steps[index + 1 :]]
    return steps


def _why_good(route: Route, step: Step, moment: Moment) -> str:
    answered = moment.scores.last_good(route.name) == name(step)
    return "it answered last" if answered else _why_listed(route, step, moment)


STRATEGIES: Mapping[Strategy, Rule] = {
    "priority": Rule(_listed, _why_listed),
    "fill-first": Rule(_listed, _why_listed),
    "weighted": Rule(_weighted, _why_weight),
    "round-robin": Rule(_rotation, _why_turn),
    "random": Rule(_shuffled, _why_chance),
    "strict-random": Rule(_deck, _why_deck),
    "cost-optimized": Rule(_cheapest, _why_cheap),
    "context": Rule(_widest, _why_wide),
    "least-used": Rule(_least_used, _why_used, scored=True),
    "latency": Rule(_fastest, _why_fast, scored=True),
    "p2c": Rule(_less_loaded, _why_loaded, scored=True),
    "lkgp": Rule(_last_good, _why_good, scored=True),
}


def ordinal(number: int) -> str:
    """1 → `1st`."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
