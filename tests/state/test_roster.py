"""The live sessions: what they add up to, when they end, and how many there can be."""

from decimal import Decimal

from omniroute.state.roster import MemoryRoster, Request

ASKED = Request(client="claude-cli/2.1", target="a/m", connection="a.main", tokens=10, cost=Decimal("0.10"))


def test_a_session_adds_up_what_its_requests_took():
    roster = MemoryRoster()
    roster.note("team", "s", ASKED, 100.0, 60)
    roster.note("team", "s", Request(target="b/n", connection="b.main", tokens=5), 120.0, 60)
    roster.note("team", "s", Request(), 130.0, 60)  # refused before any provider: nothing is known to be forgotten
    (session,) = roster.live(131.0, 60)
    assert (session.key, session.client, session.first, session.last) == ("team", "claude-cli/2.1", 100.0, 130.0)
    assert (session.requests, session.tokens, session.cost, session.unpriced) == (3, 15, Decimal("0.10"), 1)
    assert (session.target, session.connection) == ("b/n", "b.main")


def test_equal_names_of_different_keys_are_different_sessions():
    roster = MemoryRoster()
    roster.note("one", "s", ASKED, 1.0, 60)
    roster.note("other", "s", ASKED, 2.0, 60)
    assert [session.key for session in roster.live(3.0, 60)] == ["other", "one"]
    assert len({session.id for session in roster.live(3.0, 60)}) == 2


def test_a_name_is_shown_as_a_digest_that_stays_the_same():
    first, second = MemoryRoster(), MemoryRoster()
    for roster in (first, second):
        roster.note("team", "patient 4711 \udcff", ASKED, 1.0, 60)
    assert first.live(2.0, 60)[0].id == second.live(2.0, 60)[0].id
    assert "4711" not in repr(first.live(2.0, 60))


def test_a_session_is_over_some_time_after_its_last_request():
    roster = MemoryRoster()
    roster.note("team", "s", ASKED, 100.0, 60)
    roster.note("team", "s", ASKED, 159.0, 60)
    assert len(roster.live(218.0, 60)) == 1
    assert roster.live(219.0, 60) == []
    roster.note("team", "s", ASKED, 219.0, 60)
    assert [(session.first, session.requests) for session in roster.live(219.0, 60)] == [(219.0, 1)]


def test_those_longest_without_a_request_make_room():
    roster = MemoryRoster(capacity=3)
    for number, name in enumerate("abcad"):
        roster.note("team", name, ASKED, float(number), 60)
    assert [session.first for session in roster.live(5.0, 60)] == [4.0, 0.0, 2.0]


def test_those_that_are_over_make_room_first_and_all_at_once():
    roster = MemoryRoster(capacity=100)
    for number in range(50):
        roster.note("team", str(number), ASKED, 0.0, 60)
    roster.note("team", "late", ASKED, 60.0, 60)
    assert len(roster._sessions) == 1


def test_a_long_name_takes_no_more_room_than_others():
    roster = MemoryRoster()
    roster.note("team", "x" * 100_000, ASKED, 1.0, 60)
    assert max(len(name) for _, name in roster._sessions) == 256


def test_what_is_told_of_a_session_does_not_change_any_more():
    roster = MemoryRoster()
    roster.note("team", "s", ASKED, 1.0, 60)
    before = roster.live(2.0, 60)[0]
    roster.note("team", "s", ASKED, 2.0, 60)
    assert before.requests == 1
