"""A plan: what would change, what that means, how much it takes away, and the files that make it so.

It is written to a file to be looked at and applied later. It says by digests from what to what it leads, so that it is
applied to nothing else, and holds no value of a secret: the files have references where secrets are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from omniroute.config.plan import blast
from omniroute.config.plan.blast import Blast
from omniroute.config.plan.changes import Change, changes
from omniroute.config.plan.effects import Effect, effects
from omniroute.config.plan.outlook import Outlook
from omniroute.config.plan.version import Version

FORMAT: Literal[1] = 1
"""Of the file; another one is not read."""


class End(msgspec.Struct, frozen=True):
    """From where or to where: which state of the files, for people, and its digest, empty where there were none."""

    source: str
    digest: str
    main: str


class Summary(msgspec.Struct, frozen=True):
    """How many objects differ."""

    added: int
    changed: int
    removed: int
    renamed: int
    harmful: int


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """`files` are those that differ, by their names seen from the folder of the main one, null for one that goes; they
    are only in a plan that is written to be applied. A `blast` that is refused is never written."""

    format: Literal[1]
    base: End
    target: End
    summary: Summary
    changes: tuple[Change, ...]
    effects: tuple[Effect, ...]
    blast: Blast
    files: Mapping[str, str | None] = {}

    @property
    def empty(self) -> bool:
        """Whether nothing differs that means anything, and no file either."""
        return not self.changes and self.base.digest == self.target.digest


def made(old: Version, new: Version, now: float, *, threshold: float = blast.THRESHOLD, allowed: bool = False) -> Plan:
    """The plan that leads from one version to another."""
    differing = changes(old.documents, new.documents)
    before, after = Outlook(old, now), Outlook(new, now)
    felt, access = effects(before, after)
    return Plan(
        format=FORMAT,
        base=End(old.source, old.digest, old.main),
        target=End(new.source, new.digest, new.main),
        summary=_summary(differing, felt),
        changes=tuple(differing),
        effects=tuple(felt),
        blast=blast.radius(old, differing, before, after, access, threshold, allowed=allowed),
        files=_files(old.files, new.files),
    )


def applied(files: Mapping[str, bytes], plan: Plan) -> dict[str, bytes]:
    """What becomes of files by a plan."""
    kept = {name: content for name, content in files.items() if name not in plan.files}
    return kept | {name: text.encode() for name, text in plan.files.items() if text is not None}


def encode(plan: Plan) -> bytes:
    """The plan as a file."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


def decode(content: bytes) -> Plan:
    """The plan that a file holds. Raises ValueError where it holds none, or one of another format."""
    try:
        found = msgspec.json.decode(content, type=_Format)
        if found.format != FORMAT:
            raise ValueError(f"it is a plan of format {found.format}, and this is {FORMAT}")
        return msgspec.json.decode(content, type=Plan)
    except msgspec.MsgspecError as error:
        raise ValueError(f"it is no plan: {error}") from None


class _Format(msgspec.Struct):
    format: int


def _files(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> dict[str, str | None]:
    written: dict[str, str | None] = {
        name: content.decode() for name, content in new.items() if old.get(name) != content
    }
    return written | {name: None for name in old if name not in new}


def _summary(differing: Sequence[Change], felt: Sequence[Effect]) -> Summary:
    kinds = [change.change for change in differing]
    return Summary(
        added=kinds.count("added"),
        changed=kinds.count("changed"),
        removed=kinds.count("removed"),
        renamed=kinds.count("renamed"),
        harmful=sum(each.harmful for each in felt),
    )
