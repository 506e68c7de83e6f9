"""Overlays: what an environment has otherwise, merged, checked and rendered with where each value came from."""

from __future__ import annotations

import json

import pytest

from omniroute import catalog, cli
from omniroute.config import bundle, overlay
from omniroute.document import Document
from omniroute.errors import ConfigError

BASE = """\
version: 1
include: [more.yaml]
server: {port: 8000, body_limit: 5MiB}
providers:
  demo: {type: demo}
aliases: {fast: demo/echo, slow: demo/agent}
combos:
  coding:
    targets: [demo/echo, demo/agent]
    retry: {attempts: 1, delay: 1s}
"""
MORE = "limits:\n  standard: {requests: 60/1m, always: true}\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A function that writes an overlay called `prod`; the main file is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMNIROUTE_CONFIG", "omniroute.yaml")
    (tmp_path / "overlays").mkdir()
    (tmp_path / "omniroute.yaml").write_text(BASE)
    (tmp_path / "more.yaml").write_text(MORE)

    def write(text: str):
        (tmp_path / "overlays" / "prod.yaml").write_text(text)
        return tmp_path / "omniroute.yaml"

    return write


def merged(path):
    return overlay.read(path, "prod", catalog.load())


def findings(path):
    with pytest.raises(ConfigError) as caught:
        merged(path)
    name = str(path.parent)
    return [
        f"{each.file.removeprefix(name + '/')}:{each.line}:{each.col} {each.code}" for each in caught.value.problems
    ]


def test_maps_are_merged_by_key_and_everything_else_is_replaced(files):
    read = merged(files("server: {port: 9000}\ncombos: {coding: {targets: [demo/agent]}}\n"))
    assert (read.spec.server.port, read.spec.server.body_limit) == (9000, "5MiB")
    assert read.spec.combos["coding"].targets == ("demo/agent",)
    assert read.spec.combos["coding"].retry.delay == "1s"
    assert set(read.spec.limits) == {"standard"}


def test_remove_takes_keys_away(files):
    read = merged(files("aliases: {$remove: [slow]}\ncombos: {coding: {$remove: [retry]}}\n"))
    assert set(read.spec.aliases) == {"fast"}
    assert read.spec.combos["coding"].retry is None


def test_replace_puts_a_map_in_the_place_of_another(files):
    read = merged(
        files("combos: {coding: {$replace: true, targets: [fast]}}\naliases: {$replace: true, fast: demo/agent}\n")
    )
    assert dict(read.spec.aliases) == {"fast": "demo/agent"}
    assert read.spec.combos["coding"].retry is None


def test_mistakes_are_told_where_they_stand_in_the_overlay(files):
    path = files("server:\n  port: 99999\n  hots: x\naliases: {fast: [1]}\n")
    assert findings(path) == [
        "overlays/prod.yaml:2:9 OR106",
        "overlays/prod.yaml:3:3 OR101",
        "overlays/prod.yaml:4:17 OR103",
    ]
    assert findings(files("aliases: {fast: dmo/echo}\n")) == ["overlays/prod.yaml:1:17 OR202"]


def test_what_an_overlay_breaks_elsewhere_is_told_there_with_its_name(files):
    path = files(
        "aliases: {$remove: [fast], new: slow}\ncombos: {other: {targets: [demo/echo]}}\nproviders: {demo: {$replace: true}}\n"
    )
    (path.parent / "omniroute.yaml").write_text(BASE.replace("[demo/echo, demo/agent]", "[fast, demo/agent]"))
    with pytest.raises(ConfigError) as caught:
        merged(path)
    problem = caught.value.problems[0]
    assert (problem.code, problem.line) == ("OR202", 9)
    assert "overlays/prod.yaml is merged over this" in problem.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("aliases: {$remove: [nothing]}\n", "overlays/prod.yaml:1:20 OR101"),
        ("aliases: {$remove: [fast], fast: demo/agent}\n", "overlays/prod.yaml:1:20 OR101"),
        ("aliases: {$remove: fast}\n", "overlays/prod.yaml:1:20 OR103"),
        ("aliases: {$replace: 1}\n", "overlays/prod.yaml:1:21 OR103"),
        ("combos: {coding: {targets: [{model: fast, $remove: [a]}]}}\n", "overlays/prod.yaml:1:52 OR103"),
        ("include: [x.yaml]\n", "overlays/prod.yaml:1:1 OR011"),
        ("aliases: {fast: \n", "overlays/prod.yaml:1:17 OR004"),
        ("version: 2\n", "overlays/prod.yaml:1:10 OR104"),
    ],
)
def test_what_an_overlay_cannot_say(files, text, found):
    assert findings(files(text)) == [found]


def test_an_overlay_that_is_not_there_is_told_with_those_that_are(files):
    path = files("server: {}\n")
    for name in ("pord", "../overlays/prod", "", "x"):
        if name:
            with pytest.raises(ConfigError) as caught:
                overlay.read(path, name, catalog.load())
            assert caught.value.problems[0].code == "OR001"
            assert "prod" in caught.value.problems[0].hint


def test_what_is_rendered_is_the_same_configuration_in_one_file(files, capsys, tmp_path):
    path = files("server: {port: 9000}\naliases: {$remove: [slow]}\n")
    for more in ([], ["--origins"]):
        assert cli.main(["render", "--env", "prod", *more]) == 0
        rendered = tmp_path / "rendered.yaml"
        rendered.write_text(capsys.readouterr().out)
        again = bundle.read(rendered, catalog.load()).spec
        wanted = merged(path).spec
        assert again == wanted
    assert cli.main(["fmt", "--check", str(rendered)]) == 0


def test_each_value_has_the_place_behind_it_that_it_came_from(files, capsys):
    files("server:\n  port: 9000\n")
    assert cli.main(["render", "--env", "prod", "--origins"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "port: 9000  # overlays/prod.yaml:2" in lines
    assert "body_limit: 5MiB  # omniroute.yaml:3" in lines
    assert "requests: 60/1m  # more.yaml:2" in lines
    assert cli.main(["render", "--env", "prod", "--json"]) == 0
    values = {each["path"]: each for each in json.loads(capsys.readouterr().out)["values"]}
    assert values["server.port"] == {"path": "server.port", "value": 9000, "where": "overlays/prod.yaml:2"}
    assert values["combos.coding.targets"]["where"] == "omniroute.yaml:9"


def test_rendering_without_an_overlay_resolves_the_includes(files, capsys):
    files("")
    assert cli.main(["render"]) == 0
    data = Document.parse(capsys.readouterr().out, "rendered").data
    assert "include" not in data
    assert data["limits"] == {"standard": {"requests": "60/1m", "always": True}}


def test_validate_explain_and_graph_read_through_an_overlay(files, capsys):
    files("aliases: {fast: demo/agent}\nserver: {port: 9000}\n")
    assert cli.main(["validate", "--env", "prod", "--strict"]) == 0
    assert cli.main(["explain", "config", "server.port", "--env", "prod"]) == 0
    assert "overlays/prod.yaml:2" in capsys.readouterr().out
    assert cli.main(["graph", "--env", "prod", "--focus", "fast"]) == 0
    assert "-> model demo/agent" in capsys.readouterr().out
    files("server: {prot: 1}\n")
    for verb in (["validate"], ["render"], ["graph"]):
        assert cli.main([*verb, "--env", "prod"]) == 1
    assert cli.main(["validate"]) == 0
