"""One write through `/api`: `If-Match`, the trial, the lock, secrets that must not reach the file, the audit.

It is worked out on the files as they are read under the writer's lock, not on what the caller saw, and answers when the
new snapshot runs.  What is wrong with it leaves everything as it was, also the secrets that came with it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import Any

import msgspec

from omniroute.api import audit
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Request
from omniroute.api.errors import INVALID_EDIT, Refusal
from omniroute.api.leaves import Steps, edits
from omniroute.api.plane import Plane
from omniroute.config import secrets
from omniroute.config.bundle import Bundle
from omniroute.config.spec.words import is_header_value, reference
from omniroute.document import Edit
from omniroute.errors import (
    CallError,
    ConfigError,
    ConfigLocked,
    NotFound,
    PreconditionRequired,
    StaleEdit,
    Unprocessable,
)
from omniroute.state.health import QUIET, Health, health

Changes = Mapping[Steps, Any]
"""What is to stand where: data of the file by place, or GONE."""
LONGEST_ABOUT = 100
_unfit = re.compile(r"^[^A-Za-z0-9]|[^A-Za-z0-9_.-]")
"""What the name of a secret cannot have."""


class View(msgspec.Struct, frozen=True):
    """What is shown from: the files that run, and the application that runs them. `at_rest` is for a look from another
    thread than the event loop's, to which what changes while the gateway runs does not belong."""

    bundle: Bundle
    control: Control
    at_rest: bool = False
    healths: dict[str, Health] = {}
    """Of all connections, once one has been asked for: told of each by itself, a list would walk all for each."""

    def health(self, connection: str) -> Health:
        """How it stands with a connection; nothing is known at rest."""
        if self.at_rest:
            return QUIET
        if not self.healths:
            state = self.control.state
            names = [one.id for each in self.control.live.current.upstreams.values() for one in each.connections]
            self.healths.update(health(state, names, state.clock.monotonic()))
        return self.healths.get(connection, QUIET)


class Draft:
    """The files as a write finds them, and the secrets that it hands over. `plain` holds those by their new names."""

    def __init__(self, bundle: Bundle, control: Control) -> None:
        self.bundle = bundle
        self.control = control
        self.plain: dict[str, str] = {}

    def secret(self, value: str, about: str) -> str:
        """The reference to write for a secret: the value is kept under a new name, so that the old one stays good until
        nothing refers to it. A reference stays what it is."""
        if reference(value) is not None:
            return value
        if not value or not is_header_value(value):
            raise Unprocessable(f"The secret for {about} is not one line of printable ASCII.", code="invalid_secret")
        name = f"{_unfit.sub('-', about)[:LONGEST_ABOUT]}-{token_hex(4)}"  # a bad name is the file's to refuse
        self.plain[name] = value
        return f"${{secret:{name}}}"


PROPOSED = 202
"""The status of a write that has become a commit: nothing runs yet that did not before."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """The query of every write."""

    dry_run: bool = msgspec.field(default=False, name="dry_run")


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One write: what it is called in the audit, what it is about, and what it makes of the files. `shown` is what the
    answer tells of the state after it, and a refusal of the state that there is."""

    action: str
    target: str
    etag_of: Callable[[Bundle], str]
    changes: Callable[[Draft], Changes]
    shown: Callable[[View], Mapping[str, Any]]
    answered: Callable[[Bundle], str] | None = None
    """The tag of the state after it, where that is not of the same as the one before."""
    also: Mapping[str, Any] = {}
    """What the answer says besides, of a write that was made."""
    status: int = 200


