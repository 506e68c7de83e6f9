"""The throttle, the sessions and the password, each by itself."""

from __future__ import annotations

import pytest
from argon2.exceptions import InvalidHashError
from fake_application import HASH, PASSWORD, Time

from omniroute.api.password import FirstPassword, matches
from omniroute.api.sessions import Sessions
from omniroute.api.throttle import PEERS, Throttle, peer_name
from omniroute.secret import Secret


def test_a_throttle_forgets_failures_as_they_grow_old():
    time = Time()
    throttle = Throttle(lambda: time.monotonic)
    for _ in range(5):
        throttle.count("a")
        time.pass_by(60)
    assert throttle.wait("a") == 0.0
    for _ in range(5):
        throttle.count("a")
    assert throttle.wait("a") == 300.0
    assert throttle.wait("b") == 0.0


def test_a_throttle_remembers_a_bounded_number_of_peers():
    throttle = Throttle(lambda: 0.0)
    for number in range(PEERS + 10):
        throttle.count(str(number))
    for _ in range(5):
        throttle.count("last")
    assert len(throttle._tries) == PEERS
    assert throttle.wait("last") > 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "", True),
    ],
)
def test_one_ipv6_host_is_one_peer_whatever_addresses_it_takes(one: str, other: str, same: bool):
    assert (peer_name(one) == peer_name(other)) is same


def test_tokens_are_kept_as_digests_only():
    sessions = Sessions(lambda: 0.0)
    token, session = sessions.open(HASH, 10)
    assert sessions.find(token, HASH, 10) is session
    assert token not in repr(sessions._by_digest)
    assert sessions.find(session.csrf, HASH, 10) is None


def test_a_shorter_lifetime_holds_for_sessions_that_are_open():
    time = Time()
    sessions = Sessions(lambda: time.now)
    token, _ = sessions.open(HASH, 100)
    time.pass_by(50)
    assert sessions.find(token, HASH, 51)
    assert sessions.find(token, HASH, 50) is None


def test_a_clock_set_back_behind_the_login_ends_the_session():
    time = Time()
    sessions = Sessions(lambda: time.now)
    token, _ = sessions.open(HASH, 100)
    time.pass_by(-1)
    assert sessions.find(token, HASH, 100) is None


def test_sessions_that_are_over_are_swept_out():
    time = Time()
    sessions = Sessions(lambda: time.now)
    for _ in range(20):
        sessions.open(HASH, 100)
        time.pass_by(50)
    assert len(sessions._by_digest) <= 2


def test_only_the_password_matches_its_hash():
    assert matches(HASH, PASSWORD)
    assert not matches(HASH, PASSWORD + "\x00")
    with pytest.raises(InvalidHashError):
        matches(PASSWORD, PASSWORD)


def test_a_first_password_is_the_one_given_or_made_up_for_this_process():
    given = FirstPassword(Secret(PASSWORD))
    assert not given.made_up
    assert given.hash() is given.hash()
    assert matches(given.hash(), PASSWORD)
    one, other = FirstPassword(None), FirstPassword(None)
    assert one.made_up
    assert one.text != other.text
    assert matches(one.hash(), one.text)
    assert not matches(one.hash(), other.text)
