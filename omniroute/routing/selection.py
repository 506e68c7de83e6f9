"""Which connection of a provider is asked first: one function for each way of selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from omniroute.routing.strategies import Moment, better_of_two, drawn, rotated
from omniroute.routing.tables import Connection, Selection, Upstream
from omniroute.state.base import Counters

Group = Sequence[Connection]
Select = Callable[[str, Group, Counters, Moment], Group]
"""Orders a group of connections of one priority; the text is the name of its rotation."""


def connections(upstream: Upstream, counters: Counters, moment: Moment) -> Group:
    """The provider's connections, those of the lowest priority number first, each group by the way of selection."""
    all_of_them = upstream.connections
    if len(all_of_them) == 1:
        return all_of_them
    select = SELECTIONS[upstream.selection]
    ordered: list[Connection] = []
    for priority in sorted({connection.priority for connection in all_of_them}):
        group = tuple(connection for connection in all_of_them if connection.priority == priority)
        turns = f"provider/{upstream.name}/{priority}"
        ordered += group if len(group) == 1 else select(turns, group, counters, moment)
    return ordered


def _fill_first(_turns: str, group: Group, _counters: Counters, _moment: Moment) -> Group:
    return group


def _round_robin(turns: str, group: Group, _counters: Counters, moment: Moment) -> Group:
    return rotated(group, moment.turn(turns))


def _random(_turns: str, group: Group, _counters: Counters, moment: Moment) -> Group:
    return moment.random.sample(group, len(group))


def _weighted(_turns: str, group: Group, _counters: Counters, moment: Moment) -> Group:
    return drawn(group, moment.random)


def _least_used(_turns: str, group: Group, counters: Counters, _moment: Moment) -> Group:
    return sorted(group, key=lambda connection: counters.in_flight(connection.id))


def _p2c(_turns: str, group: Group, counters: Counters, moment: Moment) -> Group:
    return better_of_two(group, lambda connection: counters.in_flight(connection.id), moment.random)


SELECTIONS: Mapping[Selection, Select] = {
    "fill-first": _fill_first,
    "round-robin": _round_robin,
    "random": _random,
    "weighted": _weighted,
    "least-used": _least_used,
    "p2c": _p2c,
}
