"""The types as a schema for editors."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from omniroute.config.schema import schema, schema_text
from omniroute.config.spec.words import is_name, reference, seconds, size

ROOT = Path(__file__).parents[2]


def nodes(node, path=()):
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from nodes(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from nodes(value, (*path, index))


def properties():
    for path, node in nodes(schema()):
        for name, each in node.get("properties", {}).items() if path[-1:] != ("properties",) else ():
            yield ".".join(map(str, (*path, name))), each


def test_the_committed_schema_is_the_generated_one():
    assert (ROOT / "config" / "schema.json").read_text() == schema_text()


def test_the_schema_is_a_valid_schema():
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(("name", "node"), list(properties()))
def test_every_setting_is_described(name, node):
    assert node["description"].endswith("."), name


@pytest.mark.parametrize(("name", "node"), list(properties()))
def test_every_example_and_default_is_itself_valid(name, node):
    validator = Draft202012Validator({**node, "$defs": schema()["$defs"]})
    for example in node.get("examples", ()):
        validator.validate(example)
    if "default" in node:
        validator.validate(node["default"])


def test_the_schema_offers_alternatives_only_where_a_word_may_become_a_map_or_a_list():
    places = [path for path, node in nodes(schema()) if "anyOf" in node]
    assert places == [
        ("$defs", "AnswerSpec", "properties", "contains"),
        ("$defs", "BudgetSpec", "properties", "on_exhausted"),
        ("$defs", "CaseSpec", "properties", "input"),
        ("$defs", "ComboSpec", "properties", "targets", "items"),
        ("$defs", "GivenSpec", "properties", "fails", "additionalProperties"),
        ("$defs", "TelemetrySpec", "properties", "metrics"),
    ]


def test_nothing_in_the_schema_may_be_null():
    assert "null" not in schema_text()


def test_secrets_are_marked():
    marked = {
        path[-2] if path[-1] == "additionalProperties" else path[-1]
        for path, node in nodes(schema())
        if node.get("writeOnly")
    }
    assert marked == {"api_key", "client_secret", "headers", "password", "password_hash", "token", "url"}


def test_the_schema_text_is_stable_json():
    """What stands in it beside the rules, for editors, is no rule."""
    told = msgspec.json.decode(schema_text())
    offered = [name for name, each in told["properties"].items() if each.pop("defaultSnippets", None)]
    assert "providers" in offered
    assert told == msgspec.json.decode(msgspec.json.encode(schema()))


@pytest.mark.parametrize(
    ("text", "value"),
    [("0s", 0), ("500ms", 0.5), ("1.5s", 1.5), ("30s", 30), ("5m", 300), ("12h", 43_200), ("2d", 172_800)],
)
def test_durations_are_read_as_seconds(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "30", "30 s", "s", "-1s", "1w", "1s\n", "1e3s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError):
        seconds(text)


@pytest.mark.parametrize(("text", "value"), [("1B", 1), ("64KiB", 65_536), ("20MiB", 20_971_520), ("1GiB", 1 << 30)])
def test_sizes_are_read_as_bytes(text, value):
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "20", "20MB", "20 MiB", "-1B"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError):
        size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:KEY}", ("env", "KEY")),
        ("${file:/run/secrets/x}", ("file", "/run/secrets/x")),
        ("${env:KEY} ", None),
        ("x${env:KEY}", None),
        ("${env:A}${env:B}", None),
        ("${file:relative}", None),
        ("${env:1A}", None),
        ("${secret:KEY}", ("secret", "KEY")),
        ("${secret:../KEY}", None),
        ("${vault:KEY}", None),
        ("KEY", None),
    ],
)
def test_only_whole_values_are_references(text, value):
    assert reference(text) == value


@pytest.mark.parametrize(
    ("text", "good"), [("team-a", True), ("a.b_2", True), ("", False), ("a b", False), ("a\n", False), ("-a", False)]
)
def test_names_have_no_spaces_and_no_slashes(text, good):
    assert is_name(text) is good


def test_a_sound_file_is_read_without_jsonschema():
    code = (
        "import sys; from omniroute import catalog; from omniroute.config import bundle;"
        "bundle.read('config/omniroute.yaml', catalog.load()); assert 'jsonschema' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=30)
