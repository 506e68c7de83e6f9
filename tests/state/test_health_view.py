"""What is shown of the health of connections."""

from support.tables import PROFILE, state

from omniroute.state.base import on
from omniroute.state.health import Health, health
from omniroute.state.quotas import Allowance


def test_each_connection_shows_its_own_state_that_of_its_models_and_what_is_left():
    running, now = state(), 1000.0
    running.breakers.note("a.x", "overloaded", now, None, PROFILE)
    running.breakers.note(on("a.y", "m"), "no_model", now, None, PROFILE)
    whole, of_model = (Allowance(unit, 3, 10, now + 5, now + 5) for unit in ("requests", "tokens"))
    running.quotas.learn("a.y", [whole], now)
    running.quotas.learn(on("a.y", "m"), [of_model], now)
    running.counters.acquire("a.y")
    shown = health(running, ["a.x", "a.y", "a.z"], now)
    assert shown["a.x"].view == running.breakers.view("a.x", now)
    assert shown["a.y"].view is None
    assert shown["a.y"].models == {"m": running.breakers.view(on("a.y", "m"), now)}
    assert shown["a.y"].allowances == {"": [whole], "m": [of_model]}
    assert shown["a.y"].in_flight == 1
    assert shown["a.z"] == Health(None, {}, {}, 0)
    assert health(running, ["a.y"], now + 4000)["a.y"].allowances == {}
