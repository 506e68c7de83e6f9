"""Strict YAML, and where everything in it stands."""

import time

import pytest
import yaml

from omniroute.document import Document, dotted, is_secret_name, masked, quoted
from omniroute.errors import ConfigError

SCALARS = [
    ("true", True),
    ("false", False),
    ("0", 0),
    ("7", 7),
    ("-7", -7),
    ("123456789012345678", 123456789012345678),
    ("0.5", 0.5),
    ("-1.25", -1.25),
    ("1.0", 1.0),
    *((text, text) for text in ["True", "TRUE", "yes", "Yes", "no", "on", "On", "off", "y", "n", "Null", "NULL", "~"]),
    *(
        (text, text)
        for text in ["012", "0o17", "0x1f", "0b1", "1_000", "+1", ".5", "5.", "1e3", "1.5e3", ".inf", "-.inf", ".nan"]
    ),
    *(
        (text, text)
        for text in ["22:22", "190:20:30", "2027-06-30", "2001-12-14t21:59:43Z", "1.2.3", "--", "-a", "=", "<<x"]
    ),
    ("1234567890123456789", "1234567890123456789"),
    ("9" * 5000, "9" * 5000),
    ("'5'", "5"),
    ('"true"', "true"),
    ("'null'", "null"),
    ("''", ""),
    ("sha256:00ff", "sha256:00ff"),
    ("grün", "grün"),
]


def problems(text):
    with pytest.raises(ConfigError) as caught:
        Document.parse(text, "f.yaml")
    return [(each.line, each.col, each.code) for each in caught.value.problems]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=lambda value: str(value)[:20])
def test_only_true_false_and_plain_decimal_numbers_are_not_text(text, value):
    data = Document.parse(f"a: {text}\nb: [{text}]\n", "f.yaml").data
    assert data == {"a": value, "b": [value]}
    assert type(data["a"]) is type(value)


@pytest.mark.parametrize("text", ["a: null", "a:", "a: # nothing", "a: {b: }"])
def test_null_and_nothing_are_null_and_are_noticed(text):
    assert Document.parse(text, "f.yaml").has_nulls


@pytest.mark.parametrize("text", ["a: ''", "null: 1", "a: ~", "a: 'null'", ""])
def test_what_only_looks_like_null_is_not(text):
    assert not Document.parse(text, "f.yaml").has_nulls


def test_keys_are_text_whatever_they_look_like():
    assert Document.parse("1: a\ntrue: b\n2027-06-30: c\n'x': d\n", "f.yaml").data == {
        "1": "a",
        "true": "b",
        "2027-06-30": "c",
        "x": "d",
    }


def test_the_stock_loader_would_read_another_meaning():
    text = "[on, yes, 22:22, 012, 2027-06-30, 1_000]"
    assert all(not isinstance(value, str) for value in yaml.safe_load(text))
    assert all(isinstance(value, str) for value in Document.parse(f"a: {text}", "f.yaml").data["a"])


def test_values_and_keys_are_located_in_block_and_flow_style():
    document = Document.parse(
        "# comment\nproviders:\n  lab:\n    models: {a: {context: 5}, b: [x, {c: 1}]}\n  'q r':\n    - 1\n    -   two\n",
        "f.yaml",
    )
    assert document.locate(()) == (2, 1)
    assert document.locate(("providers",), key=True) == (2, 1)
    assert document.locate(("providers", "lab"), key=True) == (3, 3)
    assert document.locate(("providers", "lab")) == (4, 5)
    assert document.locate(("providers", "lab", "models", "a", "context")) == (4, 27)
    assert document.locate(("providers", "lab", "models", "b", 1, "c"), key=True) == (4, 39)
    assert document.locate(("providers", "q r"), key=True) == (5, 3)
    assert document.locate(("providers", "q r", 1)) == (7, 9)


def test_what_is_not_there_is_located_at_the_nearest_thing_above():
    document = Document.parse("a:\n  b: [1, 2]\n", "f.yaml")
    assert document.locate(("a", "b", 7, "c")) == (2, 6)
    assert document.locate(("a", "z")) == (2, 3)
    assert document.locate(("z",)) == (1, 1)
    assert Document.parse("", "f.yaml").locate(("z",)) == (1, 1)


