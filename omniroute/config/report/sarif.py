"""For code scanning: SARIF 2.1.0, https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from omniroute import __version__
from omniroute.config.problems import CODES, ONLINE
from omniroute.config.report.place import fingerprinted, relative, sentence
from omniroute.errors import Problem

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def form(problems: Sequence[Problem], _colour: bool = False) -> str:
    """A log of one run, also where nothing was found: it is what closes the findings of the run before."""
    codes = sorted({problem.code for problem in problems})
    rules = {code: index for index, code in enumerate(codes)}
    run = {
        "tool": {
            "driver": {
                "name": "omniroute",
                "semanticVersion": __version__,
                "rules": [{"id": code, "shortDescription": {"text": {**CODES, **ONLINE}[code]}} for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, mark, rules) for problem, mark in fingerprinted(problems)],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode()


def _result(problem: Problem, mark: str, rules: dict[str, int]) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(relative(problem.file))}}
    if problem.line:
        place["region"] = {"startLine": problem.line, "startColumn": max(problem.col, 1)}
    return {
        "ruleId": problem.code,
        "ruleIndex": rules[problem.code],
        "level": problem.severity,
        "message": {"text": sentence(problem)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"omniroute/v1": mark},
    }
