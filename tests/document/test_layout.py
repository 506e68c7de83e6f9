"""The canonical layout: each file of the corpus beside how it is laid out, and the law over all files and made-up ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from omniroute.config.order import declared
from omniroute.document import Document, laid_out
from omniroute.errors import ConfigError, EditRefused

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "reliability"))
import fmt_storm  # noqa: E402 - the path has to be known first

CORPUS = sorted((HERE / "corpus").glob("*.yaml"))


def made(text: str) -> str:
    return laid_out(Document.parse(text, "file"), declared()).text


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_a_file_is_laid_out_as_shown(file):
    """The pairs are made anew by `python tests/document/test_layout.py`, and then read in the diff."""
    expected = (HERE / "layouts" / file.name).read_bytes()
    assert laid_out(Document.parse(file.read_bytes(), file.name), declared()).content == expected


def test_every_file_of_the_project_keeps_its_data_and_comments_and_is_then_laid_out():
    checked = 0
    for name, content in fmt_storm.corpus().items():
        try:
            document = Document.parse(content, name)
        except ConfigError:
            continue
        fmt_storm.check(document)
        checked += 1
    assert checked > 150


def test_files_in_random_styles_keep_their_data_and_comments():
    fates = fmt_storm.storm(150, seed=6)
    assert fates["with comments"] > 50


@pytest.mark.parametrize("name", [name for name in fmt_storm.corpus() if not name.startswith("tests")])
def test_the_files_that_people_begin_with_are_laid_out(name):
    assert made(fmt_storm.corpus()[name].decode()) == fmt_storm.corpus()[name].decode()


def test_sections_and_known_keys_stand_in_the_order_of_the_language_and_names_as_they_stood():
    text = "combos:\n  z: {targets: [demo/echo], strategy: priority}\n  a: {targets: [z]}\nversion: 1\n"
    expected = "version: 1\ncombos:\n  z: {strategy: priority, targets: [demo/echo]}\n  a: {targets: [z]}\n"
    assert made(text) == expected


def test_what_the_language_does_not_know_comes_last():
    assert made("sever: {}\nnothing: 1\nversion: 1\n") == "version: 1\nsever: {}\nnothing: 1\n"


def test_a_comment_goes_where_its_entry_goes():
    text = "# the file\n\n# combos\ncombos: {}  # none\n# keys\nkeys: {}\n#  a: b\n\n# version\nversion: 1\n"
    expected = "# the file\n\n# version\nversion: 1\n\n# combos\ncombos: {}  # none\n# keys\nkeys: {}\n#  a: b\n"
    assert made(text) == expected


def test_keys_keep_their_places_where_an_alias_would_come_before_its_anchor():
    text = (
        "combos:\n  a: {targets: &t [demo/echo]}\nproviders: {demo: {}}\naliases: {}\npolicies: {x: *t}\nversion: 1\n"
    )
    assert "version: 1" in made(text)
    kept = "keys: {a: &k [x]}\nproviders: {b: *k}\nversion: 1\n"
    assert made(kept) == kept


def test_what_cannot_be_laid_out_is_refused():
    name = "x" * 1200
    with pytest.raises(EditRefused, match="it keeps its layout"):
        made(f"version: 1\naliases:\n  ? {name}\n  : demo/echo\n")


def test_brackets_that_are_too_long_or_hold_comments_become_blocks():
    long = "x" * 60
    text = f"aliases: {{a: {long}, b: {long}}}\nkeys: {{  # who\n  a: {{}}}}\n"
    assert made(text) == f"aliases:\n  a: {long}\n  b: {long}\nkeys:\n  # who\n  a: {{}}\n"


def test_quotes_stay_where_they_help_and_go_where_there_are_only_words():
    text = """aliases: {"a": 'b c', 'd': "1.0", e: 'f/*', g: "\\\\d", h: "yes"}\n"""
    assert made(text) == """aliases: {a: b c, d: "1.0", e: "f/*", g: '\\d', h: "yes"}\n"""


def test_a_file_keeps_the_line_ends_of_its_first_line():
    assert made("a: 1\r\nb: |\n  x\n") == "a: 1\r\nb: |\r\n  x\r\n"


if __name__ == "__main__":
    for each in CORPUS:
        laid = laid_out(Document.parse(each.read_bytes(), each.name), declared())
        (HERE / "layouts" / each.name).write_bytes(laid.content)
