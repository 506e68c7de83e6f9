"""A collector of traces: takes OTLP over HTTP as the protocol's own types read it, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE = 15.0


class Collector:
    """Use as a context manager. One that is `slow` takes nothing, ever."""

    def __init__(self, *, slow: bool = False) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._slow = threading.Event() if slow else None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.take(self)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers["content-length"]))
        if self._slow is not None:
            self._slow.wait()
            return
        assert asked.path == "/v1/traces", asked.path
        told = ExportTraceServiceRequest.FromString(
            gzip.decompress(body) if asked.headers["content-encoding"] == "gzip" else body
        )
        self.headers.append({name.lower(): value for name, value in asked.headers.items()})
        for resource in told.resource_spans:
            self.resources.append(values(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans += scope.spans
        asked.send_response(200)
        asked.send_header("content-length", "0")
        asked.end_headers()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._slow is not None:
            self._slow.set()
        self._server.shutdown()
        self._server.server_close()

    def until(self, count: int) -> list[Any]:
        """The spans, as soon as there are so many."""
        ends = time.monotonic() + PATIENCE
        while len(self.spans) < count:
            assert time.monotonic() < ends, f"{len(self.spans)} spans in {PATIENCE:g} s"
            time.sleep(0.02)
        return self.spans


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
