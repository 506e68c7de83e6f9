"""Scenarios run by the gateway's own functions, and tell what they find."""

from __future__ import annotations

import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from omniroute import catalog
from omniroute.config import bundle
from omniroute.scenarios import junit, runner, shown
from omniroute.scenarios.case import cases

HERE = """\
version: 1
providers:
  openai:
    connections:
      team: {api_key: "${env:NOWHERE}"}
      backup: {api_key: "${env:NOWHERE}", priority: 2}
  anthropic: {connections: {main: {api_key: "${env:NOWHERE}"}}}
  demo: {}
aliases: {fast: openai/gpt-5-mini}
combos:
  coding:
    targets: [anthropic/claude-opus-4-6, openai/gpt-5.4, demo/echo]
    retry: {attempts: 1, delay: 20s, on: [timeout]}
  turns: {strategy: round-robin, targets: [demo/echo, openai/gpt-5.4]}
keys:
  a: {digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", tags: {region: eu}}
  b:
    digest: "sha256:1b4f0e9851971998e732078544c96b36c3d01cedf7caa332359d6f1d83567014"
    allow: [fast]
    expires: 2026-06-30
  c:
    digest: "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
    budgets: [small]
    limits: [keys]
budgets:
  small: {limit: 5, period: daily}
limits:
  keys: {requests: 2/1m, per: key}
  models: {requests: 20/1m, per: model, always: true}
"""


def play(tmp_path: Path, text: str) -> runner.Report:
    file = tmp_path / "omniroute.yaml"
    file.write_text(HERE + text)
    known = catalog.load()
    read = bundle.read(file, known)
    chosen = list(cases(read))
    return runner.covered(runner.run(read, known, chosen), read, known, chosen)


def one(tmp_path: Path, given: str, expect: str = "{}") -> runner.Result:
    (result,) = play(tmp_path, f"scenarios:\n  it: {{given: {given}, expect: {expect}}}\n").results
    return result


PASSING = {
    "the order of a combo": ("{model: coding}", "{order: [anthropic/claude-opus-4-6, openai/gpt-5.4, demo/echo]}"),
    "what an alias leads to": ("{model: fast}", "{route: openai/gpt-5-mini, target: openai/gpt-5-mini}"),
    "a model that is not there": ("{model: nothing}", "{status: 404}"),
    "a provider that fails": (
        "{model: coding, fails: {anthropic: overloaded}}",
        "{tried: [anthropic/claude-opus-4-6, openai/gpt-5.4], headers: {X-OmniRoute-Attempts: '2'}}",
    ),
    "a connection that fails": (
        "{model: openai/gpt-5.4, fails: {openai.team: auth}}",
        "{tried: [openai/gpt-5.4, openai/gpt-5.4], connection: openai.backup}",
    ),
    "a failure that passes, after a pause of minutes": (
        "{model: coding, fails: {anthropic: [timeout, ok]}}",
        "{tried: [anthropic/claude-opus-4-6, anthropic/claude-opus-4-6], target: anthropic/claude-opus-4-6}",
    ),
    "an answer that breaks off": ("{model: coding, fails: {anthropic: truncated}}", "{target: openai/gpt-5.4}"),
    "an answer that is none": ("{model: coding, fails: {anthropic: malformed}}", "{target: openai/gpt-5.4}"),
    "a request that nobody would take": (
        "{model: coding, fails: {anthropic: invalid}}",
        "{status: 400, tried: [anthropic/claude-opus-4-6]}",
    ),
    "a provider that is too slow": (
        "{model: coding, slow: {anthropic: 1h}}",
        "{tried: [anthropic/claude-opus-4-6, anthropic/claude-opus-4-6, openai/gpt-5.4]}",
    ),
    "an open circuit": ("{model: coding, health: {anthropic: open}}", "{order: [openai/gpt-5.4, demo/echo]}"),
    "a circuit that is probed": (
        "{model: coding, health: {anthropic.main: half-open}}",
        "{target: anthropic/claude-opus-4-6}",
    ),
    "a connection that cools down": (
        "{model: openai/gpt-5.4, health: {openai: cooling}}",
        "{status: 429, code: all_connections_cooling, tried: []}",
    ),
    "a rotation": ("{model: turns, times: 2}", "{order: [openai/gpt-5.4, demo/echo]}"),
    "a budget that is spent": ("{model: fast, key: c, budgets: {small: 5}}", "{status: 429, denied: small, tried: []}"),
    "a budget that has something left": ("{model: fast, key: c, budgets: {small: 4}}", "{status: 200}"),
    "a limit of a key": ("{model: fast, key: c, exhausted: [keys]}", "{status: 429, denied: keys}"),
    "a limit of targets": (
        "{model: coding, exhausted: [models]}",
        "{status: 429, denied: 'limit models: 20 requests in 60 s for model anthropic/claude-opus-4-6'}",
    ),
    "a limit that is reached": ("{model: fast, key: c, times: 3}", "{status: 429}"),
    "a limit that is not": ("{model: fast, key: c, times: 3, every: 1m}", "{status: 200}"),
    "a key": ("{model: fast, key: b}", "{target: openai/gpt-5-mini}"),
    "a key's list": ("{model: coding, key: b}", "{status: 403, code: model_not_allowed}"),
    "a key on its last day": ("{model: fast, key: b, at: '2026-06-30T23:59:59Z'}", "{status: 200}"),
    "a key after its last day": ("{model: fast, key: b, at: '2026-07-01T00:00:00Z'}", "{code: expired_api_key}"),
    "a cost": ("{model: openai/gpt-5.4, usage: {input: 1000, output: 100}}", "{cost: 0.004}"),
    "losses": ("{model: openai/gpt-5.4, format: gemini, body: {safetySettings: []}}", "{losses: [safetySettings]}"),
    "what is sent": ("{model: openai/gpt-5.4, prompt: Hi}", "{sent: {messages.0.content: Hi, model: gpt-5.4}}"),
    "vectors": (
        "{model: openai/text-embedding-3-small, operation: embeddings, format: ollama}",
        "{target: openai/text-embedding-3-small}",
    ),
}


