"""Signing in by code and by device code: whose a sign-in is, how long, how often, and what a provider says meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator

import pytest
from oauth_rig import Rig, bearer, query, refused, token
from support.upstream import Script, Upstream, whole

from omniroute.errors import BadRequest, UpstreamError
from omniroute.services import oauth
from omniroute.services.oauth import Callback, Pending, came_back
from omniroute.upstream.oauth import DEVICE_GRANT


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Upstream() as server:
        yield Rig(server)


def device(**more: object) -> Script:
    said = {
        "device_code": "the-device-code",
        "user_code": "ABCD-EFGH",
        "verification_uri": "https://house.example/device",
    }
    return whole(said | {"expires_in": 600, "interval": 5} | more)


async def exchanged(rig: Rig, owner: str, callback: Callback) -> str:
    """The code of the refusal; empty where the sign-in came to its end."""
    try:
        await rig.sign_ins.exchange({rig.connection.id: rig.connection}, owner, callback)
    except BadRequest as error:
        return error.fault.code or ""
    return ""


def test_the_code_is_redeemed_with_the_verifier_that_was_never_told(rig: Rig):
    async def test() -> None:
        began = rig.sign_ins.authorize(rig.connection, "me")
        said = query(began.url)
        assert await exchanged(rig, "me", Callback("the-code", began.state)) == ""
        (asked,) = rig.asked
        verifier = asked.pop("code_verifier")
        assert asked == {
            "grant_type": "authorization_code",
            "code": "the-code",
            "client_id": "our-client",
            "redirect_uri": "http://localhost:8080/callback",
        }
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        assert (said["code_challenge"], said["scope"], said["client_id"]) == (challenge, "one two", "our-client")
        assert re.fullmatch(r"[A-Za-z0-9_-]{43,128}", verifier)
        assert verifier not in began.url

    rig.run(test)


def test_two_sign_ins_have_nothing_in_common(rig: Rig):
    async def test() -> None:
        urls = [query(rig.sign_ins.authorize(rig.connection, "me").url) for _ in range(50)]
        assert len({one["state"] for one in urls}) == len({one["code_challenge"] for one in urls}) == 50

    rig.run(test)


def test_a_state_ends_with_its_use_its_time_or_its_place(rig: Rig):
    async def test() -> None:
        used = rig.sign_ins.authorize(rig.connection, "me")
        assert await exchanged(rig, "me", Callback("the-code", used.state)) == ""
        assert await exchanged(rig, "me", Callback("the-code", used.state)) == "oauth_state_unknown"
        old = rig.sign_ins.authorize(rig.connection, "me")
        rig.time.pass_by(oauth.LIFE)
        assert await exchanged(rig, "me", Callback("the-code", old.state)) == "oauth_state_unknown"
        first, *_, last = (rig.sign_ins.authorize(rig.connection, "me") for _ in range(oauth.MOST + 1))
        assert await exchanged(rig, "me", Callback("the-code", first.state)) == "oauth_state_unknown"
        assert await exchanged(rig, "me", Callback("the-code", last.state)) == ""
        assert len(rig.sign_ins._begun) <= oauth.MOST

    rig.run(test)


def test_nobody_finishes_what_another_has_begun(rig: Rig):
    async def test() -> None:
        began = rig.sign_ins.authorize(rig.connection, "me")
        assert await exchanged(rig, "you", Callback("the-code", began.state)) == "oauth_state_unknown"
        with pytest.raises(BadRequest):
            await rig.sign_ins.exchange({}, "me", Callback("the-code", began.state))
        assert rig.server.asked == []
        assert await exchanged(rig, "me", Callback("the-code", began.state)) == ""

    rig.run(test)


def test_of_two_who_send_the_same_state_one_is_served(rig: Rig):
    async def test() -> None:
        began = rig.sign_ins.authorize(rig.connection, "me")
        both = await asyncio.gather(*(exchanged(rig, "me", Callback("the-code", began.state)) for _ in range(10)))
        assert sorted(both) == ["", *["oauth_state_unknown"] * 9]
        assert len(rig.asked) == 1

    rig.run(test)


def test_a_refusal_of_the_provider_ends_the_sign_in(rig: Rig):
    async def test() -> None:
        began = rig.sign_ins.authorize(rig.connection, "me")
        callback = came_back(f"http://localhost/?error=access_denied&error_description=No+thanks&state={began.state}")
        assert await exchanged(rig, "me", callback) == "oauth_refused"
        assert await exchanged(rig, "me", Callback("the-code", began.state)) == "oauth_state_unknown"
        assert rig.server.asked == []

    rig.run(test)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:8080/callback?code=a%2Fb&state=s", Callback("a/b", "s")),
        ("https://x.example/?state=s&code=c&iss=y", Callback("c", "s")),
        ("http://localhost/?error=access_denied&state=s", Callback("", "s", "access_denied")),
        (" code#state\n", Callback("code", "state")),
        ("http://localhost/callback", Callback()),
    ],
)
def test_what_the_browser_came_back_with_is_read_in_each_form(text: str, expected: Callback):
    assert came_back(text) == expected


@pytest.mark.parametrize("text", ["just-a-code", "", "http://[::1/?code=c&state=s"])
def test_what_is_no_callback_is_refused(text: str):
    with pytest.raises(BadRequest):
        came_back(text)


@pytest.mark.parametrize(
    ("uri", "fine"),
    [
        ("http://localhost:1455/auth/callback", True),
        ("http://127.0.0.1/x", True),
        ("http://[::1]:8080/x", True),
        ("https://gateway.example.com/done?x=1", True),
        ("http://gateway.example.com/done", False),
        ("http://localhost.evil.example/", False),
        ("https://user@gateway.example.com/", False),
        ("https://gateway.example.com/#fragment", False),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_a_browser_is_sent_back_to_this_machine_or_over_tls(rig: Rig, uri: str, fine: bool):
    async def test() -> None:
        if fine:
            began = rig.sign_ins.authorize(rig.connection, "me", uri)
            assert (began.redirect_uri, query(began.url)["redirect_uri"]) == (uri, uri)
            await exchanged(rig, "me", Callback("the-code", began.state))
            assert rig.asked[0]["redirect_uri"] == uri
        else:
            with pytest.raises(BadRequest):
                rig.sign_ins.authorize(rig.connection, "me", uri)

    rig.run(test)


# ---------------------------------------------------------------------------------------------------------- device code


async def polled(rig: Rig, handle: str, owner: str = "me") -> object:
    """What a question came to: the status, `Pending`, or the code of the refusal."""
    try:
        _, told = await rig.sign_ins.poll({rig.connection.id: rig.connection}, owner, handle)
    except UpstreamError as error:
        return error.fault.code
    except BadRequest as error:
        return error.fault.code
    return told


def test_the_user_types_in_the_code_and_the_provider_is_asked_at_its_pace(rig: Rig):
    async def test() -> None:
        rig.answers = [
            device(),
            refused("authorization_pending"),
            refused("slow_down", 429),
            refused("authorization_pending", 200),  # as GitHub says it
            token(),
        ]
        began = await rig.sign_ins.device(rig.connection, "me")
        assert (began.user_code, began.verification_uri) == ("ABCD-EFGH", "https://house.example/device")
        assert (began.expires_in, began.interval) == (600, 5)
        assert rig.asked == [{"scope": "one two", "client_id": "our-client"}]
        assert await polled(rig, began.handle) == Pending("authorization_pending", 5)
        assert len(rig.asked) == 1
        rig.time.pass_by(5)
        assert await polled(rig, began.handle) == Pending("authorization_pending", 5)
        rig.time.pass_by(5)
        assert await polled(rig, began.handle) == Pending("slow_down", 10)
        rig.time.pass_by(5)
        assert await polled(rig, began.handle) == Pending("authorization_pending", 5)
        assert len(rig.asked) == 3
        rig.time.pass_by(5)
        assert await polled(rig, began.handle) == Pending("authorization_pending", 10)
        rig.time.pass_by(10)
        assert (await polled(rig, began.handle)).state == "signed_in"
        assert rig.asked[-1] == {
            "grant_type": DEVICE_GRANT,
            "device_code": "the-device-code",
            "client_id": "our-client",
        }
        assert bearer(rig.tokens.at_hand(rig.connection)) == "access-1"
        assert await polled(rig, began.handle) == "oauth_state_unknown"

    rig.run(test)


@pytest.mark.parametrize("error", ["expired_token", "access_denied", "invalid_grant"])
def test_a_last_word_of_the_provider_ends_it(rig: Rig, error: str):
    async def test() -> None:
        rig.answers = [device(), refused(error)]
        began = await rig.sign_ins.device(rig.connection, "me")
        rig.time.pass_by(5)
        assert await polled(rig, began.handle) == error
        assert await polled(rig, began.handle) == "oauth_state_unknown"

    rig.run(test)


@pytest.mark.parametrize(
    "fault",
    [Script(pieces=[b"{"], cut=True), whole(b"", 500), whole(b"<html>")],
    ids=["cut", "500", "html"],
)
def test_a_failure_on_the_way_does_not_end_it(rig: Rig, fault: Script):
    async def test() -> None:
        rig.answers = [device(), fault, token()]
        began = await rig.sign_ins.device(rig.connection, "me")
        rig.time.pass_by(5)
        assert await polled(rig, began.handle) != "oauth_state_unknown"
        assert await polled(rig, began.handle) == Pending("authorization_pending", 5)
        rig.time.pass_by(5)
        assert (await polled(rig, began.handle)).state == "signed_in"

    rig.run(test)


def test_a_device_code_is_the_owners_until_it_ends(rig: Rig):
    async def test() -> None:
        rig.answers = [device(expires_in=30)]
        began = await rig.sign_ins.device(rig.connection, "me")
        assert began.handle != "the-device-code"
        assert await polled(rig, began.handle, "you") == "oauth_state_unknown"
        assert await polled(rig, "the-device-code") == "oauth_state_unknown"
        assert await exchanged(rig, "me", Callback("the-code", began.handle)) == "oauth_state_unknown"
        by_code = rig.sign_ins.authorize(rig.connection, "me")
        assert await polled(rig, by_code.state) == "oauth_state_unknown"
        rig.time.pass_by(30)
        assert await polled(rig, began.handle) == "oauth_state_unknown"

    rig.run(test)


def test_a_server_that_wants_a_verifier_with_a_device_code_gets_it(rig: Rig):
    rig.change(device_pkce=True)

    async def test() -> None:
        rig.answers = [device(verification_uri_complete="https://house.example/device?user_code=ABCD-EFGH"), token()]
        began = await rig.sign_ins.device(rig.connection, "me")
        rig.time.pass_by(5)
        await polled(rig, began.handle)
        first, second = rig.asked
        verifier = second["code_verifier"]
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        assert (first["code_challenge"], first["code_challenge_method"]) == (challenge, "S256")
        assert began.verification_uri_complete == "https://house.example/device?user_code=ABCD-EFGH"

    rig.run(test)


@pytest.mark.parametrize(
    "answer",
    [
        refused("invalid_client", 401),
        whole({"error": {"type": "invalid_client", "message": "unknown application"}}, 401),
        whole({"device_code": "x", "user_code": "y"}),
        device(verification_uri="javascript:alert(1)"),
        device(user_code="a\nb"),
        whole(b"nothing", 404),
    ],
)
def test_where_no_device_code_is_given_nothing_is_under_way(rig: Rig, answer: Script):
    async def test() -> None:
        rig.answers = [answer]
        with pytest.raises(UpstreamError):
            await rig.sign_ins.device(rig.connection, "me")
        assert rig.sign_ins._begun == []

    rig.run(test)


def test_a_way_that_the_provider_does_not_have_says_which_it_has(rig: Rig):
    async def test() -> None:
        rig.change(device=None)
        with pytest.raises(BadRequest, match=r"by device code: use GET /api/oauth/house/authorize"):
            await rig.sign_ins.device(rig.connection, "me")
        rig.change(authorization=None)
        with pytest.raises(BadRequest, match=r"by authorization code: use GET /api/oauth/house/device-code"):
            rig.sign_ins.authorize(rig.connection, "me")

    rig.run(test)
