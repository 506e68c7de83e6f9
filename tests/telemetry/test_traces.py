"""Spans as a collector gets them: OTLP read by the protocol's own types."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from support.collector import Collector, values
from support.eventually import until
from support.gateway import Gateway
from support.upstream import Upstream
from test_metrics import CONFIG, chat, provider

from omniroute import catalog
from omniroute.config import bundle
from omniroute.errors import ConfigError
from omniroute.state.trace import Trace, begin, header, parse
from omniroute.telemetry import export

TRACES = 'telemetry: {{traces: {{otlp: "{url}", headers: {{x-token: "${{env:OTLP_TOKEN}}"}}, ratio: {ratio}}}}}'
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def config(upstream: Upstream, collector: Collector, ratio: float = 1.0) -> str:
    return CONFIG.format(url=upstream.url, more=TRACES.format(url=collector.url, ratio=ratio))


def test_a_request_is_a_span_with_one_of_each_attempt_below_in_the_trace_of_its_caller():
    asked = []

    def watched(one):
        asked.append(one)
        return provider(one)

    with Collector() as collector, Upstream(watched) as upstream:
        with Gateway(config(upstream, collector), OTLP_TOKEN="tok-1") as gateway:
            before = time.time_ns()
            assert chat(gateway, "coding", traceparent=PARENT) == 200
            after = time.time_ns()
            spans = collector.until(3)
            assert chat(gateway, "no-such") == 404
            other = collector.until(4)[3]
        assert collector.headers[0]["x-token"] == "tok-1"
        assert collector.resources[0]["service.name"] == "omniroute"
    bad, good, ours = spans[:3]
    assert {one.trace_id.hex() for one in (bad, good, ours)} == {PARENT.split("-")[1]}
    assert ours.parent_span_id.hex() == PARENT.split("-")[2]
    assert bad.parent_span_id == good.parent_span_id == ours.span_id
    assert (ours.kind, bad.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert [one.headers["traceparent"] for one in asked] == [
        f"00-{ours.trace_id.hex()}-{one.span_id.hex()}-01" for one in (bad, good)
    ]
    slack = 5_000_000  # two clocks: that of the record, and that of durations
    assert before - slack <= ours.start_time_unix_nano <= bad.start_time_unix_nano + slack
    assert bad.start_time_unix_nano < bad.end_time_unix_nano <= good.start_time_unix_nano + slack
    assert good.end_time_unix_nano <= ours.end_time_unix_nano + slack
    assert ours.end_time_unix_nano <= after + slack
    assert (bad.status.code, bad.status.message) == (Status.STATUS_CODE_ERROR, "server_error")
    assert good.status.code == ours.status.code == Status.STATUS_CODE_UNSET
    assert values(bad.attributes)["error.type"] == "server_error"
    told = values(ours.attributes)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.request.model"] == "coding"
    assert told["gen_ai.response.model"] == "m"
    assert told["gen_ai.provider.name"] == "good"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (1000, 100)
    assert told["omniroute.cost.usd"] == pytest.approx(0.0012)
    assert told["omniroute.key"] == "team"
    assert values(good.attributes)["omniroute.connection"] == "good.main"
    assert not any(value == "hi" for one in spans for value in values(one.attributes).values())
    assert other.trace_id != ours.trace_id
    assert values(other.attributes)["http.response.status_code"] == 404


def test_names_are_those_of_the_conventions():
    from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes, http_attributes

    known = {
        value
        for module in (gen_ai_attributes, http_attributes, error_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    source = Path(export.__file__).read_text()

    used = set(re.findall(r'"((?:gen_ai|http|error)\.[a-z_.]+)"', source))
    assert len(used) > 10
    assert used <= known


def test_a_caller_that_is_not_traced_is_not_and_neither_are_more_than_the_share():
    with Collector() as collector, Upstream(provider) as upstream:
        with Gateway(config(upstream, collector, 0), OTLP_TOKEN="t") as gateway:
            assert chat(gateway, "good/m", traceparent=PARENT[:-1] + "0") == 200
            assert chat(gateway, "good/m") == 200
            assert chat(gateway, "good/m", traceparent=PARENT) == 200
            gateway.stop()
        assert len(collector.spans) == 2


def test_a_collector_that_does_not_answer_delays_neither_requests_nor_the_end_for_long_and_a_reload_changes_it():
    with Collector() as first, Collector(slow=True) as slow, Upstream(provider) as upstream:
        with Gateway(config(upstream, first), OTLP_TOKEN="t") as gateway:
            assert chat(gateway, "good/m") == 200
            first.until(2)
            gateway.write(config(upstream, slow))
            gateway.process.send_signal(1)
            until(lambda: "generation 2" in gateway.said())
            began = time.monotonic()
            for _ in range(5):
                assert chat(gateway, "good/m") == 200
            assert time.monotonic() - began < 3
            began = time.monotonic()
            gateway.stop()
            assert time.monotonic() - began < 12
        assert len(first.spans) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        PARENT.upper(),
        PARENT + "-more",
        "ff" + PARENT[2:],
        PARENT[:-1],
    ],
)
def test_what_is_no_traceparent_begins_a_trace(text):
    assert parse(text.encode()) is None
    assert begin(text.encode(), 1.0).parent == 0


def test_a_traceparent_of_a_later_version_counts():
    told = parse(b"01" + PARENT.encode()[2:] + b"-more")
    assert told is not None
    assert header(Trace(told[0], 1, told[1], told[2]), 1) == b"00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01"


def test_the_share_is_kept():
    assert 150 < sum(begin(None, 0.2).sampled for _ in range(1000)) < 250
    assert not any(begin(None, 0.0).sampled for _ in range(100))
    assert all(begin(None, 1.0).sampled for _ in range(100))


def test_traces_without_the_libraries_are_a_problem_that_says_what_to_install(tmp_path, monkeypatch):
    file = tmp_path / "omniroute.yaml"
    file.write_text('version: 1\nproviders: {demo: {type: demo}}\ntelemetry:\n  traces: {otlp: "http://127.0.0.1:1"}\n')
    read = bundle.read(file, catalog.load())
    export.require(read)
    monkeypatch.setattr(export, "_EXTRA", ("no_such_library.sdk",))
    with pytest.raises(ConfigError) as caught:
        export.require(read)
    problem = caught.value.problems[0]
    assert (problem.code, problem.line) == ("OR370", 4)
    assert "pip install 'omniroute[otel]'" in problem.hint


def test_the_libraries_are_imported_only_where_traces_are_configured():
    import subprocess
    import sys

    code = (
        "import omniroute.server, sys; print([n for n in sys.modules if n.startswith(('opentelemetry', 'requests'))])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.strip() == "[]"
