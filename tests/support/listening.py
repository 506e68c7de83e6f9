"""The gateway's own listener in this process, in front of an application that only notes what reaches it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import closing
from typing import Any, Self

import msgspec
import uvicorn

from omniroute.listener import Listener, sweep_forever
from omniroute.relay.guard import Guard


class Listening:
    """Runs in a thread of its own; use as a context manager. `/slow` answers when `go` is set, `/early` before it has
    read its body, `/flood` with more than anybody wants."""

    def __init__(self, flood: int = 0, keep_alive: int = 30) -> None:
        self.reached: list[tuple[str, str, bytes]] = []
        self.cancelled: list[str] = []
        self.go = threading.Event()
        self.flood = flood
        self.flooded = 0
        config = uvicorn.Config(
            self._application,
            port=0,
            loop="uvloop",
            http=Listener,
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            lifespan="off",
            log_config=None,
            server_header=False,
            timeout_keep_alive=keep_alive,
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self.server.config.get_loop_factory()) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        sweep = asyncio.ensure_future(sweep_forever(self.server.server_state.connections))
        await self.server.serve()
        sweep.cancel()

    def __enter__(self) -> Self:
        self._thread.start()
        while not self.server.started:
            time.sleep(0.005)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join()

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        guard = Guard(scope, asyncio.get_running_loop())
        try:
            await self._answer(scope, receive, send, guard)
        except asyncio.CancelledError:
            assert guard.caught()
            self.cancelled.append(f"{scope['path']} {guard.reason}")
            if guard.reason == "body_timeout":
                await _say(send, 408, scope["path"])
        finally:
            guard.release()

    async def _answer(self, scope: Any, receive: Any, send: Any, guard: Guard) -> None:
        path, body, more = scope["path"], b"", scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] != "http.request":
                self.cancelled.append(f"{path} broke off")
                return
            body += message["body"]
            guard.body_size = len(body)
            more = message["more_body"]
        guard.body_is_here()
        self.reached.append((scope["method"], path, body))
        while path == "/slow" and not self.go.is_set():
            await asyncio.sleep(0.005)
        if path == "/flood":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(self.flood):
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                self.flooded += 65536
            await send({"type": "http.response.body", "body": b""})
            return
        await _say(send, 200, path)


async def _say(send: Any, status: int, path: str) -> None:
    told = msgspec.json.encode({"path": path})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(told))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": told})


def talk(port: int, *pieces: bytes, gap: float = 0.0, seconds: float = 3.0) -> bytes:
    """Says the pieces and gives all that comes back until the other side closes; fails if it does not within the time
    from the last piece on."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=seconds)) as one:
        heard = b""
        try:
            for piece in pieces:
                one.sendall(piece)
                time.sleep(gap)
            while data := one.recv(65536):
                heard += data
        except (ConnectionResetError, BrokenPipeError):
            pass
        return heard


def answers(heard: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers in what came back; fails where it is anything but whole answers."""
    found = []
    while heard:
        head, mark, heard = heard.partition(b"\r\n\r\n")
        assert mark, head
        line, *rest = head.decode("ascii").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rest)}
        size = int(headers["content-length"])
        assert len(heard) >= size
        body, heard = heard[:size], heard[size:]
        found.append((int(status), headers, body))
    return found
