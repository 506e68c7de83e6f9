"""Changes of the configuration that are made by the running gateway, as edits of its files.

    lock ─ read again ─ compare ─ splice ─ types, lint, compile ─ write ─ swap

A change is looked at as a person's edit would be before anything is on disk: what would not make a gateway changes
nothing, and is told with the lines of the edited text.  An object is edited in the file in which it is defined, and a
new one goes where its siblings are.  Readers of the files see the old or the new configuration whole, and whoever asked
for the change hears of it when it counts.

The writer knows neither HTTP nor the tables of a gateway: what it needs, the composition root gives it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from omniroute.config import storage
from omniroute.config.bundle import BY_NAME, Bundle, reason
from omniroute.document import Delete, Document, Edit, Set, apply, differences, dotted, unified
from omniroute.errors import ConfigLocked, Conflict, StaleEdit, Unavailable

Compiled = TypeVar("Compiled")
_TRIES = 3
_tag = re.compile(r'(W/)?"([^"]*)"')


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an edit. `revision` runs now, or did before where nothing was written; `diff` has no secrets in it;
    `files` and `paths` are those that it concerns, `rewritten` the entries that had to be written anew in block style;
    `commit` is what `mode: git` calls it."""

    revision: str
    diff: str = ""
    files: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ()
    changed: bool = False
    commit: str = ""
    bundle: Bundle
    """The configuration with the change, also where it was only tried."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A checked change, for who makes a commit of it: the new content of files by their path, None for
    one that goes."""

    files: Mapping[Path, bytes | None]
    diff: str
    author: str
    reason: str


class Read(Protocol):
    """The bundle that is on disk, with documents that are `known` and some `instead` of what is there, as in
    `bundle.load`. Raises ConfigError."""

    def __call__(self, *, known: Sequence[Document] = (), instead: Mapping[Path, Document] = ...) -> Bundle: ...


class _Plan(msgspec.Struct, Generic[Compiled]):
    """All that is known of a change before it is made."""

    old: Bundle
    new: Bundle
    compiled: Compiled
    documents: dict[Path, Document]
    change: Change


class Writer(Generic[Compiled]):
    """The one editor of a configuration within this process; a lock beside the files keeps other processes out.

    `read` gives what is on disk, `check` compiles it or raises ConfigError, and `swap` puts it to use, which cannot fail.
    `lock` is whatever else must not happen meanwhile. `commit` makes a commit of a proposal and tells its name.
    """

    def __init__(
        self,
        path: Path,
        *,
        read: Read,
        check: Callable[[Bundle], Compiled],
        swap: Callable[[Bundle, Compiled], Awaitable[None]],
        lock: asyncio.Lock,
        commit: Callable[[Proposal], Awaitable[str]] | None = None,
    ) -> None:
        self._path = path
        self._read = read
        self._check = check
        self._swap = swap
        self._lock = lock
        self._commit = commit
        self._documents: Sequence[Document] = ()
        self._running: set[asyncio.Task[Change]] = set()

    async def edit(
        self,
        change: Callable[[Bundle], Sequence[Edit]],
        *,
        if_match: str | None = None,
        etag_of: Callable[[Bundle], str | None] | None = None,
        dry_run: bool = False,
        author: str = "",
        reason: str = "",
    ) -> Change:
        """Makes the edits that `change` gives for the configuration on disk, and returns when they count.

        `if_match` is compared with what `etag_of` gives for that configuration, its digest if there is none. A `dry_run`
        checks everything and writes nothing. What was begun is finished, also where the caller does not wait for it.

        Raises StaleEdit, ConfigError for what the edit would make of the files, what `document.apply` raises,
        ConfigLocked, Conflict where the files cannot be written, and Unavailable where the disk fails or another process
        holds on to the lock.
        """
        tag = etag_of or _whole
        task = asyncio.ensure_future(self._edit(change, if_match, tag, author, reason, dry_run=dry_run))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Change]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has heard of it, or does not want to

    async def _edit(
        self,
        change: Callable[[Bundle], Sequence[Edit]],
        if_match: str | None,
        tag: Callable[[Bundle], str | None],
        author: str,
        why: str,
        *,
        dry_run: bool,
    ) -> Change:
        async with self._lock:
            if dry_run:
                return (await asyncio.to_thread(self._plan, change, if_match, tag)).change
            async with storage.exclusive(self._path):
                for _ in range(_TRIES):
                    plan = await asyncio.to_thread(self._plan, change, if_match, tag)
                    made = await self._make(plan, author, why) if plan.documents else plan.change
                    if made is not None:
                        return made
            raise Unavailable("the files of the configuration keep changing", code="config_not_written", retry_after=1)

    # --------------------------------------------------------------------------------------------------------- the plan

    def _plan(
        self,
        change: Callable[[Bundle], Sequence[Edit]],
        if_match: str | None,
        tag: Callable[[Bundle], str | None],
    ) -> _Plan[Compiled]:
        old = self._read(known=self._documents)
        self._documents = old.documents
        if if_match is not None:
            compare(if_match, tag(old))
        edits = change(old)
        documents, rewritten = _edited(old, edits)
        new = self._read(known=old.documents, instead=documents) if documents else old
        before = dict(zip(old.files, old.documents, strict=True))
        diffs = [unified(before[file], document, self._name(file)) for file, document in documents.items()]
        return _Plan(
            old=old,
            new=new,
            compiled=self._check(new),
            documents=documents,
            change=Change(
                revision=old.revision,
                diff="".join(diffs),
                files=tuple(self._name(file) for file in documents),
                paths=tuple(dict.fromkeys(dotted(edit.path) for edit in edits)),
                rewritten=rewritten,
                bundle=new,
            ),
        )

    def _name(self, file: Path) -> str:
        """A file as seen from the directory above the configuration, as a diff in git has it."""
        return os.path.relpath(os.path.abspath(file), Path(os.path.abspath(self._path)).parent.parent)  # noqa: PTH100 - resolve() would follow links

    # ------------------------------------------------------------------------------------------------------- the writing

    async def _make(self, plan: _Plan[Compiled], author: str, why: str) -> Change | None:
        """None where somebody who knows of no lock has saved one of the files since it was read."""
        match plan.old.spec.mode:
            case "locked":
                raise ConfigLocked(
                    "`mode: locked` keeps the configuration from being changed here: make the change in git, with this diff",
                    diff=plan.change.diff,
                )
            case "git":
                return await self._propose(plan, author, why)
            case _:
                if not await asyncio.to_thread(_store, plan.old, plan.documents):
                    return None
        self._documents = plan.new.documents
        await self._swap(plan.new, plan.compiled)
        return msgspec.structs.replace(plan.change, revision=plan.new.revision, changed=True)

    async def _propose(self, plan: _Plan[Compiled], author: str, why: str) -> Change:
        if self._commit is None:
            raise Conflict(
                "`mode: git` needs a repository to commit to, and there is none", code="config_no_repository"
            )
        contents: dict[Path, bytes | None] = {file: document.content for file, document in plan.documents.items()}
        name = await self._commit(Proposal(files=contents, diff=plan.change.diff, author=author, reason=why))
        return msgspec.structs.replace(plan.change, changed=True, commit=name)