async def write(plane: Plane, request: Request, one: Write, *, dry_run: bool) -> Answer:
    """Makes the edit, or only tries it, and answers when it runs. What is wrong with it is raised, and then nothing has
    changed."""
    control = plane.control
    if_match = request.header(b"if-match")
    if if_match is None and not dry_run and control.bundle.spec.auth.strict_writes:
        raise PreconditionRequired("Say in `If-Match` which state this was made from.", code="if_match_missing")
    handed = _Handed(control, dry_run=dry_run)

    def change(bundle: Bundle) -> Sequence[Edit]:
        draft = Draft(bundle, control)
        made = one.changes(draft)
        handed.take(draft)
        return [edit for place, new in made.items() for edit in edits(place, new, bundle)]

    before = secrets.kept(control.bundle)
    try:
        done = await control.edit(
            change,
            if_match=if_match,
            etag_of=one.etag_of,
            dry_run=dry_run,
            author=request.visitor.name if request.visitor else "",
            reason=f"{one.action} {one.target}".rstrip(),
        )
    except StaleEdit as error:
        await _refused(plane, request, one, handed, error, dry_run=dry_run)
        return _with_state(error, one, control)
    except ConfigLocked as error:
        await _refused(plane, request, one, handed, error, dry_run=dry_run)
        return Answer({**Refusal(error.fault).content, "diff": error.diff}, error.fault.status)
    except ConfigError as error:
        await _refused(plane, request, one, handed, error, dry_run=dry_run)
        return Answer(Refusal(INVALID_EDIT, problems=error.problems).content, INVALID_EDIT.status)
    except Exception as error:
        await _refused(plane, request, one, handed, error, dry_run=dry_run)
        raise
    told: dict[str, Any] = {"revision": done.revision, "rewritten": list(done.rewritten)}
    if dry_run:
        await handed.back()
        told |= {"dryRun": True, "diff": done.diff}
    else:
        if done.commit:
            told["commit"] = done.commit
        unused = before - secrets.kept(control.bundle)
        await asyncio.to_thread(control.vault.delete, *unused)
        await audit.record(plane, request, one.action, one.target, diff=done.diff)
    view = View(done.bundle, control)
    tag = (one.answered or one.etag_of)(done.bundle).encode()
    status = 200 if dry_run else PROPOSED if done.commit else one.status
    return Answer({**one.shown(view), **one.also, **told}, status, ((b"etag", tag),))


class _Handed:
    """The secrets that came with a write: kept before the file refers to them, and given back where it does not come to
    that. What is only tried reaches no disk."""

    def __init__(self, control: Control, *, dry_run: bool) -> None:
        self._control = control
        self._dry_run = dry_run
        self._offered: list[str] = []
        self._kept: list[str] = []

    def take(self, draft: Draft) -> None:
        """Blocks: called where the edit is worked out, in a thread."""
        if not draft.plain:
            return
        if self._dry_run or draft.bundle.spec.mode == "locked":
            self._control.vault.offer(draft.plain)
            self._offered += draft.plain
        else:
            self._control.vault.put_all(draft.plain)
            self._kept += draft.plain

    async def back(self) -> None:
        """Nothing has come of it."""
        self._control.vault.withdraw(self._offered)
        if self._kept:
            await asyncio.to_thread(self._control.vault.delete, *self._kept)


async def _refused(
    plane: Plane, request: Request, one: Write, handed: _Handed, error: Exception, *, dry_run: bool
) -> None:
    """Nothing has come of it, and a trial was not even meant to."""
    await handed.back()
    if dry_run:
        return
    if isinstance(error, ConfigError):
        why = ", ".join(dict.fromkeys(problem.code for problem in error.problems))
    else:
        why = error.fault.code or error.fault.kind if isinstance(error, CallError) else type(error).__name__
    await audit.record(plane, request, one.action, one.target, outcome="refused", detail={"why": why})


def _with_state(error: StaleEdit, one: Write, control: Control) -> Answer:
    """A stale write is told what there is now, so that it can be made again of that."""
    tag = one.etag_of(control.bundle)
    try:
        current = dict(one.shown(View(control.bundle, control)))
    except NotFound:
        current = {}
    content = {**Refusal(error.fault).content, "current": current, "etag": tag}
    return Answer(content, error.fault.status, ((b"etag", tag.encode()),))
