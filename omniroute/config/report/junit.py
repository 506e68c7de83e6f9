"""For any CI: JUnit XML, a suite for a file and a case for a finding; what only warns is a case that passes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree as ET

from omniroute.config.report.place import relative, sentence
from omniroute.document import inert
from omniroute.errors import Problem


def form(problems: Sequence[Problem], _colour: bool = False) -> str:
    """The whole file; where nothing was found, with one case that passed."""
    root = ET.Element("testsuites", {"name": "omniroute validate", **_counts(problems)})
    for file, group in groupby(sorted(problems, key=_file), key=_file):
        inside = list(group)
        suite = ET.SubElement(root, "testsuite", {"name": file, **_counts(inside)})
        for problem in inside:
            suite.append(_case(problem))
    if not problems:
        suite = ET.SubElement(root, "testsuite", name="configuration", tests="1", failures="0")
        ET.SubElement(suite, "testcase", name="no findings", classname="configuration")
        root.set("tests", "1")
    return written(root).decode()


def written(root: ET.Element) -> bytes:
    """The file of a tree."""
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _file(problem: Problem) -> str:
    return relative(problem.file)


def _counts(problems: Sequence[Problem]) -> dict[str, str]:
    return {"tests": str(len(problems)), "failures": str(sum(one.severity == "error" for one in problems))}


def _case(problem: Problem) -> ET.Element:
    file, said = _file(problem), _plain(sentence(problem))
    name = _plain(f"{problem.code} {problem.path}".rstrip())
    case = ET.Element("testcase", name=name, classname=file, file=file, line=str(problem.line))
    shown = _plain(f"{file}:{problem.line}:{problem.col}\n{problem.source}".rstrip())
    if problem.severity == "error":
        ET.SubElement(case, "failure", message=said, type=problem.code).text = shown
    else:
        ET.SubElement(case, "system-out").text = f"{said}\n{shown}"
    return case


def _plain(text: str) -> str:
    """Without what XML cannot hold."""
    return "\n".join(map(inert, text.splitlines()))
