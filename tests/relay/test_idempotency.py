"""The same request again, by its name: after the first, beside it, and in its place."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest
from support.providers import Says
from support.rig import KEY, Rig, digest
from support.upstream import Asked, Script, events, whole

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
OTHER = "sk-omniroute-of-another"
MARK = "x-omniroute-idempotent"
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(
        "idempotency: {window: 2s, max_bytes: 1MiB}", keys=f', other: {{digest: "sha256:{digest(OTHER)}"}}'
    ) as rig:
        yield rig


@pytest.fixture
def client(rig: Rig) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=rig.gateway.url, timeout=10) as client:
        yield client


def said(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"model": "open/chat", "messages": [{"role": "user", "content": text}]} | more


def post(client: httpx.Client, body: Any, path: str = PATH, key: str = KEY, **names: str) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in names.items()}
    return client.post(path, json=body, headers={"authorization": f"Bearer {key}"} | headers)


def name() -> str:
    name.count += 1
    return f"the-request-{name.count}"


name.count = 0


def numbered(asked: Asked) -> Script:
    """An answer that differs each time."""
    numbered.count += 1
    return whole(ANSWER | {"id": f"chatcmpl-{numbered.count}"})


numbered.count = 0


@pytest.mark.parametrize("header", ["idempotency_key", "x_request_id"])
def test_the_same_request_again_gets_the_same_answer(rig: Rig, client: httpx.Client, header: str):
    rig.script(numbered)
    named = {header: name()}
    first, again = (post(client, said(), **named) for _ in range(2))
    assert len(rig.upstream.asked) == 1
    assert again.content == first.content
    assert MARK not in first.headers
    assert again.headers[MARK] == "true"
    assert again.headers["x-omniroute-provider"] == "open"
    assert again.headers["x-request-id"] == (named.get("x_request_id") or again.headers["x-request-id"])


def test_each_request_keeps_the_name_that_it_has_itself(rig: Rig, client: httpx.Client):
    rig.script(numbered)
    key = name()
    first, again = (post(client, said(), idempotency_key=key, x_request_id=one) for one in ("one", "two"))
    assert (first.headers["x-request-id"], again.headers["x-request-id"]) == ("one", "two")
    assert again.content == first.content


def test_another_body_under_the_same_key_is_refused_in_the_words_of_the_surface(rig: Rig, client: httpx.Client):
    rig.script(Says(text="Hello"))
    key = name()
    for path, model, text in (
        (PATH, "open/chat", "idempotency_key_reused"),
        ("/v1/messages", "anth/chat", "invalid_request_error"),
        ("/v1beta/models/gem/chat:generateContent", "", "INVALID_ARGUMENT"),
        ("/api/chat", "olla/chat", "Idempotency-Key"),
    ):
        first, second = (
            said(words, model=model, max_tokens=9, stream=False)
            if model
            else {"contents": [{"role": "user", "parts": [{"text": words}]}]}
            for words in ("one", "two")
        )
        assert post(client, first, path, idempotency_key=key).status_code == 200
        refused = post(client, second, path, idempotency_key=key)
        assert refused.status_code == 422
        assert text in refused.text
        assert post(client, first, path, idempotency_key=key).headers[MARK] == "true"


def test_another_body_with_the_same_request_id_is_another_request(rig: Rig, client: httpx.Client):
    rig.script(numbered)
    one = name()
    answers = [post(client, said(words), x_request_id=one) for words in ("one", "two", "one")]
    assert [MARK in answer.headers for answer in answers] == [False, False, True]
    assert len({answer.content for answer in answers}) == 2


def test_a_name_counts_for_one_caller_on_one_path(rig: Rig, client: httpx.Client):
    rig.script(Says(text="Hello"))
    key = name()
    post(client, said(), idempotency_key=key)
    assert MARK not in post(client, said(), key=OTHER, idempotency_key=key).headers
    assert MARK not in post(client, said("different"), key=OTHER, path="/v1/responses", idempotency_key=key).headers
    assert MARK not in post(client, said(max_tokens=9), "/v1/messages", idempotency_key=key).headers


def test_the_window_ends(rig: Rig, client: httpx.Client):
    rig.script(numbered)
    key = name()
    first = post(client, said(), idempotency_key=key)
    time.sleep(2.1)
    again = post(client, said("something else"), idempotency_key=key)
    assert again.status_code == 200
    assert MARK not in again.headers
    assert again.content != first.content


def test_a_request_that_failed_is_tried_again(rig: Rig, client: httpx.Client):
    rig.script(lambda asked: whole({"error": {"message": "no"}}, 500))
    key = name()
    assert post(client, said(), idempotency_key=key).status_code == 500
    rig.script(numbered)
    again = post(client, said(), idempotency_key=key)
    assert again.status_code == 200
    assert MARK not in again.headers


def test_a_repeated_request_costs_nothing(rig: Rig, client: httpx.Client):
    rig.script(Says(text="Hello"))
    key = name()
    model = "open-of-the-repeated"
    post(client, said(model=model), idempotency_key=key)
    again = post(client, said(model=model), idempotency_key=key)
    assert again.headers["x-omniroute-cost"] == "0"
    rows = [row for row in rig.gateway.rows(2) if row["requested"] == model]
    while len(rows) < 2:
        rows = [row for row in rig.gateway.rows(2) if row["requested"] == model]
    costs = [Decimal(row["cost"]) for row in rows]
    assert costs[0] > 0
    assert costs[1] == 0
    assert [row["idempotent"] for row in rows] == [0, 1]


def test_who_hangs_up_with_all_of_its_answer_has_been_served(rig: Rig):
    """A client that closes the connection at the last byte, as those without keep-alive do, has not left early."""
    rig.script(Says(text="Hello"))
    model = "open-of-the-hasty"
    statuses = set()
    for number in range(12):
        with httpx.Client(base_url=rig.gateway.url, headers={"connection": "close"}) as hasty:
            statuses.add(post(hasty, said(model=model), x_request_id=f"hasty-{number // 2}").status_code)
    assert statuses == {200}
    rows: list[Any] = []
    while len(rows) < 12:
        rows = [row for row in rig.gateway.rows(12) if row["requested"] == model]
    assert [row["status"] for row in rows] == [200] * 12
    assert sum(row["idempotent"] for row in rows) == 6


def test_other_operations_are_repeated_too(rig: Rig, client: httpx.Client):
    rig.script(lambda asked: whole({"data": [{"embedding": [0.5], "index": 0}], "model": "m", "usage": None}))
    key = name()
    body = {"model": "open/chat", "input": "Hello"}
    # the catalogue knows this model for nothing in particular
    first, again = (post(client, body, "/v1/embeddings", idempotency_key=key) for _ in range(2))
    assert first.status_code == 200, first.text
    assert again.headers[MARK] == "true"
    assert again.content == first.content


# ------------------------------------------------------------------------------------------------ beside one another


def held(answer: Script) -> tuple[Any, Future[None]]:
    """A script that waits, and what lets it go on."""
    hold: Future[None] = Future()
    answer.hold = hold
    return (lambda asked: answer), hold


def chunks(count: int) -> list[bytes]:
    def event(delta: Any, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return b"data: %s\n\n" % json.dumps(told).encode()

    return [
        event({"role": "assistant", "content": "first"}),
        *[event({"content": f" word-{n}"}) for n in range(count)],
        event({}, "stop"),
        b"data: [DONE]\n\n",
    ]


def until(what: Any, seconds: float = 5.0) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_requests_beside_one_another_are_one(rig: Rig, client: httpx.Client, stream: bool):
    pieces = chunks(20) if stream else [json.dumps(ANSWER).encode()]
    script, hold = held(Script(pieces=pieces, content_type="text/event-stream" if stream else "application/json"))
    rig.script(script)
    key = name()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(post, client, said(stream=stream), idempotency_key=key) for _ in range(8)]
        until(lambda: rig.upstream.asked)
        time.sleep(0.1)
        hold.set_result(None)
        answers = [each.result() for each in asked]
    assert len(rig.upstream.asked) == 1
    assert len({answer.content for answer in answers}) == 1
    assert sorted(MARK in answer.headers for answer in answers) == [False] + [True] * 7
    assert all(answer.status_code == 200 for answer in answers)


def test_a_failure_is_told_to_all_who_wait(rig: Rig, client: httpx.Client):
    script, hold = held(whole({"error": {"message": "not this"}}, 400))
    rig.script(script)
    key = name()
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(post, client, said(), idempotency_key=key) for _ in range(3)]
        until(lambda: rig.upstream.asked)
        time.sleep(0.1)
        hold.set_result(None)
        answers = [each.result() for each in asked]
    assert [answer.status_code for answer in answers] == [400] * 3
    assert all("not this" in answer.text for answer in answers)
    assert len(rig.upstream.asked) == 1


class Listener:
    """A client of a stream of which the first piece has come."""

    def __init__(self, rig: Rig, key: str) -> None:
        self.client = httpx.Client(base_url=rig.gateway.url, timeout=10)
        headers = {"authorization": f"Bearer {KEY}", "idempotency-key": key}
        request = self.client.build_request("POST", PATH, json=said(stream=True), headers=headers)
        self._pieces = self.client.send(request, stream=True).iter_raw()
        self._heard = next(self._pieces)

    def rest(self) -> bytes:
        """All of the stream, to its end."""
        return self._heard + b"".join(self._pieces)

    def leave(self) -> None:
        self.client.close()


def test_who_comes_late_to_a_stream_hears_all_of_it_though_the_first_client_leaves(rig: Rig):
    script, hold = held(events(*chunks(20)))
    rig.script(script)
    key = name()
    first = Listener(rig, key)
    second = Listener(rig, key)
    first.leave()
    time.sleep(0.1)
    assert rig.upstream.hung_up == 0
    hold.set_result(None)
    text = second.rest().decode()
    second.leave()
    assert "word-19" in text
    assert text.endswith("data: [DONE]\n\n")
    assert len(rig.upstream.asked) == 1


def test_the_work_stops_when_the_last_one_leaves(rig: Rig):
    script, _ = held(events(*chunks(20)))
    rig.script(script)
    key, before = name(), rig.upstream.hung_up
    first = Listener(rig, key)
    second = Listener(rig, key)
    first.leave()
    time.sleep(0.1)
    assert rig.upstream.hung_up == before
    second.leave()
    until(lambda: rig.upstream.hung_up == before + 1)


def test_an_answer_that_is_too_long_to_be_kept_reaches_everybody_who_was_there(rig: Rig, client: httpx.Client):
    """A sixteenth of the megabyte that is set is kept."""
    script, hold = held(events(*chunks(3000)))
    rig.script(script)
    key = name()
    first = Listener(rig, key)
    second = Listener(rig, key)
    hold.set_result(None)
    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(Listener.rest, (first, second)))
    assert texts[0] == texts[1]
    assert texts[0].count(b"word-") == 3000
    rig.script(Says(text="Anew"))
    assert MARK not in post(client, said(stream=True), idempotency_key=key).headers
    first.leave()
    second.leave()


def test_a_server_that_stops_ends_the_stream_for_everybody_who_hears_it():
    with Rig("", server=", drain_timeout: 100ms") as rig:
        script, _ = held(events(*chunks(20)))
        rig.script(script)
        key = name()
        listeners = [Listener(rig, key) for _ in range(3)]
        rig.gateway.process.terminate()
        texts = {listener.rest() for listener in listeners}
        for listener in listeners:
            listener.leave()
        assert rig.gateway.process.wait(10) in (0, -15)
    (text,) = texts
    assert b"shutting_down" in text
    assert text.endswith(b"data: [DONE]\n\n")
