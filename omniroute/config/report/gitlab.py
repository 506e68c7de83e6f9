"""For GitLab: a Code Quality report, https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from omniroute.config.report.place import fingerprinted, relative, sentence
from omniroute.errors import Problem

SEVERITIES = {"error": "critical", "warning": "minor"}


def form(problems: Sequence[Problem], _colour: bool = False) -> str:
    """A list of findings; empty where there are none, as GitLab wants it."""
    rows = [
        {
            "description": sentence(problem),
            "check_name": problem.code,
            "fingerprint": mark,
            "severity": SEVERITIES[problem.severity],
            "location": {"path": relative(problem.file), "lines": {"begin": max(problem.line, 1)}},
        }
        for problem, mark in fingerprinted(problems)
    ]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()
