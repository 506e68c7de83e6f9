"""The bytes of an answer: one write for a whole one, a head that does not wait for a body that is slow, and nothing that
a reader could take for another answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from omniroute.cycle import Cycle

LENGTH = (b"content-length", b"2")
Script = Callable[[Cycle], Coroutine[Any, Any, None]]


class Pipe:
    """A transport that notes each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def answer(script: Script, *, method: str = "GET", keep_alive: bool = True) -> Pipe:
    """What is written for what an application sends."""
    pipe = Pipe()

    async def run() -> None:
        cycle = Cycle(
            scope={"type": "http", "method": method, "path": "/"},  # type: ignore[typeddict-item]
            transport=pipe,  # type: ignore[arg-type]
            flow=FlowControl(pipe),  # type: ignore[arg-type]
            logger=logging.getLogger("cycle"),
            access_logger=logging.getLogger("cycle"),
            access_log=False,
            default_headers=[(b"date", b"today")],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=lambda: None,
        )
        await script(cycle)

    asyncio.run(run())
    return pipe


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Any:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Any:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sending(*messages: Any) -> Script:
    async def script(cycle: Cycle) -> None:
        for message in messages:
            await cycle.send(message)

    return script


def test_a_whole_answer_is_one_write() -> None:
    pipe = answer(sending(start(LENGTH), body(b"ok")))
    assert pipe.writes == [b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\n\r\nok"]
    assert not pipe.closed


def test_the_head_of_a_stream_goes_with_its_first_piece() -> None:
    pipe = answer(sending(start(), body(b"one", more=True), body(b"three", more=True), body()))
    assert pipe.writes == [
        b"HTTP/1.1 200 OK\r\ndate: today\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
        b"5\r\nthree\r\n",
        b"0\r\n\r\n",
    ]


def test_the_head_of_a_stream_does_not_wait_for_a_slow_piece() -> None:
    async def slow(cycle: Cycle) -> None:
        await cycle.send(start())
        await asyncio.sleep(0.01)
        await cycle.send(body(b"one"))

    pipe = answer(slow)
    assert pipe.writes == [
        b"HTTP/1.1 200 OK\r\ndate: today\r\ntransfer-encoding: chunked\r\n\r\n",
        b"3\r\none\r\n0\r\n\r\n",
    ]


def test_an_empty_piece_writes_nothing() -> None:
    async def slow(cycle: Cycle) -> None:
        await cycle.send(start())
        await asyncio.sleep(0.01)
        await cycle.send(body(b"", more=True))
        await cycle.send(body(b"one"))

    assert len(answer(slow).writes) == 2


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(status: int) -> None:
    (written,) = answer(sending(start(status=status), body())).writes
    assert b"transfer-encoding" not in written
    assert written.endswith(b"\r\n\r\n")


def test_a_head_is_asked_for_without_its_body() -> None:
    (written,) = answer(sending(start(LENGTH), body(b"ok")), method="HEAD").writes
    assert written.endswith(b"content-length: 2\r\n\r\n")


def test_a_connection_that_is_not_kept_says_so_once_and_closes() -> None:
    for script in (sending(start(LENGTH), body(b"ok")), sending(start(LENGTH, (b"connection", b"close")), body(b"ok"))):
        pipe = answer(script, keep_alive=False)
        assert pipe.writes[0].count(b"connection: close\r\n") == 1
        assert pipe.closed


def test_an_application_may_end_the_connection() -> None:
    pipe = answer(sending(start(LENGTH, (b"connection", b"Close")), body(b"ok")))
    assert pipe.closed


def test_nothing_is_written_to_a_client_that_left() -> None:
    async def gone(cycle: Cycle) -> None:
        await cycle.send(start())
        cycle.disconnected = True
        await asyncio.sleep(0)
        await cycle.send(body(b"one"))

    assert answer(gone).writes == []


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_header_cannot_hold_another(value: bytes, place: int) -> None:
    header = (value, b"v") if place == 0 else (b"x-name", value)
    with pytest.raises(RuntimeError, match="end of a line"):
        answer(sending(start(LENGTH, header), body(b"ok")))


@pytest.mark.parametrize(
    "messages",
    [
        (body(b"ok"),),
        (start(LENGTH), start(LENGTH)),
        (start(LENGTH), body(b"ok"), body(b"ok")),
        (start(LENGTH), body(b"o")),
        (start(LENGTH), body(b"o", more=True), body(b"oo")),
        ({"type": "websocket.send"},),
    ],
    ids=["no head", "two heads", "two ends", "too short", "too long", "another protocol"],
)
def test_an_application_that_breaks_the_protocol_is_told(messages: tuple[Any, ...]) -> None:
    with pytest.raises(RuntimeError):
        answer(sending(*messages))
