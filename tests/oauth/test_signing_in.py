"""Signing in at a real authorization server, through a real gateway, to a provider that demands the token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
from authority import USER
from house import CLIENT_SECRET, OTHER, READER, House
from support.eventually import until


def code_of(house: House, result: httpx.Response) -> str:
    return result.json()["error"]["code"]


def test_nobody_has_signed_in_at_first(house: House):
    status = house.api("GET", "house/status", key=READER).json()
    assert status["connections"][0] | {"id": "house.main", "state": "signed_out"} == status["connections"][0]
    assert status["connections"][0]["flows"] == ["authorization_code_pkce", "device_code"]
    answer = house.ask("house/chat")
    assert answer.status_code == 401
    assert "nobody has signed in" in answer.text
    assert house.upstream.asked == []
    health = msgspec.json.decode(house.get("monitoring/health"))["providerHealth"]["house.main"]
    assert (health["kind"], health["available"]) == ("auth", False)
    assert health["cooldownUntil"]


def test_who_signs_in_is_let_in_at_once(house: House):
    signed = house.sign_in("house")
    connection = signed["connection"]
    assert (signed["success"], connection["id"], connection["state"]) == (True, "house.main", "signed_in")
    assert (connection["email"], connection["saved"], connection["renewable"]) == (f"{USER}@example.com", True, True)
    answer = house.ask("house/chat")  # the connection rested a moment ago, for nobody had signed in
    assert answer.status_code == 200, answer.text
    assert house.server.knows(house.tokens[-1])


def test_the_authorization_url_says_what_the_row_says_and_keeps_the_verifier(house: House):
    began = house.api("GET", "house/authorize?redirect_uri=http://localhost:8080/callback").json()
    said = {name: values[0] for name, values in parse_qs(urlsplit(began["authUrl"]).query).items()}
    assert said["client_id"] == "public"
    assert said["scope"] == "openid offline_access email"
    assert (said["code_challenge_method"], said["state"], said["prompt"]) == ("S256", began["state"], "consent")
    assert len(said["code_challenge"]) == 43
    assert set(began) == {"authUrl", "state", "redirectUri", "flowType", "expiresAt", "connectionId"}


def test_a_state_is_good_once_and_for_nobody_else(house: House):
    began = house.api("GET", "house/authorize").json()
    ended = house.server.sign_in(began["authUrl"])
    sent = {"callbackUrl": ended}
    assert code_of(house, house.api("POST", "house/exchange", sent, key=OTHER)) == "oauth_state_unknown"
    assert code_of(house, house.api("POST", "brief/exchange", sent)) == "oauth_state_unknown"
    assert house.api("POST", "house/exchange", sent, key=READER).status_code == 403
    assert house.api("POST", "house/exchange", sent).status_code == 200
    again = house.api("POST", "house/exchange", sent)
    assert (again.status_code, code_of(house, again)) == (400, "oauth_state_unknown")


def test_a_code_without_its_state_is_not_taken(house: House):
    began = house.api("GET", "house/authorize").json()
    code = parse_qs(urlsplit(house.server.sign_in(began["authUrl"])).query)["code"][0]
    assert code_of(house, house.api("POST", "house/exchange", {"code": code})) == "oauth_state_missing"
    for state in ("x", began["state"][:-1], began["state"] + "x", "ÿ"):
        sent = house.api("POST", "house/exchange", {"code": code, "state": state})
        assert (sent.status_code, code_of(house, sent)) == (400, "oauth_state_unknown")
    assert house.api("POST", "house/exchange", {"code": f"{code}#{began['state']}"}).status_code == 200


def test_a_user_who_does_not_want_to_is_told_as_such(house: House):
    began = house.api("GET", "house/authorize").json()
    answer = house.api("POST", "house/exchange", {"callbackUrl": house.server.refuse(began["authUrl"])})
    assert (answer.status_code, code_of(house, answer)) == (400, "oauth_refused")
    assert "access_denied" in answer.text


def test_a_wrong_code_is_refused_in_the_providers_words(house: House):
    began = house.api("GET", "house/authorize").json()
    answer = house.api("POST", "house/exchange", {"code": "made-up", "state": began["state"]})
    assert (answer.status_code, code_of(house, answer)) == (400, "oauth_refused")
    assert "[house] the sign-in was refused: invalid_grant" in answer.text


def test_what_does_not_sign_in_says_so(house: House):
    unknown = house.api("GET", "nowhere/authorize")
    assert (unknown.status_code, code_of(house, unknown)) == (404, "unknown_provider")
    for method, action in (("GET", "authorize"), ("GET", "device-code"), ("GET", "status"), ("POST", "refresh")):
        answer = house.api(method, f"keyed/{action}")
        assert (answer.status_code, code_of(house, answer)) == (400, "no_oauth")
    assert house.api("GET", "house/start-callback-server").status_code == 404
    assert house.api("POST", "house/authorize").status_code == 405


def test_of_several_connections_one_has_to_be_named(house: House):
    several = house.api("GET", "office/authorize")
    assert (several.status_code, code_of(house, several)) == (400, "connection_ambiguous")
    assert "`posts`, `basic`" in several.text
    assert house.api("GET", "office/authorize?connection=nothing").status_code == 404
    for name in ("posts", "office.basic"):
        assert house.sign_in("office", f"?connection={name}")["connection"]["name"] == name.removeprefix("office.")
    states = [one["state"] for one in house.api("GET", "office/status").json()["connections"]]
    assert states == ["signed_in", "signed_in"]
    assert house.ask("office/chat").status_code == 200


def test_a_token_that_ends_is_renewed_and_the_refresh_token_rotates(house: House):
    house.sign_in("brief")
    assert house.ask("brief/chat").status_code == 200
    first = house.tokens[-1]
    stored = (house.gateway.folder / "data" / "secrets").read_text()
    until(lambda: not house.server.knows(first))
    before = house.server.count("refresh_token")
    assert house.ask("brief/chat").status_code == 200
    assert house.tokens[-1] != first
    assert house.server.count("refresh_token") == before + 1
    after = (house.gateway.folder / "data" / "secrets").read_text()
    assert after != stored
    assert house.tokens[-1] in after


def test_fifty_requests_with_a_token_that_is_no_good_any_more_cause_one_renewal(house: House):
    house.sign_in("house")
    assert house.ask("house/chat").status_code == 200
    stale = house.tokens[-1]
    house.server.spoil(stale)
    before = house.server.count("refresh_token")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda number: house.ask("house/chat", stream=number % 2 == 0), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert house.server.count("refresh_token") == before + 1
    assert house.server.knows(house.tokens[-1])


def test_the_operator_renews_at_will(house: House):
    before = house.sign_in("house")["connection"]["issuedAt"]
    answer = house.api("POST", "house/refresh").json()
    assert (answer["success"], answer["connection"]["state"]) == (True, "signed_in")
    assert answer["connection"]["issuedAt"] > before


def test_tokens_outlive_the_process_and_an_edit(house: House):
    house.sign_in("house")
    house.gateway.stop()
    house.gateway.start()
    renewals = house.server.count("refresh_token")
    assert house.ask("house/chat").status_code == 200
    text, before = house.gateway.path.read_text(), house.revision
    house.gateway.write(text.replace("chat: {}", "chat: {context: 1000}"))
    until(lambda: house.revision != before)
    assert house.ask("house/chat").status_code == 200
    assert house.server.count("refresh_token") == renewals
    house.gateway.write(text)
    until(lambda: house.revision == before)


def test_what_is_revoked_is_gone_here_and_there(house: House):
    house.sign_in("house")
    assert house.ask("house/chat").status_code == 200
    token = house.tokens[-1]
    answer = house.api("POST", "house/revoke").json()
    assert answer == {"success": True, "revoked": True}
    assert not house.server.knows(token)
    assert house.api("GET", "house/status").json()["connections"][0]["state"] == "signed_out"
    assert token not in (house.gateway.folder / "data" / "secrets").read_text()
    assert house.ask("house/chat").status_code == 401
    assert code_of(house, house.api("POST", "house/refresh")) == "sign_in_required"
    assert house.api("POST", "house/revoke").json() == {"success": True, "revoked": False}


def test_no_token_is_anywhere_but_in_the_secret_store(house: House):
    """The provider quotes each token that it refuses; codes, tokens and the client's secret are looked for in every
    answer that was given, the log, the database with all that belongs to it, and the configuration."""
    house.sign_in("house")
    house.ask("house/chat")
    spoiled = house.tokens[-1]
    house.api("POST", "house/refresh")
    house.server.spoil(spoiled)
    house.ask("house/chat", stream=True)
    current = house.tokens[-1]
    house.server.spoil(current)
    house.ask("house/chat")
    newest = house.tokens[-1]
    house.server.spoil(newest)
    refused = house.ask("house/chat")  # it was renewed a moment ago, and is not once more
    assert refused.status_code == 401
    assert "the token <secret> is not known here" in refused.text
    store = house.gateway.folder / "data" / "secrets"
    words = {*house.tokens, CLIENT_SECRET, *_values(store)}
    assert len(words) > 10
    told = [*house.heard, refused.text, house.gateway.said()]
    for name in ("config", "config/status", "monitoring/health"):
        told.append(house.get(name))
    files = [file for file in house.gateway.folder.rglob("*") if file.is_file() and file != store]
    assert any(file.name == "omniroute.sqlite" for file in files)
    places = [*(text.encode() for text in told), *(file.read_bytes() for file in files)]
    assert [word for word in words if any(word.encode() in place for place in places)] == []


def _values(store: Path) -> set[str]:
    """Every token that the secret store holds."""
    values = msgspec.json.decode(store.read_bytes())["values"].values()
    grants = [msgspec.json.decode(value) for value in values]
    return {grant[name] for grant in grants for name in ("access_token", "refresh_token")}


def test_a_connection_that_signs_in_is_tried_with_its_token(house: House):
    house.sign_in("house")
    tried = house.post("providers/house.main/test")
    assert (tried["valid"], tried["error"]) == (True, None), tried
    assert house.server.knows(house.tokens[-1])
    house.api("POST", "house/revoke")
    tried = house.post("providers/house.main/test")
    assert not tried["valid"]
    assert "nobody has signed in" in tried["error"]
