"""Tokens: handed out while they are good, renewed once for all who wait, lost by nothing that the network or the disk does."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator

import msgspec
import pytest
from oauth_rig import Rig, bearer, refused, token
from support.upstream import Script, Upstream, whole

from omniroute.catalog.oauth import AccountHeader
from omniroute.errors import UpstreamError
from omniroute.routing.tables import Exchange
from omniroute.secret import Secret
from omniroute.services.oauth import came_back
from omniroute.upstream import oauth as protocol
from omniroute.upstream.auth import conceal, sign


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Upstream() as server:
        yield Rig(server)


async def failure(waiting) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await waiting
    return caught.value


def test_a_good_token_is_at_hand_without_waiting(rig: Rig):
    async def test() -> None:
        assert rig.tokens.at_hand(rig.connection) is None
        await rig.sign_in()
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-1"
        assert rig.tokens.at_hand(rig.connection) is rig.tokens.at_hand(rig.connection)
        assert rig.server.asked == []
        assert rig.cleared == ["house.main"]

    rig.run(test)


def test_shortly_before_the_end_one_request_begins_the_renewal_and_nobody_waits(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.answers = [token(2)]
        rig.time.pass_by(3600 - 299)
        assert [bearer(rig.tokens.at_hand(rig.connection)) for _ in range(50)] == ["access-1"] * 50
        await rig.tokens._settled("house.main")
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-2"
        assert rig.asked == [{"grant_type": "refresh_token", "refresh_token": "refresh-1", "client_id": "our-client"}]

    rig.run(test)


@pytest.mark.parametrize("late_by", [-29.0, 0.0, 86_400.0])
def test_fifty_requests_after_the_end_wait_for_one_renewal(rig: Rig, late_by: float):
    async def test() -> None:
        await rig.sign_in()
        rig.answers = [token(2)]
        rig.time.pass_by(3600 + late_by)
        assert rig.tokens.at_hand(rig.connection) is None
        found = await asyncio.gather(*(rig.tokens.fresh(rig.connection) for _ in range(50)))
        assert {bearer(auth) for auth in found} == {"access-2"}
        assert len(rig.asked) == 1

    rig.run(test)


def test_a_token_without_an_end_is_never_renewed_by_itself(rig: Rig):
    async def test() -> None:
        rig.answers = [whole({"access_token": "for-good"})]
        await rig.sign_in()
        rig.time.pass_by(10 * 365 * 86_400)
        assert bearer(rig.tokens.at_hand(rig.connection)) == "for-good"
        status = await rig.tokens.status(rig.connection)
        assert (status.state, status.expires_at, status.renewable) == ("signed_in", None, False)

    rig.run(test)


def test_a_token_that_lives_shortly_is_renewed_by_shares_of_its_life(rig: Rig):
    async def test() -> None:
        rig.answers = [token(1, expires_in=60), token(2, expires_in=60)]
        await rig.sign_in()
        rig.time.pass_by(47)
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-1"
        assert rig.server.asked == []
        rig.time.pass_by(2)
        rig.tokens.at_hand(rig.connection)
        await rig.tokens._settled("house.main")
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-2"

    rig.run(test)


def test_nobody_gets_a_new_token_before_it_is_on_disk(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.answers = [token(2)]
        rig.time.pass_by(3500)
        written = threading.Event()
        arrived = threading.Event()

        def wait() -> None:
            arrived.set()
            assert written.wait(5)

        rig.disk.before_put = wait
        rig.tokens.at_hand(rig.connection)
        await asyncio.to_thread(arrived.wait, 5)
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-1"
        assert rig.stored["refresh_token"] == "refresh-1"
        written.set()
        await rig.tokens._settled("house.main")
        assert (bearer(rig.tokens.at_hand(rig.connection)), rig.stored["refresh_token"]) == ("access-2", "refresh-2")

    rig.run(test)


def test_a_rotated_refresh_token_is_the_next_to_be_used_and_one_that_stays_is_kept(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.answers = [token(2), whole({"access_token": "access-3", "expires_in": "3600"}), token(4)]
        for _ in range(3):
            await rig.tokens.refresh(rig.connection)
        assert [one["refresh_token"] for one in rig.asked] == ["refresh-1", "refresh-2", "refresh-2"]
        assert rig.stored["refresh_token"] == "refresh-4"

    rig.run(test)


FAULTS = {
    "refused": Script(refuse=True),
    "cut": Script(headers={"content-length": "100"}, pieces=[b"{"], cut=True),
    "silent": Script(silent=True),
    "500": whole({"error": "server_error"}, 500),
    "503": whole(b"down for maintenance", 503),
    "429": whole(b"too many", 429),
    "garbage": whole(b"<html>hello</html>"),
    "no token": whole({"token_type": "bearer"}),
    "a list": whole([]),
    "not utf-8": whole(b'{"access_token": "\xff"}'),
    "a token of two lines": whole({"access_token": "a\nb"}),
    "an empty token": whole({"access_token": ""}),
    "another type": token(9, token_type="mac"),
    "redirect": Script(302, {"location": "http://127.0.0.1:9/token"}),
    "endless": Script(pieces=[b"x" * 65536], endless=True),
    "deep": whole(b'{"a":' * 5000),
}


@pytest.mark.parametrize("name", FAULTS)
def test_no_failure_of_the_server_costs_a_token(rig: Rig, name: str, monkeypatch: pytest.MonkeyPatch):
    impatient = msgspec.structs.replace(protocol.DEADLINES, first_byte=0.2, idle=0.2)
    monkeypatch.setattr(protocol, "DEADLINES", impatient)

    async def test() -> None:
        await rig.sign_in()
        stored = dict(rig.disk.values)
        rig.answers = [FAULTS[name]]
        rig.time.pass_by(3580)  # it ends soon, and is good until then
        assert bearer(await rig.tokens.fresh(rig.connection)) == "access-1"
        rig.time.pass_by(100)
        error = await failure(rig.tokens.fresh(rig.connection))
        assert (error.kind, error.fault.code) == ("auth", "token_not_renewed")
        assert error.fault.message.startswith("[house] `house.main` has no token: it could not be renewed: ")
        status = await rig.tokens.status(rig.connection)
        assert (status.state, status.renewable, bool(status.problem)) == ("expired", True, True)
        assert rig.disk.values == stored
        rig.answers = [token(2)]
        assert bearer(await rig.tokens.fresh(rig.connection)) == "access-2"
        assert (await rig.tokens.status(rig.connection)).problem == ""

    rig.run(test)


def test_a_dead_refresh_token_is_not_asked_about_again_until_somebody_acts(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.answers = [refused("invalid_grant", error_description="it was used before")]
        rig.time.pass_by(4000)
        for _ in range(3):
            error = await failure(rig.tokens.fresh(rig.connection))
            assert error.kind == "auth"
            assert "invalid_grant: it was used before" in error.fault.message
        assert len(rig.asked) == 1
        assert (await rig.tokens.status(rig.connection)).state == "refused"
        assert rig.stored["refresh_token"] == "refresh-1"
        assert (await failure(rig.tokens.refresh(rig.connection))).fault.code == "invalid_grant"
        assert len(rig.asked) == 2
        rig.answers = [token(5)]
        await rig.sign_in()
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-5"

    rig.run(test)


def test_a_failing_server_is_not_asked_by_every_request_while_the_old_token_is_good(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.answers = [whole(b"", 500)]
        rig.time.pass_by(3400)
        for _ in range(20):
            assert bearer(rig.tokens.at_hand(rig.connection)) == "access-1"
            await rig.tokens._settled("house.main")
        assert len(rig.asked) == 1
        rig.time.pass_by(11)
        rig.tokens.at_hand(rig.connection)
        await rig.tokens._settled("house.main")
        assert len(rig.asked) == 2

    rig.run(test)


def test_who_stops_waiting_does_not_stop_the_renewal(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        slow = token(2)
        slow.pause = 0.1
        rig.answers = [slow]
        rig.time.pass_by(4000)
        first = asyncio.create_task(rig.tokens.fresh(rig.connection))
        second = asyncio.create_task(rig.tokens.fresh(rig.connection))
        await asyncio.sleep(0.02)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert bearer(await second) == "access-2"
        assert len(rig.asked) == 1

    rig.run(test)


def test_a_full_disk_costs_nothing_and_is_tried_again(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.disk.fails = True
        rig.answers = [token(2)]
        status = await rig.tokens.refresh(rig.connection)
        assert (status.state, status.saved) == ("signed_in", False)
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-2"
        rig.disk.fails = False
        while not rig.time.sleeping:
            await asyncio.sleep(0)
        rig.time.pass_by(6)
        while not (await rig.tokens.status(rig.connection)).saved:
            await asyncio.sleep(0.005)
        assert rig.stored["refresh_token"] == "refresh-2"

    rig.run(test)


def test_what_is_not_saved_at_the_end_is_tried_once_more(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.disk.fails = True
        rig.answers = [token(2)]
        await rig.tokens.refresh(rig.connection)
        rig.disk.fails = False

    rig.run(test)
    assert rig.stored["refresh_token"] == "refresh-2"


def test_who_signs_out_is_not_signed_in_by_a_renewal_under_way(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        slow = token(2)
        slow.pause = 0.1
        rig.answers = [slow, whole(b"")]
        rig.time.pass_by(3400)
        rig.tokens.at_hand(rig.connection)
        assert await rig.tokens.revoke(rig.connection)
        assert [(one["token"], one["token_type_hint"]) for one in rig.asked[1:]] == [
            ("refresh-2", "refresh_token"),
            ("access-2", "access_token"),
        ]
        assert rig.disk.values == {}
        assert (await failure(rig.tokens.fresh(rig.connection))).fault.code == "sign_in_required"

    rig.run(test)


def test_a_sign_in_during_a_renewal_is_the_one_that_stays(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        slow = token("old")
        slow.pause = 0.1
        rig.answers = [slow, token("new")]
        rig.time.pass_by(3400)
        rig.tokens.at_hand(rig.connection)
        while not rig.server.asked:
            await asyncio.sleep(0.005)
        await rig.sign_in()
        await rig.tokens._settled("house.main")
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-new"
        assert rig.stored["access_token"] == "access-new"

    rig.run(test)


def test_a_revocation_that_fails_forgets_nothing_unless_it_is_wanted(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.answers = [Script(refuse=True)]
        assert (await failure(rig.tokens.revoke(rig.connection))).kind == "connect"
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-1"
        assert not await rig.tokens.revoke(rig.connection, anyway=True)
        assert rig.disk.values == {}

    rig.run(test)


def test_where_nothing_can_be_revoked_the_tokens_are_forgotten(rig: Rig):
    rig.change(revocation=None)

    async def test() -> None:
        await rig.sign_in()
        assert not await rig.tokens.revoke(rig.connection)
        assert (rig.disk.values, rig.server.asked) == ({}, [])

    rig.run(test)


def test_tokens_outlive_the_process_and_go_to_no_other_server(rig: Rig):
    async def signs_in() -> None:
        await rig.sign_in()

    async def restarted() -> None:
        assert bearer(await rig.tokens.fresh(rig.connection)) == "access-1"
        rig.change(issuer="https://elsewhere.example/token")
        assert rig.tokens.at_hand(rig.connection) is None
        assert (await failure(rig.tokens.fresh(rig.connection))).fault.code == "sign_in_required"
        assert (await rig.tokens.status(rig.connection)).state == "signed_out"

    rig.run(signs_in)
    rig.run(restarted)


def test_an_edit_counts_for_the_token_that_is_there(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        assert sign(await rig.tokens.fresh(rig.connection)) == ((b"authorization", b"Bearer access-1"),)
        rig.change(scheme="token")
        assert rig.tokens.at_hand(rig.connection) is None
        assert sign(await rig.tokens.fresh(rig.connection)) == ((b"authorization", b"Token access-1"),)
        assert rig.server.asked == []

    rig.run(test)


@pytest.mark.parametrize("stored", ["", "{}", "null", '{"access_token": 1, "issuer": "x"}', "\ud800"])
def test_a_damaged_store_means_that_somebody_has_to_sign_in(rig: Rig, stored: str):
    async def test() -> None:
        rig.disk.values["oauth.house.main"] = stored
        assert (await failure(rig.tokens.fresh(rig.connection))).fault.code == "sign_in_required"

    rig.run(test)


def test_a_store_that_cannot_be_read_is_a_failure_of_the_credential(rig: Rig):
    async def test() -> None:
        rig.disk.fails = True
        error = await failure(rig.tokens.fresh(rig.connection))
        assert error.kind == "auth"
        assert "the secret store cannot be read" in error.fault.message

    rig.run(test)


def test_a_refused_token_is_renewed_once_for_all_and_once_a_minute(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.answers = [token(2), token(3)]
        old = await rig.tokens.fresh(rig.connection)
        found = await asyncio.gather(*(rig.tokens.renewed(rig.connection, old) for _ in range(50)))
        assert {bearer(auth) for auth in found} == {"access-2"}
        assert bearer(await rig.tokens.renewed(rig.connection, old)) == "access-2"
        newer = rig.tokens.last(rig.connection)
        assert await rig.tokens.renewed(rig.connection, newer) is None
        assert len(rig.asked) == 1
        rig.time.pass_by(61)
        assert bearer(await rig.tokens.renewed(rig.connection, newer)) == "access-3"

    rig.run(test)


def test_what_a_provider_quotes_of_this_token_and_the_one_before_is_not_told(rig: Rig):
    async def test() -> None:
        await rig.sign_in()
        rig.answers = [token(2)]
        await rig.tokens.refresh(rig.connection)
        told = conceal(rig.tokens.last(rig.connection), "access-1 and access-2")
        assert told == "<secret> and <secret>"

    rig.run(test)


def test_what_the_server_quotes_of_our_secrets_is_not_told(rig: Rig):
    rig.change(client_secret=Secret("hush-hush"))

    def quoting(asked) -> Script:
        return refused("invalid_grant", error_description=f"{asked.body.decode()} {asked.headers}")

    async def test() -> None:
        await rig.sign_in()
        rig.answers = [quoting]
        error = await failure(rig.tokens.refresh(rig.connection))
        assert "refresh_token=<secret>" in error.fault.message
        assert "refresh-1" not in str(error)
        assert "hush" not in str(error)

    rig.run(test)


@pytest.mark.parametrize(
    ("method", "sent", "header"),
    [
        ("client_secret_post", "hush-hush", None),
        ("client_secret_basic", None, "Basic " + base64.b64encode(b"our-client:hush-hush").decode()),
    ],
)
def test_a_client_secret_is_sent_as_the_server_wants_it(rig: Rig, method: str, sent: str | None, header: str | None):
    rig.change(client_secret=Secret("hush-hush"), client_auth=method)

    async def test() -> None:
        await rig.sign_in()
        await rig.tokens.refresh(rig.connection)
        assert rig.asked[0].get("client_secret") == sent
        assert rig.server.asked[0].headers.get("authorization") == header

    rig.run(test)


def test_a_server_that_wants_json_gets_it(rig: Rig):
    rig.change(encoding="json", state_in_token=True, revocation_encoding="form")

    async def test() -> None:
        began = rig.sign_ins.authorize(rig.connection, "me")
        connections = {rig.connection.id: rig.connection}
        await rig.sign_ins.exchange(connections, "me", came_back(f"the-code#{began.state}"))
        (asked,) = rig.server.asked
        assert asked.headers["content-type"] == "application/json"
        said = asked.json
        assert len(said.pop("code_verifier")) == 64
        assert said == {
            "grant_type": "authorization_code",
            "code": "the-code",
            "state": began.state,
            "redirect_uri": "http://localhost:8080/callback",
            "client_id": "our-client",
        }
        rig.answers = [whole(b"")]
        await rig.tokens.revoke(rig.connection)
        assert rig.server.asked[-1].headers["content-type"] == "application/x-www-form-urlencoded"

    rig.run(test)


def test_a_second_token_is_asked_for_with_the_first_one(rig: Rig):
    """As GitHub Copilot wants it: requests carry the second one, and what is kept is the first."""
    rig.change(exchange=Exchange(endpoint=rig.at("/second"), scheme="token", token="token", expires_at="expires_at"))

    def second(number: int) -> Script:
        return whole({"token": f"short-{number}", "expires_at": int(rig.time.now) + 1500, "refresh_in": 1200})

    async def test() -> None:
        rig.answers = [whole({"access_token": "gho-1", "token_type": "bearer", "scope": "read:user"}), second(1)]
        await rig.sign_in()
        assert bearer(rig.tokens.at_hand(rig.connection)) == "short-1"
        rig.time.pass_by(1600)
        rig.answers = [second(2)]
        assert bearer(await rig.tokens.fresh(rig.connection)) == "short-2"
        (asked,) = rig.server.asked
        assert (asked.method, asked.path, asked.headers["authorization"]) == ("GET", "/second", "Token gho-1")
        rig.time.pass_by(1600)
        rig.answers = [whole({"message": "no subscription"}, 403)]
        assert (await failure(rig.tokens.fresh(rig.connection))).kind == "auth"
        assert rig.stored["refresh_token"] == "gho-1"

    rig.run(test)


def id_token(claims: object) -> str:
    body = base64.urlsafe_b64encode(msgspec.json.encode(claims)).decode().rstrip("=")
    return f"head.{body}.signature"


def test_a_header_says_whose_account_it_is(rig: Rig):
    claim = AccountHeader(name="chatgpt-account-id", claim=("https://api.openai.com/auth", "chatgpt_account_id"))
    rig.change(account=claim)

    async def test() -> None:
        claims = {"email": "me@example.com", "https://api.openai.com/auth": {"chatgpt_account_id": "acc-1"}}
        rig.answers = [token(1, id_token=id_token(claims)), token(2)]
        await rig.sign_in()
        await rig.tokens.refresh(rig.connection)  # whose answer says it no more
        signed = sign(await rig.tokens.fresh(rig.connection))
        assert signed == ((b"authorization", b"Bearer access-2"), (b"chatgpt-account-id", b"acc-1"))
        assert (await rig.tokens.status(rig.connection)).email == "me@example.com"

    rig.run(test)


@pytest.mark.parametrize(
    "claims",
    [
        [],
        "x",
        {"https://api.openai.com/auth": "x"},
        {"https://api.openai.com/auth": {"chatgpt_account_id": "a\r\nb: c"}},
    ],
)
def test_a_strange_id_token_says_nothing(rig: Rig, claims: object):
    rig.change(account=AccountHeader(name="x", claim=("https://api.openai.com/auth", "chatgpt_account_id")))

    async def test() -> None:
        rig.answers = [token(1, id_token=id_token(claims))]
        await rig.sign_in()
        assert sign(await rig.tokens.fresh(rig.connection)) == ((b"authorization", b"Bearer access-1"),)

    rig.run(test)
