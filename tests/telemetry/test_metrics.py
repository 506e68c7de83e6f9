"""What Prometheus sees: every metric documented, named as its own tools want it, and true."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.eventually import until
from support.gateway import Gateway
from support.prometheus import Prometheus, tool
from support.upstream import Asked, Script, Upstream, whole

from omniroute.telemetry.table import METRICS, PREFIX

OBSERVABILITY = Path(__file__).parents[2] / "examples" / "observability"
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
}
CONFIG = """\
version: 1
server: {{data_dir: "{{data_dir}}"}}
auth: {{require_login: true}}
providers:
  bad: {{type: openai-compatible, base_url: "{url}/bad/v1", connections: {{main: {{}}}}, models: {{m: {{price: {{input: 1, output: 2}}}}}}}}
  good: {{type: openai-compatible, base_url: "{url}/v1", connections: {{main: {{}}}}, models: {{m: {{price: {{input: 1, output: 2}}}}}}}}
combos: {{coding: {{targets: [bad/m, good/m]}}}}
keys:
  team: {{digest: "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", roles: [client, admin.read], budgets: [team], limits: [team]}}
  plain: {{digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
budgets: {{team: {{limit: 5, period: total}}}}
limits: {{team: {{requests: 100/1h, per: key}}}}
{more}
"""
KEY, PLAIN = "secret", "test"  # whose digests stand above


def provider(asked: Asked) -> Script:
    return whole({"error": {"message": "no"}}, 500) if asked.path.startswith("/bad") else whole(ANSWER)


def get(gateway: Gateway, path: str, key: str | None = KEY, **headers: str) -> tuple[int, str]:
    shown = {"authorization": f"Bearer {key}"} if key else {}
    asked = urllib.request.Request(gateway.url + path, headers=shown | headers)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def chat(gateway: Gateway, model: str, key: str | None = KEY, **headers: str) -> int:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    shown = {"authorization": f"Bearer {key}"} if key else {}
    asked = urllib.request.Request(
        f"{gateway.url}/v1/chat/completions", body, {"content-type": "application/json"} | shown | headers
    )
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            answer.read()  # who leaves before the end is a client that left
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def samples(gateway: Gateway) -> dict[str, list[tuple[dict[str, str], float]]]:
    status, page = get(gateway, "/metrics")
    assert status == 200
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(page):
        for one in family.samples:
            found.setdefault(one.name.removeprefix(PREFIX), []).append((one.labels, one.value))
    return found


def value(found: dict[str, Any], name: str, **labels: str) -> float:
    """The sum of the series with these labels."""
    return sum(amount for told, amount in found.get(name, ()) if labels.items() <= told.items())


@pytest.fixture(scope="module")
def upstream():
    with Upstream(provider) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(upstream):
    with Gateway(CONFIG.format(url=upstream.url, more="")) as gateway:
        yield gateway


def test_metrics_are_true_and_a_real_prometheus_reads_them(gateway, tmp_path):
    for _ in range(3):
        assert chat(gateway, "coding") == 200
    assert chat(gateway, "no-such-model") == 404
    found = samples(gateway)
    ours = {"key": "team"}
    assert value(found, "requests_total", code="200", route="coding", **ours) == 3
    assert value(found, "requests_total", code="404", route="", **ours) == 1
    assert value(found, "attempts_total", connection="bad.main", outcome="server_error") == 3
    assert value(found, "attempts_total", connection="good.main", model="m", outcome="success") == 3
    assert value(found, "tokens_total", provider="good", kind="input", **ours) == 3000
    assert value(found, "tokens_total", provider="good", kind="output", **ours) == 300
    assert value(found, "cost_usd_total", provider="good", **ours) == pytest.approx(3 * 0.0012)
    assert value(found, "budget_spent_usd", budget="team") == pytest.approx(3 * 0.0012)
    assert value(found, "budget_limit_usd", budget="team") == 5
    assert value(found, "limit_used", limit="team", measure="requests", subject="team") >= 3
    assert value(found, "request_duration_seconds_count", provider="good") == 3
    assert value(found, "gateway_duration_seconds_count") == 4
    assert value(found, "connection_consecutive_failures", connection="bad.main") == 3
    assert value(found, "config_last_reload_successful") == 1
    assert value(found, "build_info") == value(found, "config_info") == 1
    scraped = gateway.url.removeprefix("http://")
    config = {
        "global": {"scrape_interval": "200ms"},
        "scrape_configs": [
            {
                "job_name": "omniroute",
                "authorization": {"credentials": KEY},
                "static_configs": [{"targets": [scraped]}],
            }
        ],
    }
    with Prometheus(json.dumps(config), tmp_path) as prometheus:
        up = prometheus.until('up{job="omniroute"} == 1')
        assert up[0][0]["instance"] == scraped
        assert prometheus.query('sum(omniroute_requests_total{code="200"})')[0][1] == 3
        assert prometheus.query("omniroute_tokens_total{kind='input'}")[0][1] == 3000
        assert prometheus.query("process_resident_memory_bytes")[0][1] > 10_000_000
        _every_expression_is_one(prometheus)


def _every_expression_is_one(prometheus: Prometheus) -> None:
    """Those of the dashboard: Prometheus reads each, and runs each."""
    dashboard = json.loads((OBSERVABILITY / "grafana" / "omniroute.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [one["expr"] for one in dashboard["annotations"]["list"]]
    assert len(expressions) > 20
    for text in expressions:
        plain = text.replace("$__rate_interval", "1m").replace("$instance", ".*")
        assert "$" not in plain
        prometheus.query(plain)


def test_dashboard_and_rules_name_only_metrics_that_exist():
    known = {one.full for one in METRICS}
    known |= {f"{one.full}{end}" for one in METRICS if one.kind == "histogram" for end in ("_bucket", "_sum", "_count")}
    files = [
        *OBSERVABILITY.glob("*.rules.yml"),
        OBSERVABILITY / "rules.test.yml",
        *OBSERVABILITY.glob("grafana/*.json"),
    ]
    assert len(files) == 4
    for file in files:
        named = set(re.findall(r"\bomniroute_\w+", file.read_text()))
        assert named, file
        assert named <= known, file


def test_rules_hold_what_their_own_tests_say():
    promtool = tool("promtool")
    for command in (
        ["check", "rules", "recording.rules.yml", "alerts.rules.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
        ["test", "rules", "rules.test.yml"],
    ):
        ended = subprocess.run([promtool, *command], cwd=OBSERVABILITY, capture_output=True, text=True, timeout=30)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_metric_is_in_the_table_with_its_labels_and_is_named_as_promtool_wants_it(gateway):
    _, page = get(gateway, "/metrics")
    table = {one.full: one for one in METRICS}
    exposed = set()
    for family in text_string_to_metric_families(page):
        if not family.name.startswith(PREFIX):
            assert family.name.startswith(("process_", "python_"))
            continue
        row = table.get(family.name) or table[f"{family.name}_total"]
        exposed.add(row.full)
        assert family.documentation == row.help
        for one in family.samples:
            assert set(one.labels) - {"le"} == set(row.labels)
    assert exposed == set(table)
    ended = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, timeout=30
    )
    told = [line for line in ended.stderr.splitlines() if line.startswith(PREFIX)]
    assert (ended.returncode, told) == (0, [])


def test_no_client_makes_a_series(gateway):
    before = {name: len(found) for name, found in samples(gateway).items()}
    for number in range(30):
        chat(gateway, f"good/made-up-{number}", **{"user-agent": f"evil-{number}", "x-request-id": f"r-{number}"})
        chat(gateway, f"made-up-{number}", key=f"sk-{number}")
    _, page = get(gateway, "/metrics")
    assert "made-up" not in page
    assert "evil" not in page
    after = {name: len(found) for name, found in samples(gateway).items()}
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] > before.get(name, 0)}
    assert all(count <= 20 for count in grown.values()), grown


def test_only_administrators_read_metrics_unless_they_are_public(gateway, upstream):
    assert get(gateway, "/metrics", None)[0] == 401
    assert get(gateway, "/metrics", PLAIN)[0] == 403
    assert get(gateway, "/metrics", host="evil.example.com")[0] == 403
    text = gateway.path.read_text()
    try:
        for setting, status in (("public", 200), ("false", 401)):
            gateway.write(CONFIG.format(url=upstream.url, more=f"telemetry: {{metrics: {setting}}}"))
            gateway.process.send_signal(1)
            until(lambda status=status: get(gateway, "/metrics", None)[0] == status)
        until(lambda: get(gateway, "/metrics")[0] == 404)
    finally:
        gateway.write(text)
        gateway.process.send_signal(1)
        until(lambda: get(gateway, "/metrics")[0] == 200)


def test_counts_outlive_a_reload_and_names_that_are_gone_are_dropped(upstream):
    with Gateway(CONFIG.format(url=upstream.url, more="")) as gateway:
        assert chat(gateway, "coding") == 200
        assert chat(gateway, "good/m", PLAIN) == 200
        assert value(samples(gateway), "requests_total", key="plain") == 1
        text = gateway.path.read_text()
        gateway.write(re.sub(r"  plain: .*\n", "", text))
        gateway.process.send_signal(1)
        until(lambda: value(samples(gateway), "config_reloads_total", outcome="changed") == 1)
        found = samples(gateway)
        assert value(found, "requests_total", key="team", route="coding") == 1
        assert value(found, "requests_total", key="plain") == 0
        gateway.write(text + "nonsense: 1\n")
        gateway.process.send_signal(1)
        until(lambda: value(samples(gateway), "config_last_reload_successful") == 0)
        found = samples(gateway)
        assert value(found, "config_findings", severity="error") == 1
        assert value(found, "config_reloads_total", outcome="refused") >= 1
        assert value(found, "requests_total", key="team") == 1
