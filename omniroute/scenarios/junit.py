"""The results as JUnit XML, which every CI shows: a test case for a scenario, a suite for a file."""

from __future__ import annotations

from itertools import groupby
from xml.etree import ElementTree as ET

from omniroute.config.report.junit import written
from omniroute.document import printable
from omniroute.scenarios.outcome import Difference
from omniroute.scenarios.runner import Report, Result


def xml(report: Report) -> bytes:
    """The whole file."""
    root = ET.Element("testsuites", {"name": "omniroute test", **_counts(report.results)})
    for file, results in groupby(sorted(report.results, key=lambda one: one.file), key=lambda one: one.file):
        inside = tuple(results)
        suite = ET.SubElement(root, "testsuite", {"name": file, **_counts(inside)})
        for result in inside:
            suite.append(_case(result))
    return written(root)


def _counts(results: tuple[Result, ...]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(not one.passed for one in results)),
        "time": f"{sum(one.seconds for one in results):.3f}",
    }


def _case(result: Result) -> ET.Element:
    case = ET.Element(
        "testcase",
        name=result.name,
        classname=result.file,
        file=result.file,
        line=str(result.line),
        time=f"{result.seconds:.3f}",
    )
    if not result.passed:
        first = ET.SubElement(case, "failure", message=told(result.differences[0]))
        first.text = "\n".join(told(one) for one in result.differences)
    return case


def told(difference: Difference) -> str:
    """A difference in one line."""
    return f"{difference.what}: expected {_shown(difference.expected)}, got {_shown(difference.got)}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_shown, value))}]"
    return printable(str(value)) or "nothing"
