"""One connection to a gateway, on which requests go out byte for byte."""

from __future__ import annotations

import socket

from support.gateway import Gateway


class Line:
    """Opened with the first request, and anew where the gateway has closed it."""

    def __init__(self, gateway: Gateway) -> None:
        self._port = gateway.port
        self._socket: socket.socket | None = None

    def status(self, method: str, target: str, *headers: str, body: str = "{}") -> int:
        """0 where the connection was closed without an answer. A body goes with what writes."""
        lines = [f"{method} {target} HTTP/1.1", *headers]
        if method not in ("GET", "HEAD"):
            typed = any(header.lower().startswith("content-type:") for header in headers)
            lines += [f"content-length: {len(body)}", *([] if typed else ["content-type: application/json"])]
        said = "\r\n".join([*lines, "", body if method not in ("GET", "HEAD") else ""]).encode("latin-1")
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), 20)
        self._socket.sendall(said)
        return self._read(self._socket, method)

    def _read(self, line: socket.socket, method: str) -> int:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = line.recv(65536)
            if not piece:
                self.close()
                return 0
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(row.lower().split(b": ", 1) for row in head.split(b"\r\n")[1:])
        size = 0 if method == "HEAD" else int(fields.get(b"content-length", b"0"))
        while len(body) < size:
            body += line.recv(65536)
        if fields.get(b"connection") == b"close":
            self.close()
        return int(head.split(b" ")[1])

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