def test_a_key_without_a_value_is_located_at_the_key():
    assert Document.parse("a:\n  b:\n\n\nc: 1\n", "f.yaml").locate(("a", "b")) == (2, 3)


def test_columns_count_characters_and_not_bytes():
    assert Document.parse("ä: {ö: 'ü', x: 1}\n", "f.yaml").locate(("ä", "x")) == (1, 16)


def test_all_repeated_keys_are_told_and_both_lines_named():
    with pytest.raises(ConfigError) as caught:
        Document.parse("a: 1\nb: {c: 1, c: 2}\na: 2\n", "f.yaml")
    first, second = sorted(caught.value.problems, key=lambda each: each.line)
    assert (first.line, first.col, first.path, first.code) == (2, 11, "b.c", "OR005")
    assert (second.line, second.col, second.path, second.code) == (3, 1, "a", "OR005")
    assert "line 1" in second.message


def test_a_key_in_quotes_repeats_one_without():
    assert problems("1: a\n'1': b\n") == [(2, 1, "OR005")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[" * 100_000, (1, 42, "OR007")),
        ("a: " + "{b: " * 50 + "1" + "}" * 50, (1, 160, "OR007")),
        ("a: [" + "1, " * 500_001 + "1]", (1, 1_499_999, "OR007")),
        ("a: " + "x" * (8 << 20), (1, 1, "OR007")),
        ("a: &a [*a]", (1, 4, "OR008")),
        ("a: *a", (1, 4, "OR008")),
        ("a: !!python/object/apply:os.system [id]", (1, 4, "OR006")),
        ("a: !x {}", (1, 4, "OR006")),
        ("a: 1\n--- \nb: 1", (2, 1, "OR010")),
        ("text", (1, 1, "OR010")),
        ("? {a: 1}\n: 1", (1, 3, "OR009")),
        ("a: \ud800", (1, 4, "OR003")),
        ("a: b\u202ec", (1, 5, "OR003")),
        ("a: b\x85c: d", (1, 5, "OR003")),
        ("a: b\x00", (1, 5, "OR003")),
        ("a:\n\tb: 1", (2, 1, "OR004")),
        ("a: [1,\nb: 2\n", (1, 4, "OR004")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_does_not_belong_into_a_file_is_refused_where_it_stands(text, place):
    started = time.process_time()
    assert problems(text) == [place]
    assert time.process_time() - started < 4


def test_bytes_that_are_not_utf8_are_refused_where_they_stand():
    assert problems(b"a: 1\nb: \xc3\xa4 \xff") == [(2, 6, "OR002")]


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert Document.parse(b"\xef\xbb\xbfa: 1", "f.yaml").locate(("a",)) == (1, 4)
    assert Document.parse("\ufeffa: 1", "f.yaml").data == {"a": 1}


def test_aliases_share_but_their_size_counts_each_time():
    assert Document.parse("a: &x [1, 2]\nb: *x\n", "f.yaml").data == {"a": [1, 2], "b": [1, 2]}
    wide = ", ".join(["1"] * 45_000)
    assert problems(f"a: &x [{wide}]\nb: [{', '.join(['*x'] * 12)}]\n")[0][2] == "OR007"


def test_an_alias_bomb_is_refused_at_once():
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    started = time.perf_counter()
    assert problems(f"l0: &l0 [x]\n{levels}\n")[0][2] == "OR008"
    assert time.perf_counter() - started < 1


def test_two_thousand_lines_are_read_in_tens_of_milliseconds():
    provider = (
        "  p{}:\n    type: openai-compatible\n    base_url: http://10.0.0.7/v1\n    models:\n      a: {{context: 1}}\n"
    )
    text = "providers:\n" + "".join(provider.format(number) for number in range(400))
    best = min(timed(text) for _ in range(3))
    assert text.count("\n") > 2000
    assert best < 0.15  # 20 ms when nothing else runs


def timed(text):
    started = time.perf_counter()
    Document.parse(text, "f.yaml")
    return time.perf_counter() - started


# ------------------------------------------------------------------------------------------------------ what is shown


@pytest.mark.parametrize(
    "text",
    [
        "a: {api_key: CANARY, x: 1}",
        "a:\n  api_key: CANARY",
        "api_key: |\n  CANARY\n  CANARY\nb: 1",
        "api_key: >-\n  CANARY",
        "api_key:\n  CANARY",
        "headers: {Authorization: CANARY, x-api-key: 'CANARY', Cookie: \"CANARY\"}",
        "api_key: [CANARY0000]",
        "api_key: {value: CANARY0000}",
        "openai_api_key: CANARY",
        "password: CANARY",
        "x: sk-CANARY-0123456789",
        "x: https://user:CANARY@host/",
        "x: https://host/?api_key=CANARY",
        "x: Bearer CANARY0123456789",
    ],
)
def test_a_shown_line_has_no_secret_in_it(text):
    document = Document.parse(text, "f.yaml")
    shown = [document.source(line + 1) for line in range(text.count("\n") + 1)]
    assert "CANARY" not in "".join(shown)


@pytest.mark.parametrize(
    "text",
    [
        "api_key: CANARY: {",
        "a: {api_key: CANARY, b: [}",
        "api_key:\n  CANARY: [",
        "api_key: 'CANARY",
        "a: {password_hash: CANARY",
        "api_key: CANARY\n\tb: 1",
        "token: @CANARY",
    ],
)
def test_a_line_of_a_broken_file_has_no_secret_in_it_either(text):
    with pytest.raises(ConfigError) as caught:
        Document.parse(text, "f.yaml")
    assert "CANARY" not in repr(caught.value.problems)
    assert "CANARY" not in str(caught.value)


def test_the_caret_still_fits_beside_what_is_blacked_out():
    document = Document.parse("a: {api_key: 'abc', prio: 1}", "f.yaml")
    line, col = document.locate(("a", "prio"), key=True)
    assert document.source(line)[col - 1 :] == "prio: 1}"


@pytest.mark.parametrize(
    "text",
    [
        "api_key: ${env:KEY}",
        "require_api_key: yes",
        "max_tokens: text",
        "keys: text",
        "model: claude-3-5-sonnet-20241022",
    ],
)
def test_what_is_no_secret_is_shown(text):
    assert Document.parse(text, "f.yaml").source(1) == text


def test_nothing_that_a_terminal_obeys_is_shown():
    document = Document.parse('"a\\e[31m": "b\\u0007"\n', "f.yaml")
    problem = document.problem("OR101", tuple(document.data), f"unknown key {quoted(next(iter(document.data)))}")
    assert problem.path.isprintable()
    assert problem.message.isprintable()


def test_very_long_lines_and_values_are_not_shown_in_full():
    assert Document.parse("a: " + "x" * 500, "f.yaml").source(1) == ""
    assert len(quoted("x" * 500)) < 100


def test_places_are_written_with_dots_and_brackets():
    assert dotted(("combos", "a", "targets", 0, "model")) == "combos.a.targets[0].model"
    assert dotted(()) == ""


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("api_key", True),
        ("X-API-Key", True),
        ("Authorization", True),
        ("Proxy-Authorization", True),
        ("cookie", True),
        ("x-goog-api-key", True),
        ("x-auth-token", True),
        ("password_hash", True),
        ("client_secret", True),
        ("require_api_key", False),
        ("keys", False),
        ("x-team", False),
        ("max_tokens", False),
        ("monkey", False),
    ],
)
def test_names_of_credential_fields_are_known(name, secret):
    assert is_secret_name(name) is secret


@pytest.mark.parametrize(
    "text", ["openai/gpt-5", "claude-3-5-sonnet-20241022", "https://host/v1", "task-force-one-two", "a@b"]
)
def test_ordinary_text_is_not_masked(text):
    assert masked(text) == text


def test_a_text_that_is_given_away_has_no_secret_and_is_else_as_it_was():
    text = """version: 1
auth: {password_hash: "$argon2id$v=19$m=1", session_ttl: 1h}   # é: sk-abcdefgh12345678
providers:
  p:
    api_key: ${env:KEY}
    headers: {authorization: 'Bearer abcdefghij', x-team: a}
"""
    assert (
        Document.parse(text, "x").without_secrets()
        == """version: 1
auth: {password_hash: "${env:REMOVED}", session_ttl: 1h}   # é: *******************
providers:
  p:
    api_key: ${env:KEY}
    headers: {authorization: "${env:REMOVED}", x-team: a}
"""
    )
