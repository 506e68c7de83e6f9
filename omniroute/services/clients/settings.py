"""Points command-line tools at the gateway, in their own settings files, and undoes it.

All of a tool's files are edited in memory first, so that a file that cannot be edited leaves all of them alone; what
they held is kept before any is written.  An undo puts the bytes back as they were before the first write; where the
user has changed a file since, only the gateway's own settings go back, and the user's changes stay.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from omniroute import private
from omniroute.document import is_secret_name, masked
from omniroute.errors import BadRequest, Forbidden, NotFound, Unavailable
from omniroute.services.clients import formats
from omniroute.services.clients.backups import Backup, Backups, Kept, chain, digest
from omniroute.services.clients.detection import Detected, detect
from omniroute.services.clients.tools import BY_NAME, File, Setting, Tool, Words, filled, needs

LARGEST = 4 << 20
"""Bytes of a settings file."""
HIDDEN = "<hidden>"


class Place(msgspec.Struct, frozen=True):
    """Where this installation looks: the home directory of whoever uses the tools, directories of commands besides
    those of the `PATH`, and whether the tools' files may be written."""

    home: Path
    path: tuple[Path, ...] = ()
    writes: bool = True


class Shown(msgspec.Struct, frozen=True):
    """A settings file as it is told: where it is, and what it says with everything secret hidden."""

    path: str
    exists: bool
    settings: dict[str, Any]


class Clients:
    """The tools of one home directory. Everything here reads or writes files: call it from a thread."""

    def __init__(self, place: Callable[[], Place], store: Path, now: Callable[[], float]) -> None:
        self._place = place
        self._backups = Backups(store)
        self._now = now
        self._lock = threading.Lock()

    def tool(self, name: str) -> Tool:
        """Raises NotFound for one that is not known."""
        tool = BY_NAME.get(name)
        if tool is None:
            known = ", ".join(BY_NAME)
            raise NotFound(f"There is no tool `{name[:60]}`; there are {known}.", code="unknown_tool")
        return tool

    def detect(self, name: str) -> Detected:
        """Whether the tool is there."""
        return detect(self.tool(name), self._place().path)

    def shown(self, name: str) -> list[Shown]:
        """The tool's settings files."""
        found = []
        for file in self.tool(name).files:
            content = self._content(file)
            data = formats.read(file.format, _text(content or b"", file.place), file.place)
            found.append(Shown(str(self._at(file)), content is not None, _hidden("", data)))
        return found

    def points_to(self, name: str, base: str) -> bool:
        """Whether the tool's files name this address of the gateway, whoever wrote them."""
        return any(self._names(file, base) for file in self.tool(name).files)

    def write(self, name: str, base: str, key: str, model: str) -> list[str]:
        """Points the tool at `base`, and gives the paths that were written. Raises BadRequest where a model is needed,
        Forbidden where writing is switched off, and Unreadable."""
        tool = self.tool(name)
        if not self._place().writes:
            raise Forbidden("Tools' settings are not written here (`cli_tools.writes`).", code="writes_disabled")
        if needs(tool) and not model:
            raise BadRequest(f"{tool.title} wants a model: say which (`model`).", code="model_missing", param="model")
        now = datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        words = Words(base, f"{base}/v1", key, model, now)
        with self._lock:
            return self._write(tool, words)

    def undo(self, name: str) -> dict[str, str]:
        """Puts the tool's files back, and tells of each path how: `bytes`, `settings` or `removed`. Nothing where
        nothing was written."""
        tool = self.tool(name)
        with self._lock:
            back = chain(self._backups.all(name))
            if not back:
                return {}
            how = {str(self._at(file)): self._undo(file, back) for file in tool.files}
            self._backups.done_with(back)
        return {path: told for path, told in how.items() if told}

    def backups(self, name: str) -> list[tuple[Backup, int]]:
        """Those of a tool with their sizes in bytes, the newest first."""
        self.tool(name)
        return [(one, self._backups.size(one)) for one in reversed(self._backups.all(name))]

    def restore(self, name: str, ident: str) -> list[str]:
        """Puts back the bytes of a backup, whatever stands there now, which is kept as another backup before."""
        tool = self.tool(name)
        with self._lock:
            backup = self._backups.get(name, ident)
            before = [(file, self._content(file)) for file in tool.files]
            after = [
                self._backups.content(backup, number) if kept.existed else None
                for number, kept in enumerate(backup.files)
            ]
            self._keep(tool, before, after)
            for file, kept, content in zip(tool.files, backup.files, after, strict=True):
                self._put(file, content, kept.mode)
        return [str(self._at(file)) for file in tool.files]

    def remove(self, name: str, ident: str) -> None:
        """Deletes a backup."""
        self.tool(name)
        with self._lock:
            self._backups.remove(self._backups.get(name, ident))

    # ---------------------------------------------------------------------------------------------------------- files

    def _at(self, file: File) -> Path:
        return self._place().home / file.place

    def _content(self, file: File) -> bytes | None:
        path = self._at(file)
        try:
            if not path.exists():
                return None
            if not path.is_file() or path.stat().st_size > LARGEST:
                raise formats.Unreadable(f"{path} is no settings file: it is no regular file, or too large.")
            return path.read_bytes()
        except OSError as error:
            raise Unavailable(f"{path} cannot be read: {error.strerror}.", code="settings_unavailable") from None

    def _put(self, file: File, content: bytes | None, mode: int) -> None:
        """Writes a file where it really is, for settings are often links into a repository; None takes it away."""
        path = self._at(file)
        try:
            if content is None:
                path.unlink(missing_ok=True)
                return
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            private.write(path.resolve(), content, mode)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}.", code="settings_unavailable") from None

    def _mode(self, file: File) -> int:
        path = self._at(file)
        return path.stat().st_mode & 0o777 if path.exists() else 0o600

    # --------------------------------------------------------------------------------------------------------- writing

    def _write(self, tool: Tool, words: Words) -> list[str]:
        before = [(file, self._content(file)) for file in tool.files]
        after: list[bytes | None] = []
        for file, content in before:
            text = formats.edited(
                file.format, _text(content or b"", file.place), filled(file.settings, words), file.place
            )
            after.append(_bytes(text, content))
        self._keep(tool, before, after)
        written: list[File] = []
        try:
            for (file, _), content in zip(before, after, strict=True):
                self._put(file, content, self._mode(file))
                written.append(file)
        except Unavailable:
            for file, content in before[: len(written)]:
                self._put(file, content, self._mode(file))
            raise
        return [str(self._at(file)) for file in tool.files]

    def _keep(self, tool: Tool, before: Sequence[tuple[File, bytes | None]], after: Sequence[bytes | None]) -> None:
        last = chain(self._backups.all(tool.name))
        left = [kept.after for kept in last[-1].files] if last else []
        goes_on = bool(left) and left == [digest(content or b"") for _, content in before]
        contents = [
            (Kept(file.place, content is not None, self._mode(file), digest(new or b"")), content or b"")
            for (file, content), new in zip(before, after, strict=True)
        ]
        self._backups.keep(tool.name, self._now(), contents, origin=not goes_on)

    def _undo(self, file: File, back: Sequence[Backup]) -> str:
        """Puts one file back as it was before the first of these backups' writes."""
        number, kept = next((at, each) for at, each in enumerate(back[0].files) if each.place == file.place)
        latest = next(each for each in back[-1].files if each.place == file.place)
        old = self._backups.content(back[0], number)
        content = self._content(file)
        if content is None:
            return ""
        if digest(content) == latest.after:
            self._put(file, old if kept.existed else None, kept.mode)
            return "bytes" if kept.existed else "removed"
        text = formats.edited(file.format, _text(content, file.place), _back(file, _text(old, file.place)), file.place)
        self._put(file, _bytes(text, content), self._mode(file))
        return "settings"

    def _names(self, file: File, base: str) -> bool:
        content = self._content(file)
        if content is None:
            return False
        data = formats.read(file.format, _text(content, file.place), file.place)
        addresses = {"{base}": base, "{v1}": f"{base}/v1"}
        return any(_names(one.value, formats.value_at(data, one.path), addresses) for one in file.settings)