def _store(old: Bundle, documents: Mapping[Path, Document]) -> bool:
    before = dict(zip(old.files, old.documents, strict=True))
    try:
        return storage.replace({file: (before[file].content, each.content) for file, each in documents.items()})
    except OSError as error:
        where = f"`{error.filename}`" if error.filename else "a file of the configuration"
        if error.errno in storage.NOT_REPLACED:
            raise Conflict(
                f"{where} cannot be written: {reason(error)}. Nothing was changed. Make the directory writable for the "
                "gateway's user and mount it as a whole, or set `mode: locked` or `mode: git`",
                code="config_read_only",
            ) from None
        raise Unavailable(
            f"{where} could not be written: {reason(error)}. Nothing was changed", code="config_not_written"
        ) from None


# -------------------------------------------------------------------------------------------------------------- the edits


def _edited(bundle: Bundle, edits: Sequence[Edit]) -> tuple[dict[Path, Document], tuple[str, ...]]:
    """The documents that the edits change, each in the file where its object is defined, and what was rewritten."""
    places: dict[int, list[Edit]] = {}
    for edit in edits:
        for each in _by_name(bundle, edit):
            places.setdefault(bundle.documents.index(bundle.home(each.path)), []).append(each)
    documents: dict[Path, Document] = {}
    rewritten: list[str] = []
    for index, members in places.items():
        made = apply(bundle.documents[index], members)
        rewritten += made.rewritten
        if made.document.content != bundle.documents[index].content:
            documents[bundle.files[index]] = made.document
    return documents, tuple(rewritten)


def _by_name(bundle: Bundle, edit: Edit) -> list[Edit]:
    """An edit of a whole section whose objects stand in several files, as edits of its objects."""
    section = str(edit.path[0])
    holders = [document for document in bundle.documents if document.data.get(section)]
    if len(edit.path) > 1 or section not in BY_NAME or len(holders) < 2 or not isinstance(edit, Set | Delete):
        return [edit]
    old = {name: value for document in holders for name, value in document.data[section].items()}
    new: dict[str, Any] = edit.value if isinstance(edit, Set) else {}
    gone = [Delete((section, name)) for name in old if name not in new]
    kept = {name: value for name, value in old.items() if name in new}
    return [*gone, *(differences(kept, new, (section,)) if new else ())]


# --------------------------------------------------------------------------------------------------------------- the tags


def etag(value: object) -> str:
    """The entity tag of a resource: of its subtree as plain data, whatever the order of its keys."""
    return f'"{sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]}"'


def _whole(bundle: Bundle) -> str:
    return f'"{bundle.digest[:32]}"'


def compare(if_match: str, current: str | None) -> None:
    """Raises StaleEdit unless the header names what there is, as RFC 9110, 13.1.1 says: weak tags never match."""
    if current is not None:
        given = {tag for weak, tag in _tag.findall(if_match) if not weak}
        if if_match.strip() == "*" or current.strip('"') in given:
            return
    message = "it has changed since you looked at it" if current else "it is not there any more"
    raise StaleEdit(f"{message}: look again, and make your change on what there is now", etag=current)
