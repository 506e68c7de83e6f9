"""Lines of the log as programs read them."""

from __future__ import annotations

import json
import logging
import sys

from support.eventually import until
from support.gateway import Gateway
from support.upstream import Upstream
from test_metrics import CONFIG, KEY, chat, provider

from omniroute.telemetry.lines import JsonLines

EVIL = 'a\r\n{"level": "ERROR"}\x1b[2J\x9b31m\u2028\u202e"\x00'


def record(message: str, *arguments: object, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("omniroute", logging.INFO, "x.py", 1, message, arguments, None)
    vars(made).update(more)
    return made


def test_an_event_is_one_line_of_printable_json():
    line = JsonLines().format(record("said %s", EVIL))
    assert "\n" not in line
    assert line.isprintable()
    told = json.loads(line)
    assert told["level"] == "INFO"
    assert told["message"].startswith('said a\\r\n{"level"')
    try:
        raise ValueError(EVIL)
    except ValueError:
        line = JsonLines().format(record("failed", exc_info=sys.exc_info()))
    assert line.isprintable()
    assert "ValueError" in json.loads(line)["exception"]


def test_every_line_is_json_and_each_request_has_one_until_a_reload_wants_lines_for_people():
    more = "telemetry: {logs: {format: json, requests: true}}"
    with Upstream(provider) as upstream, Gateway(CONFIG.format(url=upstream.url, more=more)) as gateway:
        assert chat(gateway, "coding", **{"x-request-id": "mine-1"}) == 200
        assert chat(gateway, "made-up\u202e\x1b[2J") == 400
        until(lambda: gateway.said().count("omniroute.requests") == 2)
        lines = [json.loads(line) for line in gateway.said().splitlines()]
        gateway.write(gateway.path.read_text().replace("format: json", "format: text"))
        gateway.process.send_signal(1)
        until(lambda: "generation 2" in gateway.said())
        assert chat(gateway, "coding", **{"x-request-id": "mine-2"}) == 200
        gateway.stop()
        plain = next(line for line in gateway.said().splitlines() if "request_id=mine-2" in line)
        assert " omniroute.requests: " in plain
        assert " provider=good " in plain
        assert " status=200 " in plain
        assert KEY not in gateway.said()
    assert lines[0]["message"].startswith("OmniRoute")
    asked = [line for line in lines if line["logger"] == "omniroute.requests"]
    first, second = asked
    assert first["request_id"] == "mine-1"
    assert (first["key"], first["provider"], first["model"], first["status"]) == ("team", "good", "m", 200)
    assert (first["input_tokens"], first["output_tokens"], first["cost_usd"], first["attempts"]) == (
        1000,
        100,
        0.0012,
        2,
    )
    assert first["ms"] > 0
    assert second["status"] == 400
    assert all(line["time"].endswith("Z") for line in lines)
