"""How much a change takes away, and whether that is more than somebody may do without saying that it is meant."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from omniroute.config.plan.changes import Change, counted
from omniroute.config.plan.effects import Access
from omniroute.config.plan.outlook import Outlook
from omniroute.config.plan.version import Version

THRESHOLD = 0.3
"""The share that may be taken away."""


class Share(msgspec.Struct, frozen=True):
    """How many of something are gone. What is exceeded is more than the threshold, and more than a single one of several:
    to take out one thing is no accident."""

    what: str
    lost: int
    of: int
    exceeded: bool

    @property
    def share(self) -> float:
        return self.lost / self.of if self.of else 0.0


class Blast(msgspec.Struct, frozen=True):
    """The shares, the threshold that they are held against, and whether the change was `allowed` all the same."""

    threshold: float
    shares: tuple[Share, ...]
    allowed: bool = False

    @property
    def exceeded(self) -> bool:
        return any(share.exceeded for share in self.shares)

    @property
    def refused(self) -> bool:
        return self.exceeded and not self.allowed


def radius(
    version: Version,
    changes: Sequence[Change],
    old: Outlook,
    new: Outlook,
    access: Access,
    threshold: float,
    *,
    allowed: bool,
) -> Blast:
    """Of a change of a version: the objects, the names of models, aliases and combos, and the keys that lose access: that
    are gone, replaced, or can ask for so much less that it is more than the threshold."""
    objects = sum(counted(version.documents).values())
    removed = sum(change.change == "removed" and change.path.count(".") > 0 for change in changes)
    gone = sum(name not in new.names and not new.foresight.lead(name).targets for name in old.names)
    out = sum(_over(access.lost.get(key, 0), could, threshold) for key, could in access.could.items() if could)
    of = sum(could > 0 for could in access.could.values())
    shares = (
        _share("objects removed", min(removed, objects), objects, threshold),
        _share("models, aliases and combos gone", gone, len(old.names), threshold),
        _share("keys losing access", out, of, threshold),
    )
    return Blast(threshold, shares, allowed)


def _share(what: str, lost: int, of: int, threshold: float) -> Share:
    return Share(what, lost, of, _over(lost, of, threshold) and (lost > 1 or of == 1))


def _over(lost: int, of: int, threshold: float) -> bool:
    return of > 0 and lost / of > threshold
