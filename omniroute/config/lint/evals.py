"""Whether evals can be run."""

from __future__ import annotations

from collections.abc import Iterator

from omniroute.config import json_schema
from omniroute.config.lint.names import Unknown
from omniroute.config.lint.subject import Rule, Subject
from omniroute.config.problems import suggestion
from omniroute.config.spec.evals import AnswerSpec, CaseSpec
from omniroute.document import Place, quoted
from omniroute.errors import Problem
from omniroute.formats.redaction import expression

RESERVED = ("messages", "model", "n", "stream", "stream_options")
"""Fields of a request that are the eval's own."""


def _cases(subject: Subject) -> Iterator[tuple[Place, CaseSpec]]:
    for name, suite in subject.spec.evals.items():
        for each, case in suite.cases.items():
            yield ("evals", name, "cases", each), case


def unknown_names(subject: Subject) -> Iterator[Problem]:
    """OR291"""
    for name, suite in subject.spec.evals.items():
        if suite.key is not None and suite.key not in subject.spec.keys:
            hint = suggestion(suite.key, subject.spec.keys)
            yield subject.error("OR291", ("evals", name, "key"), f"there is no key {quoted(suite.key)}", hint)
        if suite.model is not None:
            yield from _nameless(subject, ("evals", name, "model"), suite.model)
    for place, case in _cases(subject):
        if case.model is not None:
            yield from _nameless(subject, (*place, "model"), case.model)
        for field in ("similarity", "judge"):
            how = getattr(case.expect, field)
            if how is not None:
                yield from _nameless(subject, (*place, "expect", field, "model"), how.model)


def _nameless(subject: Subject, place: Place, name: str) -> Iterator[Problem]:
    try:
        subject.names.next(name)
    except Unknown as unknown:
        yield subject.error("OR291", place, unknown.message, unknown.hint)


def unrunnable(subject: Subject) -> Iterator[Problem]:
    """OR391"""
    for name, suite in subject.spec.evals.items():
        yield from _taken(subject, ("evals", name, "params"), suite.params)
    for place, case in _cases(subject):
        if case.model is None and subject.spec.evals[str(place[1])].model is None:
            message = "neither the case nor its suite says which model is asked"
            yield subject.error("OR391", place, message, "model: …", key=True)
        yield from _taken(subject, (*place, "params"), case.params)
        yield from _expectation(subject, (*place, "expect"), case.expect)


def _taken(subject: Subject, place: Place, params: object) -> Iterator[Problem]:
    for field in RESERVED:
        if isinstance(params, dict) and field in params:
            yield subject.error("OR391", (*place, field), f"{quoted(field)} is set by the eval itself", key=True)


def _expectation(subject: Subject, place: Place, expect: AnswerSpec) -> Iterator[Problem]:
    if expect == AnswerSpec():
        hint = f"there are {', '.join(f'`{field}`' for field in AnswerSpec.__struct_fields__)}"
        yield subject.error("OR391", place, "nothing is expected of the answer", hint)
    if expect.regex is not None:
        try:
            expression.compiled(expect.regex)
        except ValueError as error:
            message = f"{quoted(expect.regex)} cannot be used: {error}"
            yield subject.error("OR391", (*place, "regex"), message, "the syntax is that of RE2")
    if expect.json_schema is not None and (reason := json_schema.unusable(expect.json_schema)):
        yield subject.error("OR391", (*place, "json_schema"), f"this is no JSON Schema: {reason}")


RULES: tuple[Rule, ...] = (unknown_names, unrunnable)
