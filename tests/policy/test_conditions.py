"""What policies may ask of a request."""

from __future__ import annotations

from datetime import datetime
from typing import get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest

from omniroute.formats.ir import Chat, Document, Image, Output, Reasoning, Text, Tool, ToolResult, Turn
from omniroute.formats.redaction.patterns import PATTERNS
from omniroute.policy import conditions, redact
from omniroute.policy.clients import FAMILIES, family
from omniroute.policy.hours import Schedule, Window
from omniroute.routing.policies import Supposed
from omniroute.routing.tables import ANONYMOUS


def request(**of: object) -> Supposed:
    return Supposed(principal=ANONYMOUS, **of)  # type: ignore[arg-type]


def at(text: str, zone: str = "Europe/Berlin") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("claude-cli/2.0.14 (external, cli)", "claude-code"),
        ("codex_cli_rs/0.45.0 (Ubuntu 24.4.0; x86_64) xterm", "codex"),
        ("GeminiCLI/0.8.1/gemini-2.5-pro (linux; x64)", "gemini-cli"),
        ("Cline/3.32.0", "cline"),
        ("OpenAI/Python 2.1.0", "openai-sdk"),
        ("AsyncOpenAI/Python 2.1.0", "openai-sdk"),
        ("Anthropic/JS 0.65.0", "anthropic-sdk"),
        ("google-genai-sdk/1.30.0 gl-python/3.11.7", "google-genai-sdk"),
        ("ollama-python/0.6.0 (x86_64 linux) Python/3.11.7", "ollama-sdk"),
        ("Mozilla/5.0 (X11; Linux x86_64) Zed/1.0", "zed"),
        ("curl/8.5.0", "curl"),
        ("notcurl/1", ""),
        ("", ""),
        ("x" * 100_000, ""),
    ],
)
def test_a_client_is_known_by_its_user_agent(agent, name):
    assert family(agent) == name


def test_every_kind_of_client_can_be_named_and_met():
    for name, mark in ((name, f"{name}/1") for name in FAMILIES):
        assert not name.startswith(" ")
        assert conditions.clients([name])(request(agent=mark)) in (
            "",
            f"the client is {family(mark) or 'of no known kind'}",
        )


def test_a_client_may_be_a_pattern_of_its_user_agent():
    condition = conditions.clients(["codex", "my-agent/*"])
    assert condition(request(agent="my-agent/2")) == ""
    assert condition(request(agent="codex/1")) == ""
    assert condition(request(agent="curl/8")) == "the client is curl"
    assert condition(request()) == "the client is of no known kind"


@pytest.mark.parametrize(
    ("ip", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("fe80::1%eth0", False),
        ("11.0.0.1", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_an_address_is_in_a_range(ip, inside):
    told = conditions.ips(["10.0.0.0/8", "2001:db8::/32"])(request(ip=ip))
    assert (told == "") is inside
    assert inside or (ip or "not known") in told


NIGHT = Window(days=["fri"], hours="22:00-06:00", timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("window", "time", "inside"),
    [
        (Window(), "2026-03-01T03:00", True),
        (Window(days=["mon"], timezone="Europe/Berlin"), "2026-03-02T00:00", True),
        (Window(days=["mon"], timezone="Europe/Berlin"), "2026-03-01T23:59", False),
        (Window(hours="09:00-17:00", timezone="Europe/Berlin"), "2026-03-02T09:00", True),
        (Window(hours="09:00-17:00", timezone="Europe/Berlin"), "2026-03-02T17:00", False),
        (Window(hours="09:00-17:00", timezone="UTC"), "2026-03-02T09:30", False),
        (NIGHT, "2026-03-06T22:00", True),
        (NIGHT, "2026-03-07T05:59", True),
        (NIGHT, "2026-03-07T06:00", False),
        (NIGHT, "2026-03-06T05:00", False),
        (NIGHT, "2026-03-07T23:00", False),
        (Window(hours="02:00-03:00", timezone="Europe/Berlin"), "2026-10-25T02:30", True),
        (Window(hours="20:00-24:00", timezone="Europe/Berlin"), "2026-10-25T23:59", True),
    ],
)
def test_a_time_is_in_a_window_where_the_window_is(window, time, inside):
    assert window.contains()(at(time)) is inside
    assert (conditions.time(window)(request(time=at(time))) == "") is inside


def test_a_schedule_refuses_at_other_times_and_says_when_it_serves():
    rule = Schedule(days=["mon"], hours="08:00-18:00", timezone="Europe/Berlin").compiled()
    assert rule.refuse(None, at("2026-03-02T09:00")) is None
    assert rule.refuse(None, at("2026-03-03T09:00")) == "served only mon 08:00-18:00 Europe/Berlin"


def test_a_place_that_is_no_time_zone_is_refused():
    for name in ("Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe", ""):
        with pytest.raises(ValueError, match="no time zone"):
            Window(timezone=name).contains()


@pytest.mark.parametrize(
    ("least", "most", "count", "fits"), [(1, None, 0, False), (None, 9, 9, True), (3, 5, 6, False)]
)
def test_a_prompt_has_a_size(least, most, count, fits):
    assert (conditions.tokens(least, most)(request(tokens=count)) == "") is fits


def test_a_request_has_all_of_what_is_asked_for():
    condition = conditions.has(["tools", "images"])
    assert condition(request(traits=frozenset({"tools", "images", "stream"}))) == ""
    assert condition(request(traits=frozenset({"tools"}))) == "the request has no images"


def test_what_a_chat_has_is_told_of_its_turns_and_of_what_stands_beside_them():
    turn = Turn("user", (Text("a"), Image(url="u"), ToolResult("i", (Document(text="d"),))))
    told = conditions.traits_of(Chat(turns=(turn,)))
    assert told == {"images", "tool_results", "documents"}
    beside = Chat(
        turns=(),
        system=(Text("s"),),
        tools=(Tool("t"),),
        reasoning=Reasoning(effort="low"),
        output=Output("json_object"),
        stream=True,
    )
    assert conditions.traits_of(beside) == {"system", "tools", "reasoning", "structured_output", "stream"}
    assert conditions.traits_of(Chat(turns=(), reasoning=Reasoning(off=True))) == frozenset()


def test_the_schema_names_all_patterns_and_no_others():
    assert get_args(redact.PatternName) == tuple(PATTERNS)


def test_a_redaction_says_what_it_does():
    rule = msgspec.convert(
        {"patterns": ["email"], "expressions": {"staff": "EMP-[0-9]+"}, "in": ["request"], "placeholder": "<{name}>"},
        redact.Redact,
    ).compiled()
    assert rule.says == "redacts email, staff in request"
    (redaction,) = rule.orders.redactions
    assert [one.placeholder for one in redaction.finders] == [b"<EMAIL>", b"<STAFF>"]
    assert (redaction.request, redaction.response, redaction.strict) == (True, False, True)
