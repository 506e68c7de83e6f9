"""The scenarios of a configuration, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from omniroute.config.bundle import Bundle
from omniroute.config.spec.scenarios import ExpectSpec, GivenSpec
from omniroute.document import Place


class Case(msgspec.Struct, frozen=True):
    """One scenario. `policy` is the one that it stands under, empty for one of its own."""

    name: str
    policy: str
    file: str
    line: int
    given: GivenSpec
    expect: ExpectSpec


def cases(bundle: Bundle) -> Iterator[Case]:
    """All of them: those of policies, then those with names of their own."""
    for policy, spec in bundle.spec.policies.items():
        for index, test in enumerate(spec.tests):
            place: Place = ("policies", policy, "tests", index)
            yield _case(bundle, f"{policy}: {test.name or index + 1}", policy, place, test.given, test.expect)
    for name, scenario in bundle.spec.scenarios.items():
        yield _case(bundle, name, "", ("scenarios", name), scenario.given, scenario.expect)


def _case(bundle: Bundle, name: str, policy: str, place: Place, given: GivenSpec, expect: ExpectSpec) -> Case:
    file, line, _ = bundle.locate(place)
    return Case(name, policy, file, line, given, expect)


def selected(all_cases: Iterable[Case], files: Sequence[Path], part: str) -> list[Case]:
    """Those that stand in one of the files, where there are any, and have this text in their name."""
    wanted = {file.resolve() for file in files}
    return [case for case in all_cases if part in case.name and (not wanted or Path(case.file).resolve() in wanted)]
