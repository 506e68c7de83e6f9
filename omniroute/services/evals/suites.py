"""Suites as they are run: each case with all that its suite says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from omniroute.config.spec import Spec
from omniroute.config.spec.evals import AnswerSpec, CaseSpec, SuiteSpec
from omniroute.config.spec.words import seconds
from omniroute.errors import NotFound


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A question. `body` is the request in OpenAI's chat format."""

    name: str
    model: str
    body: Mapping[str, Any]
    question: str
    expect: AnswerSpec


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """`target` is the model that all cases are put to instead of their own, if there is one."""

    name: str
    target: str
    key: str
    concurrency: int
    timeout: float
    stores: bool
    cases: tuple[Case, ...]


def find(spec: Spec, name: str) -> SuiteSpec:
    """The suite of this name. Raises NotFound."""
    suite = spec.evals.get(name)
    if suite is None:
        raise NotFound(f"There is no eval suite `{name[:128]}` here.", code="suite_not_found")
    return suite


def suite_of(spec: Spec, name: str, target: str = "") -> Suite:
    """The suite of this name, for one target where one is named. Raises NotFound."""
    suite = find(spec, name)
    return Suite(
        name=name,
        target=target,
        key=suite.key or "",
        concurrency=suite.concurrency,
        timeout=seconds(suite.timeout),
        stores=suite.store_answers,
        cases=tuple(_case(suite, each, case, target) for each, case in suite.cases.items()),
    )


def _case(suite: SuiteSpec, name: str, case: CaseSpec, target: str) -> Case:
    model = target or case.model or suite.model or ""  # lint has seen to it that there is one
    system = suite.system if case.system is None else case.system
    turns = case.input if isinstance(case.input, tuple) else ()
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    if isinstance(case.input, str):
        messages = [{"role": "user", "content": case.input}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    body = {**suite.params, **case.params, "model": model, "messages": messages}
    return Case(name=name, model=model, body=body, question=messages[-1]["content"], expect=case.expect)
