"""What policies rule is worked out once, and is what it would be each time."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from support import tables

from omniroute.catalog import Model, Price, ceiling
from omniroute.catalog.price import Tier
from omniroute.formats.codecs import CLIENTS
from omniroute.relay.demand import Demand
from omniroute.routing.plan import plan
from omniroute.routing.policies import Heard, Policies
from omniroute.routing.ruling import MOST, bounds, ruling
from omniroute.routing.tables import ANONYMOUS, Orders, Policy
from omniroute.state.memory import memory_state

ROUTE = tables.combo("c", "priority", tables.target("a/m"), tables.target("b/m"))
RATES = st.sampled_from([Decimal(0), Decimal(1), Decimal(3)])
PRICES = st.builds(
    Price,
    input=st.none() | RATES,
    output=st.none() | RATES,
    tiers=st.sampled_from([(), (Tier(above=2_010, input=Decimal(9)),)]),
    per_image=st.sampled_from([None, Decimal(1)]),
)
WINDOWS = st.sampled_from([None, 1_000, 2_500, 200_000])


def policy(name: str = "p", **more) -> Policy:
    return Policy(name=name, concerns=lambda *_: True, rules=(), **more)


def refusing(reasons: list[str | None], **more) -> Policy:
    """Says another thing each time."""
    return policy(refuse=(lambda _target, _time: reasons.pop(0),), **more)


@st.composite
def targets(draw):
    price = draw(st.none() | PRICES)
    facts = Model(id="m", kind="chat", price=price, context=draw(WINDOWS), max_output=draw(WINDOWS))
    name = draw(st.sampled_from("abcdef"))
    return msgspec.structs.replace(tables.target(f"{name}/m"), facts=facts, ceiling=ceiling(price, {}))


@given(
    some=st.lists(st.tuples(targets(), st.sampled_from([None, 10, 3_000])), min_size=1, max_size=6),
    size=st.integers(1, 3_000),
    longest=st.sampled_from([None, 5, 500, 100_000]),
    images=st.sampled_from([0, 0, 2]),
)
def test_a_request_costs_the_same_at_the_most_whether_or_not_the_cheaper_targets_are_left_out(
    some, size, longest, images
):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * size}]}).encode()
    asked = Demand(CLIENTS["openai_chat"].peek(body, ""), longest, images=images)
    each = [asked.most(bounds([one])) for one in some]
    dearest, unpriced = asked.most(bounds(some))
    assert bool(unpriced) is any(unknown for _, unknown in each)
    if not unpriced:
        assert dearest == max(cost for cost, _ in each)


def test_of_equal_targets_one_is_looked_at():
    price = Price(input=Decimal(1), output=Decimal(2))
    one = msgspec.structs.replace(
        tables.target("a/m"), facts=Model(id="m", kind="chat", price=price), ceiling=ceiling(price, {})
    )
    assert len(bounds([(one, None), (one, None), (one, 5)])) == 1


def test_a_ruling_is_made_once_for_a_name_and_a_route():
    said = Heard([policy()])
    first = ruling(said, "c", "chat", ROUTE)
    assert ruling(said, "c", "chat", ROUTE) is first
    assert ruling(said, "d", "chat", ROUTE) is not first
    assert ruling(said, "c", "embeddings", ROUTE) is not first
    other = msgspec.structs.replace(ROUTE)
    assert ruling(said, "c", "chat", other).route is other
    for number in range(2 * MOST):
        ruling(said, f"m{number}", "chat", ROUTE)
    assert len(said.rulings) <= MOST


def test_policies_without_a_schedule_are_asked_once_about_a_target_and_others_each_time():
    target = ROUTE.steps[0]
    once = ruling(Heard([refusing([None, "no"])]), "c", "chat", ROUTE)
    assert [once.denial(target, time) for time in (1.0, 2.0)] == [None, None]
    timed = ruling(Heard([refusing([None, "no"], timed=True)]), "c", "chat", ROUTE)
    assert [timed.denial(target, time) for time in (1.0, 2.0)] == [None, ("policy", "policy p: no")]


def test_what_a_schedule_refuses_now_reserves_nothing():
    price = Price(input=Decimal(1), output=Decimal(2))
    facts = Model(id="m", kind="chat", price=price)
    route = tables.combo(
        "c",
        "priority",
        *[
            msgspec.structs.replace(tables.target(name), facts=facts, ceiling=ceiling(price, {}))
            for name in ("a/m", "b/m")
        ],
    )
    closed = policy(timed=True, refuse=(lambda _target, time: "closed" if time > 5 else None,))
    said = ruling(Heard([closed]), "c", "chat", route)
    assert [len(said.bounds(time)) for time in (1.0, 9.0, 1.0)] == [1, 0, 1]


def test_some_of_the_policies_are_the_same_each_time():
    one, other = policy("one"), policy("other")
    both = Heard([one, other])
    assert both.some((one, other)) is both
    assert both.some((one,)) is both.some((one,))
    assert both.some((one,)) is not both.some((other,))


def test_callers_without_policies_share_their_rulings_within_one_configuration():
    empty, other = Policies(), Policies()
    nobody = empty.standing(ANONYMOUS, "chat").enforced
    assert nobody is empty.standing(ANONYMOUS, "embeddings").enforced
    assert nobody is not other.standing(ANONYMOUS, "chat").enforced


def test_a_plan_that_is_kept_is_not_used_once_something_is_known_against_a_connection():
    state, said = memory_state(), Heard()
    calm = plan(ROUTE, state, 0.0, asked="c", policies=said)
    assert plan(ROUTE, state, 0.0, asked="c", policies=said) == calm
    connection = calm[0].connection
    for _ in range(connection.profile.failure_threshold):
        state.breakers.note(connection.id, "server_error", 0.0, None, connection.profile)
    skipped = plan(ROUTE, state, 0.0, asked="c", policies=said)
    assert [bool(candidate.skip) for candidate in skipped] == [True, False]
    assert [bool(candidate.skip) for candidate in plan(ROUTE, memory_state(), 0.0, asked="c", policies=said)] == [
        False,
        False,
    ]


def test_a_kept_plan_is_a_list_of_its_own_for_each_request():
    state, said = memory_state(), Heard()
    plan(ROUTE, state, 0.0, asked="c", policies=said).clear()
    assert len(plan(ROUTE, state, 0.0, asked="c", policies=said)) == 2


def test_orders_are_joined_once():
    said = ruling(
        Heard([policy(orders=Orders(max_output=5)), policy("q", orders=Orders(max_output=3))]), "c", "chat", ROUTE
    )
    found = said.orders(ROUTE.steps[0], None)
    assert found is not None
    assert found.max_output == 3
    assert said.orders(ROUTE.steps[0], None) is found
