"""Has a running gateway take the files of a plan: all of them or none, and only where it runs what the plan was made for.

It is over when every worker runs the new revision. Where that does not come about, the files that were there before are
put back, so that whoever waits is left with one of the two states and told which.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec

from omniroute.config.plan.plan import Plan
from omniroute.errors import CallError, Conflict
from omniroute.upstream.instance import Standing
from omniroute.upstream.remote import Moved, Proposed, Remote, Tip

PAUSE = 0.2
"""Seconds between two looks at what the workers run."""

Outcome = Literal["applied", "unchanged", "moved", "proposed", "refused", "rolled_back"]


class Instance(Remote, Protocol):
    """A gateway that tells what its workers run."""

    def standing(self) -> Standing:
        """What they run now. Raises Unavailable where it cannot be asked."""
        ...


class Applied(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a plan. `revision` is what the gateway runs then. It was `refused` before anything was written, or
    `rolled_back` after; what is `proposed` waits for somebody to merge it."""

    outcome: Outcome
    message: str
    revision: str
    seconds: float = 0.0


def apply(
    plan: Plan, instance: Instance, *, timeout: float, monotonic: Callable[[], float], sleep: Callable[[float], None]
) -> Applied:
    """Applies a plan and waits, for so many seconds at the most. Raises Unavailable where the gateway cannot be asked, and
    Conflict where the files before could not be put back."""
    began = monotonic()
    tip = instance.fetch()
    if tip.revision == plan.target.digest:
        return Applied("unchanged", f"{instance.name} runs this already.", tip.revision)
    if tip.revision != plan.base.digest:
        told = f"{instance.name} runs revision {_short(tip.revision)}, and the plan is for {_short(plan.base.digest)}: "
        return Applied("moved", f"{told}make a new one with `--against {instance.name}`.", tip.revision)
    try:
        changes = _named(tip, plan.files)
        now = instance.push(tip, changes, f"Apply a plan from {_short(tip.revision)}", "omniroute apply")
    except Moved as error:
        return Applied("moved", str(error), instance.fetch().revision)
    except Proposed as error:
        return Applied("proposed", str(error), tip.revision)
    except Conflict as error:
        return Applied("refused", str(error), tip.revision)
    trouble = _wait(instance, now.revision, began + timeout, monotonic, sleep)
    seconds = round(monotonic() - began, 3)
    if not trouble:
        return Applied("applied", f"Every worker runs revision {_short(now.revision)}.", now.revision, seconds)
    back = _put_back(instance, tip, now, changes, trouble)
    return Applied("rolled_back", f"{trouble} What was there before is put back.", back.revision, seconds)


def _named(tip: Tip, files: Mapping[str, str | None]) -> dict[str, bytes | None]:
    """The files of a plan by the names that the gateway has for them. Raises Conflict for one that it has no place for."""
    folder = posixpath.dirname(_main(tip))
    found = {}
    for name, text in files.items():
        placed = posixpath.normpath(posixpath.join(folder, name))
        if placed.startswith(".."):
            told = f"`{name}` is outside of the folder that the gateway reads: include something of there first"
            raise Conflict(f"{told}, by hand.", code="config_bad_name")
        found[placed] = None if text is None else text.encode()
    return found


def _main(tip: Tip) -> str:
    return next(iter(tip.files), "")


def _wait(
    instance: Instance, revision: str, until: float, monotonic: Callable[[], float], sleep: Callable[[float], None]
) -> str:
    """Waits until every worker runs a revision; what is wrong, where that does not come about."""
    while True:
        try:
            standing = instance.standing()
        except CallError as error:  # it may be busy with the change
            told = str(error)
        else:
            if standing.problem:
                return f"The gateway refuses the files: {standing.problem}."
            late = [worker for worker, digest in standing.workers.items() if digest != revision]
            if not late:
                return ""
            told = f"{len(late)} of {len(standing.workers)} workers do not run it yet."
        if monotonic() > until:
            return f"Not every worker has taken it in time: {told}"
        sleep(PAUSE)


def _put_back(instance: Instance, before: Tip, now: Tip, changes: Mapping[str, bytes | None], trouble: str) -> Tip:
    try:
        return instance.push(
            now, {name: before.files.get(name) for name in changes}, f"Roll back: {trouble}", "omniroute apply"
        )
    except CallError as error:
        told = f"{trouble} What was there before could not be put back either: {error}"
        raise Conflict(f"{told} Look at {instance.name}/api/config/status.", code="not_rolled_back") from None


def _short(digest: str) -> str:
    return digest[:12] or "(none)"
