"""Problems as people and machines read them."""

import msgspec
import pytest

from omniroute.config import report
from omniroute.errors import Problem

ERROR = Problem(
    "OR101",
    "error",
    "config/a.yaml",
    12,
    9,
    "server.prt",
    "unknown key `prt`",
    "did you mean `port`?",
    "server: {prt: 1}",
)
WARNING = Problem("OR403", "warning", "a,b:c.yaml", 3, 1, "", "100% expired", source="x")
WHOLE = Problem("OR113", "error", "environment", 0, 0, "PORT", "must be a number")


def test_text_shows_place_code_line_caret_and_hint():
    assert report.text([ERROR]) == (
        "config/a.yaml:12:9: error OR101 server.prt: unknown key `prt`\n"
        "  12 | server: {prt: 1}\n"
        "     |         ^\n"
        "  = did you mean `port`?\n"
        "\n"
        "1 error"
    )


def test_text_counts_what_it_told():
    assert report.text([ERROR, ERROR, WARNING]).endswith("\n2 errors, 1 warning")
    assert report.text([WARNING, WARNING]).endswith("\n2 warnings")


def test_a_problem_without_a_line_has_neither_place_nor_caret():
    assert report.text([WHOLE]) == "environment: error OR113 PORT: must be a number\n\n1 error"


def test_nothing_found_is_nothing_told():
    assert report.text([]) == ""
    assert report.github([]) == ""
    assert msgspec.json.decode(report.as_json([])) == []


def test_colour_only_when_asked():
    assert "\x1b" not in report.text([ERROR, WARNING])
    coloured = report.text([ERROR, WARNING], True)
    assert "\x1b[31m" in coloured
    assert "\x1b[33m" in coloured


@pytest.mark.parametrize("col", [1, 60, 150, 200, 300, 999])
def test_the_caret_of_a_long_line_stands_below_its_place(col):
    source = "".join(chr(65 + number % 26) for number in range(300))
    problem = Problem("OR101", "error", "f", 1, col, "", "m", source=source)
    _, line, caret = report.text([problem]).split("\n")[:3]
    assert len(line) <= 126
    at = caret.index("^")
    assert line[at : at + 1] == source[col - 1 : col]


def test_json_has_the_same_keys_for_all():
    rows = msgspec.json.decode(report.as_json([ERROR, WARNING, WHOLE]))
    assert {frozenset(row) for row in rows} == {
        frozenset({"code", "severity", "file", "line", "col", "path", "message", "hint", "source"})
    }
    assert rows[0]["line"] == 12


def test_github_annotations_are_one_line_each_and_escaped():
    lines = report.github([ERROR, WARNING, WHOLE]).splitlines()
    assert lines[0] == (
        "::error file=config/a.yaml,line=12,col=9,title=OR101::server.prt: unknown key `prt` (did you mean `port`?)"
    )
    assert lines[1] == "::warning file=a%2Cb%3Ac.yaml,line=3,col=1,title=OR403::100%25 expired"
    assert lines[2] == "::error file=environment,title=OR113::PORT: must be a number"
