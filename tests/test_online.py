"""`omniroute validate --online`: what only the providers can tell becomes findings with a place, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.upstream import Asked, Script, Upstream, whole

from omniroute import cli

CONFIG = """\
version: 1
server: {data_dir: DATA}
providers:
  lab:
    type: openai-compatible
    base_url: URL/v1
    connections:
      good: {api_key: "${env:GOOD_KEY}"}
      bad: {api_key: "${env:BAD_KEY}"}
    models:
      here: {context: 1000}
      gone: {context: 1000}
  off:
    type: openai-compatible
    base_url: http://127.0.0.1:9/v1
    connections: {main: {}}
    models: {any: {}}
  demo: {}
aliases: {quick: lab/gone}
combos:
  both: {targets: [lab/here, lab/gone]}
"""


def answer(asked: Asked) -> Script:
    if asked.headers.get("authorization") != "Bearer sk-good":
        return whole({"error": {"message": "no such key: sk-bad", "type": "invalid_request_error"}}, 401)
    if asked.path.endswith("/models"):
        return whole({"object": "list", "data": [{"id": "here", "object": "model"}, {"id": "more", "object": "model"}]})
    choice = {"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}
    return whole({"id": "c", "object": "chat.completion", "created": 1, "model": "here", "choices": [choice]})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GOOD_KEY", "sk-good")
    monkeypatch.setenv("BAD_KEY", "sk-bad")
    with Upstream(answer) as upstream:
        path = tmp_path / "omniroute.yaml"
        path.write_text(CONFIG.replace("URL", upstream.url).replace("DATA", str(tmp_path / "data")))
        yield path


def found(file: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict[str, object]]]:
    code = cli.main(["validate", "--config", str(file), "--output", "json", *options])
    return code, msgspec.json.decode(capsys.readouterr().out)


def test_without_it_nobody_is_asked_and_nothing_found(file: Path, capsys):
    assert found(file, capsys) == (0, [])


def test_each_finding_stands_where_its_connection_or_model_does(file: Path, capsys):
    code, rows = found(file, capsys, "--online")
    assert code == 1
    assert [(row["code"], row["severity"], row["path"], row["line"]) for row in rows] == [
        ("OR501", "error", "providers.lab.connections.bad", 9),
        ("OR502", "warning", "providers.lab.models.gone", 12),
        ("OR501", "error", "providers.off.connections.main", 16),
        ("OR502", "warning", "aliases.quick", 19),
        ("OR502", "warning", "combos.both", 21),
    ]
    assert "(auth)" in str(rows[0]["message"])
    assert "(connect)" in str(rows[2]["message"])
    assert "sk-good" not in str(rows)


def test_nothing_is_left_behind(file: Path, capsys):
    before = sorted(path.name for path in file.parent.iterdir())
    found(file, capsys, "--online")
    assert sorted(path.name for path in file.parent.iterdir()) == before


def test_a_secret_that_is_not_there_is_told_before_anybody_is_asked(file: Path, capsys, monkeypatch):
    monkeypatch.delenv("GOOD_KEY")
    code, rows = found(file, capsys, "--online")
    assert (code, [row["code"] for row in rows]) == (1, ["OR111"])


@pytest.mark.parametrize("output", ["text", "sarif", "gitlab", "junit", "github"])
def test_every_form_tells_them(file: Path, capsys, output: str):
    assert cli.main(["validate", "--config", str(file), "--online", "--output", output]) == 1
    printed = capsys.readouterr()
    assert "OR502" in printed.out + printed.err
