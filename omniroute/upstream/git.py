"""A branch of a git repository over HTTP: what it holds, and one more commit on it.

By dulwich, which is git in Python: the server starts no process.  Nothing of the machine's own git settings counts (no
proxies, no rewritten addresses, no stored credentials), and no redirect is followed, so that the token goes to the
configured address and to no other.
"""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import urllib3
from dulwich.client import HttpGitClient, HTTPUnauthorized
from dulwich.config import ConfigDict
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository, SendPackError
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.refs import Ref
from dulwich.repo import MemoryRepo
from urllib3.exceptions import HTTPError

from omniroute.errors import Conflict, Unavailable
from omniroute.secret import Secret
from omniroute.upstream.remote import Changes, Moved, Tip

TIMEOUT = 30.0
"""Seconds without a word from the remote."""
LARGEST_FILE = 8 << 20
MOST_FILES = 2_000
FILE, FOLDER = 0o100644, 0o040000
EMAIL = "omniroute@localhost"


class GitRemote:
    """A branch of a repository. Everything here waits for the network: call it from a thread."""

    def __init__(
        self, url: str, branch: str, username: str, token: Secret | None, path: str, now: Callable[[], float]
    ) -> None:
        self._url = url
        self._path = f"{path}/" if path else ""
        self._now = now
        self._branch = ref(branch)
        self._username = username
        self._token = token

    @property
    def name(self) -> str:
        """What to call it: the address and the branch."""
        return f"{self._url}#{self._branch.removeprefix(b'refs/heads/').decode()}"

    def fetch(self) -> Tip:
        """What the branch holds now. Raises Unavailable where it cannot be asked."""
        repository = MemoryRepo()
        with _told(self._url):
            commit = self._fetch(repository)
        return self._tip(repository, commit)

    def push(self, onto: Tip, changes: Changes, message: str, author: str) -> Tip:
        """One commit that writes these files, or (None) deletes them, and leaves all others. Raises Moved where the
        branch is no longer `onto`."""
        repository = MemoryRepo()
        with _told(self._url):
            parent = self._fetch(repository)
            if (parent or b"").decode() != onto.revision:
                raise Moved("The branch has moved meanwhile. Look at it again.")
            placed = {f"{self._path}{name}": content for name, content in changes.items()}
            commit = committed(repository, parent, placed, message, author, self._now())
            self._send(repository, parent, commit)
        return self._tip(repository, commit)

    def _tip(self, repository: MemoryRepo, commit: ObjectID | None) -> Tip:
        """What a commit holds below the path."""
        if commit is None:
            return Tip("", {})
        below = len(self._path)
        files = {name[below:]: each for name, each in _files(repository, commit) if name.startswith(self._path)}
        return Tip(commit.decode(), files)

    def publish(self, repository: Any, branch: str, commit: ObjectID) -> None:
        """Pushes a new branch of a repository that is on this machine."""
        name = ref(branch)
        with _told(self._url), self._client() as (client, path):
            result = client.send_pack(path, lambda _refs: {name: commit}, repository.generate_pack_data)
        refused = (result.ref_status or {}).get(name)
        if refused:
            raise Conflict(f"{self._url} did not take the branch `{branch}`: {refused}.", code="remote_refused")

    @contextmanager
    def _client(self) -> Iterator[tuple[HttpGitClient, bytes]]:
        """A client, and the path to ask it for."""
        parts = urlsplit(self._url)
        pool = _Pool()
        try:
            client = HttpGitClient(
                f"{parts.scheme}://{parts.netloc}",
                pool_manager=pool,
                config=ConfigDict(),
                username=self._username if self._token is not None else None,
                password=self._token.reveal() if self._token is not None else None,
                timeout=TIMEOUT,
                quiet=True,
            )
            yield client, parts.path.encode()
        finally:
            pool.close()

    def _fetch(self, repository: MemoryRepo) -> ObjectID | None:
        with self._client() as (client, path):
            found = client.fetch(
                path,
                repository,
                determine_wants=lambda refs, depth=None: [refs[self._branch]] if self._branch in refs else [],  # noqa: ARG005
                depth=1,
            )
        commit: ObjectID | None = found.refs.get(self._branch)
        return commit

    def _send(self, repository: MemoryRepo, parent: ObjectID | None, commit: ObjectID) -> None:
        def moved(refs: dict[Ref, ObjectID]) -> dict[Ref, ObjectID]:
            if refs.get(self._branch) != parent:
                raise Moved("The branch has moved meanwhile. Look at it again.")
            return {self._branch: commit}

        def packed(have: Any, want: Any, **more: Any) -> Any:
            more.pop("shallow", None)
            return repository.object_store.generate_pack_data(have, want, shallow=repository.get_shallow(), **more)

        with self._client() as (client, path):
            result = client.send_pack(path, moved, packed)
        refused = (result.ref_status or {}).get(self._branch)
        if refused:
            raise Moved(f"The remote did not take the commit: {refused}.")


