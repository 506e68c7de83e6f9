"""Problems as people and machines read them."""

from xml.etree import ElementTree as ET

import msgspec
import pytest

from omniroute.cli import validate
from omniroute.config import report
from omniroute.config.problems import CODES
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
    assert report.text.form([ERROR]) == (
        "config/a.yaml:12:9: error OR101 server.prt: unknown key `prt`\n"
        "  12 | server: {prt: 1}\n"
        "     |         ^\n"
        "  = did you mean `port`?\n"
        "\n"
        "1 error"
    )


def test_text_counts_what_it_told():
    assert report.text.form([ERROR, ERROR, WARNING]).endswith("\n2 errors, 1 warning")
    assert report.text.form([WARNING, WARNING]).endswith("\n2 warnings")


def test_a_problem_without_a_line_has_neither_place_nor_caret():
    assert report.text.form([WHOLE]) == "environment: error OR113 PORT: must be a number\n\n1 error"


def test_nothing_found_is_nothing_told():
    assert report.text.form([]) == ""
    assert report.github.form([]) == ""
    assert msgspec.json.decode(report.objects.form([])) == []


def test_colour_only_when_asked():
    assert "\x1b" not in report.text.form([ERROR, WARNING])
    coloured = report.text.form([ERROR, WARNING], True)
    assert "\x1b[31m" in coloured
    assert "\x1b[33m" in coloured


@pytest.mark.parametrize("col", [1, 60, 150, 200, 300, 999])
def test_the_caret_of_a_long_line_stands_below_its_place(col):
    source = "".join(chr(65 + number % 26) for number in range(300))
    problem = Problem("OR101", "error", "f", 1, col, "", "m", source=source)
    _, line, caret = report.text.form([problem]).split("\n")[:3]
    assert len(line) <= 126
    at = caret.index("^")
    assert line[at : at + 1] == source[col - 1 : col]


def test_json_has_the_same_keys_for_all():
    rows = msgspec.json.decode(report.objects.form([ERROR, WARNING, WHOLE]))
    assert {frozenset(row) for row in rows} == {
        frozenset({"code", "severity", "file", "line", "col", "path", "message", "hint", "source"})
    }
    assert rows[0]["line"] == 12


def test_github_annotations_are_one_line_each_and_escaped():
    lines = report.github.form([ERROR, WARNING, WHOLE]).splitlines()
    assert lines[0] == (
        "::error file=config/a.yaml,line=12,col=9,title=OR101::server.prt: unknown key `prt` (did you mean `port`?)"
    )
    assert lines[1] == "::warning file=a%2Cb%3Ac.yaml,line=3,col=1,title=OR403::100%25 expired"
    assert lines[2] == "::error file=environment,title=OR113::PORT: must be a number"


# ------------------------------------------------------------------------------------------------------ what CI keeps

FOUND = [ERROR, WARNING, WHOLE]


def test_the_command_line_offers_every_form():
    assert set(validate.FORMS) == set(report.FORMS)


def test_gitlab_gets_a_code_quality_report():
    rows = msgspec.json.decode(report.gitlab.form(FOUND))
    assert rows[0] == {
        "description": "server.prt: unknown key `prt` (did you mean `port`?)",
        "check_name": "OR101",
        "fingerprint": rows[0]["fingerprint"],
        "severity": "critical",
        "location": {"path": "config/a.yaml", "lines": {"begin": 12}},
    }
    assert [row["severity"] for row in rows] == ["critical", "minor", "critical"]
    assert rows[2]["location"]["lines"]["begin"] == 1, "a line is asked for, also of what has none"
    assert report.gitlab.form([]) == "[]"


def test_sarif_is_a_log_of_one_run():
    log = msgspec.json.decode(report.sarif.form(FOUND))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [(rule["id"], rule["shortDescription"]["text"]) for rule in rules] == [
        (code, CODES[code]) for code in ("OR101", "OR113", "OR403")
    ]
    for result, problem in zip(run["results"], FOUND, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == problem.code
        assert result["level"] == problem.severity
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "config/a.yaml"}, "region": {"startLine": 12, "startColumn": 9}}
    assert "region" not in run["results"][2]["locations"][0]["physicalLocation"]
    assert run["results"][1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%2Cb%3Ac.yaml"
    assert msgspec.json.decode(report.sarif.form([]))["runs"][0]["results"] == []


def marks(problems):
    results = msgspec.json.decode(report.sarif.form(problems))["runs"][0]["results"]
    return [result["partialFingerprints"]["omniroute/v1"] for result in results]


def test_a_finding_is_the_same_when_lines_are_added_above_it():
    moved = msgspec.structs.replace(ERROR, line=13)
    assert marks([ERROR]) == marks([moved])
    assert len({*marks([ERROR, ERROR, WARNING])}) == 3, "the same said twice is two findings"
    assert marks([ERROR]) == [row["fingerprint"] for row in msgspec.json.decode(report.gitlab.form([ERROR]))]


def test_junit_has_a_case_for_each_finding_of_which_errors_fail():
    root = ET.fromstring(report.junit.form([*FOUND, ERROR]))
    assert (root.get("tests"), root.get("failures")) == ("4", "3")
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["a,b:c.yaml", "config/a.yaml", "environment"]
    case = suites["config/a.yaml"][0]
    assert (case.get("name"), case.get("line")) == ("OR101 server.prt", "12")
    assert case[0].get("message") == "server.prt: unknown key `prt` (did you mean `port`?)"
    assert case[0].text == "config/a.yaml:12:9\nserver: {prt: 1}"
    assert suites["a,b:c.yaml"][0].find("failure") is None
    passed = ET.fromstring(report.junit.form([]))
    assert (passed.get("tests"), passed.get("failures"), len(passed.findall("*/testcase"))) == ("1", "0", 1)


def test_junit_takes_what_xml_cannot_hold():
    hostile = msgspec.structs.replace(ERROR, message="a\x00b\x1b[31m ]]> <x> & \ud7ff", source="\x08")
    assert ET.fromstring(report.junit.form([hostile])).find("*/testcase/failure") is not None


def test_files_are_named_as_seen_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside = msgspec.structs.replace(ERROR, file=str(tmp_path / "config" / "a.yaml"))
    outside = msgspec.structs.replace(ERROR, file="/elsewhere/a.yaml")
    paths = [row["location"]["path"] for row in msgspec.json.decode(report.gitlab.form([inside, outside]))]
    assert paths == ["config/a.yaml", "/elsewhere/a.yaml"]
