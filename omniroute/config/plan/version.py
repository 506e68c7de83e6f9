"""One state of the files as a plan compares it: that of a folder, of a revision in git, or of a running gateway.

What does not stand on this disk is laid out in a folder that goes again, and read there as a gateway would read it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import msgspec

from omniroute.catalog import Catalog
from omniroute.config import bundle
from omniroute.config.bundle import Bundle
from omniroute.config.compile import compile_gateway
from omniroute.document import Document
from omniroute.errors import ConfigError, Conflict
from omniroute.routing.tables import Gateway
from omniroute.secret import Secret

EMPTY = b"version: 1\n"
"""The configuration where there is none yet."""
SUFFIXES = (".yaml", ".yml")


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A state of the files. `source` says which, for people; `digest` is by which a gateway knows it, empty where there
    are no files; `files` are by their names seen from the folder of the main one."""

    source: str
    digest: str
    main: str
    files: Mapping[str, bytes]
    documents: tuple[Document, ...]
    bundle: Bundle
    gateway: Gateway

    @property
    def label(self) -> str:
        return f"{self.source}, revision {self.digest[:12]}" if self.digest else f"{self.source}, nothing yet"


def of_file(path: Path, catalog: Catalog, source: str = "", *, insecure: bool = False) -> Version:
    """The files that a main file on this disk leads to. Raises ConfigError with all that is wrong with them."""
    return _version(bundle.read(path, catalog, insecure=insecure), catalog, source or str(path))


def of_git(path: Path, revision: str, catalog: Catalog) -> Version:
    """The files as they are in a revision of the repository that the main file is in; none where it is not in it. Raises
    ConfigError for files that make no gateway, Conflict where there is no such revision."""
    from omniroute.upstream import revision as git  # noqa: PLC0415 - dulwich takes 70 ms to load

    tree = git.files(path, revision, _included)
    source = f"git:{revision}" if tree.commit.startswith(revision) else f"git:{revision} ({tree.short})"
    return (
        of_files(tree.files, tree.main, catalog, source, path.parent) if tree.files else _nothing(source, path, catalog)
    )


def of_instance(url: str, token: Secret | None, catalog: Catalog) -> Version:
    """The files that a gateway runs. Raises Unavailable where it cannot be asked."""
    from omniroute.upstream.instance import InstanceRemote  # noqa: PLC0415 - httpx takes 100 ms to load

    tip = InstanceRemote(url, token).fetch()
    if not tip.files:
        raise Conflict(f"{url} tells of no files.", code="remote_failed")
    made = of_files(tip.files, next(iter(tip.files)), catalog, url, Path())
    return msgspec.structs.replace(made, digest=tip.revision)


def of_files(files: Mapping[str, bytes], main: str, catalog: Catalog, source: str, shown: Path) -> Version:
    """Files that are here as bytes. `shown` is the folder that the main one is told to be in."""
    with tempfile.TemporaryDirectory(prefix="omniroute-plan-") as folder:
        root = Path(folder).resolve() / "files"
        for name, content in files.items():
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.parent.resolve().is_relative_to(root):
                raise Conflict(f"`{name}` leads out of the configuration.", code="config_bad_name")
            place.write_bytes(content)
        there = (root / main).parent

        def told(name: str) -> str:
            return os.path.normpath(shown / os.path.relpath(name, there))

        try:
            read = bundle.read(root / main, catalog, insecure=True)
        except ConfigError as error:
            moved = [msgspec.structs.replace(each, file=told(each.file)) for each in error.problems]
            raise ConfigError(moved) from None
        for document in read.documents:
            document.name = told(document.name)
        return _version(read, catalog, source)


def _nothing(source: str, path: Path, catalog: Catalog) -> Version:
    made = of_files({path.name: EMPTY}, path.name, catalog, source, path.parent)
    return msgspec.structs.replace(made, digest="", files={}, documents=())


def _version(read: Bundle, catalog: Catalog, source: str) -> Version:
    here = os.path.abspath(read.path.parent)  # noqa: PTH100 - resolve() would follow links
    return Version(
        source=source,
        digest=read.digest,
        main=read.path.name,
        files={
            PurePosixPath(os.path.relpath(file, here)).as_posix(): document.content
            for file, document in zip(read.files, read.documents, strict=True)
        },
        documents=read.documents,
        bundle=read,
        gateway=compile_gateway(read, catalog, resolve=False),
    )


def _included(main: str, content: bytes) -> list[str]:
    """The names in the repository that a main file may include: at least those, for the reader looks itself."""
    said = Document.parse(content, main).data.get("include")
    folder = os.path.dirname(main)  # noqa: PTH120 - a name in a repository
    patterns = (each for each in (said if isinstance(said, list) else ()) if isinstance(each, str))
    return [os.path.normpath(f"{folder}/{each}" if folder else each) for each in patterns]
