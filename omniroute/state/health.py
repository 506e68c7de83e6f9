"""What is known of the health of connections, as data: for whoever shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from omniroute.state.base import MODEL, State, View
from omniroute.state.quotas import Allowance


class Health(msgspec.Struct, frozen=True):
    """One connection. `view` is None where nothing is known against it; `models` are those of which something is known
    that does not concern the others; `allowances` is what the provider says is left, by model, under "" for all."""

    view: View | None
    models: Mapping[str, View]
    allowances: Mapping[str, Sequence[Allowance]]
    in_flight: int


QUIET = Health(None, {}, {}, 0)
"""That of a connection of which nothing is known."""


def health(state: State, connections: Iterable[str], now: float) -> dict[str, Health]:
    """The health of each of these connections, by id."""
    models: dict[str, dict[str, View]] = {}
    views: dict[str, View] = {}
    for name, view in state.breakers.known(now).items():
        connection, single, model = name.partition(MODEL)
        if single:
            models.setdefault(connection, {})[model] = view
        else:
            views[connection] = view
    allowances: dict[str, dict[str, Sequence[Allowance]]] = {}
    for name, told in state.quotas.known(now).items():
        connection, _, model = name.partition(MODEL)
        allowances.setdefault(connection, {})[model] = told
    return {
        one: Health(views.get(one), models.get(one, {}), allowances.get(one, {}), state.counters.in_flight(one))
        for one in connections
    }
