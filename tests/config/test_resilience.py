"""The patience that a file asks for, as it is compiled."""

from omniroute.config.compile.patience import profile, queue
from omniroute.config.spec.resilience import ProfilesSpec, QueueSpec
from omniroute.routing.tables import Queue
from omniroute.state.base import Profile


def test_the_way_to_authenticate_says_which_profile_a_connection_has():
    profiles = ProfilesSpec()
    for scheme in ("bearer", "x-api-key", "none"):
        assert profile(profiles, scheme) == Profile(12, 30, 3, 60)
    assert profile(profiles, "oauth") == Profile(8, 60, 5, 120)


def test_a_queue_that_would_change_nothing_is_none():
    assert queue(QueueSpec()) is None
    assert queue(QueueSpec(max_wait="2s")) == Queue(max_wait=2, concurrent=None)
    assert queue(QueueSpec(concurrent=3)) == Queue(max_wait=0, concurrent=3)