def ref(branch: str) -> Ref:
    """The full name of a branch."""
    return Ref(f"refs/heads/{branch}".encode())


def committed(
    repository: Any, parent: ObjectID | None, changes: Changes, message: str, author: str, at: float
) -> ObjectID:
    """A new commit on a parent, with these files written or (None) deleted; no ref points to it yet."""
    store = repository.object_store
    tree = store[store[parent].tree] if parent is not None else Tree()
    for name, content in changes.items():
        tree = _with(store, tree, name.encode().split(b"/"), content)
    store.add_object(tree)
    commit = Commit()
    commit.tree = tree.id
    commit.parents = [parent] if parent is not None else []
    commit.author = commit.committer = f"{_plain(author)} <{EMAIL}>".encode()
    commit.author_time = commit.commit_time = int(at)
    commit.author_timezone = commit.commit_timezone = 0
    commit.encoding = b"UTF-8"
    commit.message = f"{message.rstrip()}\n".encode()
    store.add_object(commit)
    return commit.id


def _with(store: Any, tree: Tree, steps: list[bytes], content: bytes | None) -> Tree:
    """The tree with one file in it, or without it; folders that are empty then are gone too."""
    first, rest = steps[0], steps[1:]
    if not rest and content is None:
        if first in tree:
            del tree[first]
        return tree
    if not rest and content is not None:
        blob = Blob.from_string(content)
        store.add_object(blob)
        mode = tree[first][0] if first in tree else FILE
        tree[first] = mode, blob.id
        return tree
    below = _with(store, store[tree[first][1]] if first in tree else Tree(), rest, content)
    if len(below):
        store.add_object(below)
        tree[first] = FOLDER, below.id
    elif first in tree:
        del tree[first]
    return tree


def blob_of(repository: Any, commit: ObjectID, name: str) -> bytes | None:
    """What a file holds in a commit; None where it is not there."""
    store = repository.object_store
    try:
        _, ident = store[store[commit].tree].lookup_path(store.__getitem__, name.encode())
    except KeyError:
        return None
    content: bytes = store[ident].data
    return content


def _files(repository: Any, commit: ObjectID) -> Iterator[tuple[str, bytes]]:
    """The YAML files of a commit."""
    store = repository.object_store
    for number, entry in enumerate(iter_tree_contents(store, store[commit].tree)):
        name = entry.path.decode("utf-8", "surrogateescape")
        if number >= MOST_FILES:
            raise Conflict(f"The remote has more than {MOST_FILES} files.", code="remote_too_large")
        if not stat.S_ISREG(entry.mode) or not name.endswith((".yaml", ".yml")):
            continue
        content = store[entry.sha].data
        if len(content) > LARGEST_FILE:
            raise Conflict(f"`{name}` of the remote is larger than {LARGEST_FILE >> 20} MiB.", code="remote_too_large")
        yield name, content


def _plain(name: str) -> str:
    """A name that ends no field of a commit."""
    return "".join(char for char in name if char.isprintable() and char not in "<>") or "OmniRoute"


class _Pool(urllib3.PoolManager):
    """Connections to the configured address, without redirects and proxies."""

    def __init__(self) -> None:
        super().__init__(retries=False, ssl_context=ssl.create_default_context())
        self._replies: list[Any] = []

    def request(self, method: str, url: str, *arguments: Any, **more: Any) -> Any:
        reply = super().request(method, url, *arguments, **more | {"redirect": False})
        self._replies.append(reply)
        return reply

    def close(self) -> None:
        """Leaves no connection open, also of an answer that nobody has read to its end."""
        for reply in self._replies:
            reply.close()
        self.clear()


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What goes wrong between here and the remote, as something that can be told."""
    try:
        yield
    except HTTPUnauthorized:
        raise Unavailable(f"{url} does not take the token (`sync.token`).", code="remote_unauthorized") from None
    except (GitProtocolError, HangupException, NotGitRepository, SendPackError) as error:
        raise Unavailable(
            f"{url} does not answer as a git repository: {_first(error)}.", code="remote_failed"
        ) from None
    except (HTTPError, OSError) as error:
        raise Unavailable(f"{url} cannot be reached: {_first(error)}.", code="remote_unreachable") from None


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