def _names(meant: Any, there: Any, addresses: dict[str, str]) -> bool:
    if isinstance(meant, dict) and isinstance(there, dict):
        return any(_names(each, there.get(key), addresses) for key, each in meant.items())
    return isinstance(meant, str) and meant in addresses and there == addresses[meant]


def _back(file: File, old: str) -> list[Setting]:
    """The settings that make of a file what it said before, as far as they are ours."""
    data = formats.read(file.format, old, file.place)
    ours = [one for one in file.settings if not one.first]
    return [Setting(one.path, formats.value_at(data, one.path)) for one in ours]


def _text(content: bytes, place: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise formats.Unreadable(f"{place} is not UTF-8. Mend it, or move it away.") from None


def _bytes(text: str, before: bytes | None) -> bytes:
    mark = b"\xef\xbb\xbf" if before is not None and before.startswith(b"\xef\xbb\xbf") else b""
    return mark + text.encode()


def _hidden(name: str, value: Any) -> Any:
    """A value without anything secret: by its name, or by how it looks."""
    if isinstance(value, dict):
        return {key: _hidden(key, each) for key, each in value.items()}
    if isinstance(value, list):
        return [_hidden(name, each) for each in value]
    if isinstance(value, str):
        return HIDDEN if value and _is_secret(name) else masked(value)
    return value


def _is_secret(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return is_secret_name(plain) or plain.endswith(("apikey", "key", "token", "secret", "password"))