@pytest.mark.parametrize(("given", "expect"), PASSING.values(), ids=list(PASSING))
def test_a_scenario_passes_where_the_gateway_does_what_it_expects(tmp_path, given, expect):
    result = one(tmp_path, given, expect)
    assert result.differences == ()
    assert result.seconds < 1


FAILING = {
    "route": ("{model: fast}", "{route: coding}"),
    "order": ("{model: coding}", "{order: [demo/echo]}"),
    "tried": ("{model: coding}", "{tried: [demo/echo]}"),
    "target": ("{model: coding}", "{target: demo/echo}"),
    "connection": ("{model: openai/gpt-5.4}", "{connection: openai.backup}"),
    "status": ("{model: nothing}", "{}"),
    "code": ("{model: nothing}", "{code: something_else}"),
    "denied": ("{model: nothing}", "{denied: something else}"),
    "cost": ("{model: openai/gpt-5.4}", "{cost: 7}"),
    "losses": ("{model: openai/gpt-5.4}", "{losses: [top_k]}"),
    "headers.x-omniroute-attempts": ("{model: fast}", "{headers: {x-omniroute-attempts: '2'}}"),
    "sent.messages.1.content": ("{model: fast}", "{sent: {messages.1.content: Hi}}"),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_scenario_fails_by_what_differs_and_by_that_alone(tmp_path, what):
    result = one(tmp_path, *FAILING[what])
    assert [difference.what for difference in result.differences] == [what]


@pytest.mark.parametrize("expect", ["{denied: no}", "{code: nope}"])
def test_an_answer_is_no_refusal(tmp_path, expect):
    differences = one(tmp_path, "{model: fast}", expect).differences
    assert "status" in [difference.what for difference in differences]


@pytest.mark.parametrize("stream", ["true", "false"])
@pytest.mark.parametrize("form", ["openai_chat", "openai_responses", "anthropic", "gemini", "ollama"])
@pytest.mark.parametrize("model", ["openai/gpt-5.4", "anthropic/claude-opus-4-6", "demo/echo"])
def test_every_client_format_is_played_before_every_upstream(tmp_path, form, stream, model):
    given = f"{{model: {model}, format: {form}, stream: {stream}, has: [tools, images, system], max_tokens: 50}}"
    assert one(tmp_path, given, f"{{target: {model}}}").differences == ()


@pytest.mark.parametrize(
    "kind",
    ["timeout", "connect", "overloaded", "server_error", "rate_limited", "auth", "quota", "malformed", "truncated"],
)
def test_every_kind_of_failure_leads_on_to_the_next_and_is_told_as_what_it_is(tmp_path, kind):
    result = one(tmp_path, f"{{model: anthropic/claude-opus-4-6, fails: {{anthropic: {kind}}}}}", "{status: 599}")
    assert result.outcome.status >= 400
    result = one(tmp_path, f"{{model: coding, fails: {{anthropic: {kind}}}}}")
    assert result.outcome.target == "openai/gpt-5.4"


POLICIES = """\
policies:
  eu:
    match: {tags: {region: eu}}
    rules:
      - deny_models: {patterns: ["anthropic/*"], reason: EU data stays in the EU}
      - max_tokens: {output: 100}
      - deny_models: {patterns: ["openai/o1"]}
    tests:
      - {given: {key: a, model: coding}, expect: {order: [openai/gpt-5.4, demo/echo]}}
      - name: the answer is short
        given: {key: a, model: openai/gpt-5.4}
        expect: {sent: {max_completion_tokens: 100}}
"""


def test_policies_are_tested_and_the_rule_that_no_test_would_miss_is_told(tmp_path):
    report = play(tmp_path, POLICIES)
    assert [result.name for result in report.results] == ["eu: 1", "eu: the answer is short"]
    assert report.failed == 0
    assert [(rule.policy, rule.rule) for rule in report.unmissed] == [("eu", "deny_models")]
    line = (HERE + POLICIES).splitlines()[report.unmissed[0].line - 1]
    assert "openai/o1" in line
    told = shown.text(report)
    assert f":{report.unmissed[0].line}: untested no scenario would miss `deny_models` of eu" in told
    assert told.endswith("2 passed")


def test_a_rule_that_is_gone_fails_its_test(tmp_path):
    report = play(tmp_path, POLICIES.replace("      - max_tokens: {output: 100}\n", ""))
    assert [result.passed for result in report.results] == [True, False]
    told = shown.text(report)
    assert "failed eu: the answer is short" in told
    assert "sent.max_completion_tokens: expected 100, got nothing" in told
    assert '"messages"' in told
    assert told.endswith("1 passed, 1 failed")


def test_scenarios_know_nothing_of_each_other(tmp_path):
    report = play(
        tmp_path,
        """\
scenarios:
  first: {given: {model: coding, fails: {anthropic: auth}}, expect: {target: openai/gpt-5.4}}
  second: {given: {model: coding}, expect: {target: anthropic/claude-opus-4-6}}
""",
    )
    assert report.failed == 0


def test_junit_names_files_lines_and_reasons(tmp_path):
    report = play(tmp_path, POLICIES.replace("output: 100", "output: 90"))
    root = ET.fromstring(junit.xml(report))
    assert root.attrib["tests"] == "2"
    assert root.attrib["failures"] == "1"
    good, bad = root.iter("testcase")
    assert good.find("failure") is None
    failure = bad.find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "sent.max_completion_tokens: expected 100, got 90"
    line = (HERE + POLICIES).splitlines()[int(bad.attrib["line"]) - 1]
    assert "the answer is short" in line


def test_a_thousand_scenarios_take_less_than_two_seconds_of_work(tmp_path):
    many = "".join(
        f"  s{number}: {{given: {{model: coding, key: a, has: [tools], fails: {{anthropic: rate_limited}}}}, "
        "expect: {order: [anthropic/claude-opus-4-6, openai/gpt-5.4, demo/echo], target: openai/gpt-5.4}}\n"
        for number in range(1000)
    )
    began = time.process_time()
    report = play(tmp_path, f"scenarios:\n{many}")
    assert time.process_time() - began < 2
    assert (len(report.results), report.failed) == (1000, 0)
