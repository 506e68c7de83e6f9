"""Another OmniRoute as a remote: its files as one bundle, over its management API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgspec

from omniroute.errors import Conflict, Unavailable
from omniroute.secret import Secret
from omniroute.upstream.remote import Changes, Moved, Proposed, Tip

TIMEOUT = 30.0
LARGEST = 32 << 20
"""Bytes of a bundle."""
PATH = "/api/cloud/bundle"
STATUS = "/api/config/status"
PROPOSED = 202
"""The status of an answer that has made a commit of what was sent."""


class Bundled(msgspec.Struct, frozen=True):
    """What such an instance tells of its files, and takes: by name, None for one to delete."""

    files: Mapping[str, str | None]
    revision: str = ""
    reason: str = ""


class Standing(msgspec.Struct, frozen=True):
    """What runs, by worker: the digest of its revision. `problem` says why a worker does not take the files, empty where
    each does or has not looked yet."""

    workers: Mapping[str, str]
    problem: str = ""


class _Commit(msgspec.Struct):
    commit: str = ""


class _Worker(msgspec.Struct):
    pid: int
    digest: str


class _Status(msgspec.Struct):
    workers: Sequence[_Worker]
    status: str = "synced"
    problems: Sequence[Mapping[str, object]] = ()


class InstanceRemote:
    """The files of another gateway. Everything here waits for the network: call it from a thread."""

    def __init__(self, url: str, token: Secret | None) -> None:
        self._url = url.rstrip("/")
        self._token = token

    @property
    def name(self) -> str:
        """What to call it: its address."""
        return self._url

    def fetch(self) -> Tip:
        """What it runs. Raises Unavailable where it cannot be asked."""
        reply = self._ask("GET")
        return self._tip(reply)

    def push(self, onto: Tip, changes: Changes, message: str, author: str) -> Tip:
        """Has it write these files, which it does only as a whole and where they make a gateway. Raises Moved where it
        runs something else than `onto` by now, and Conflict with its reason where it refuses them."""
        files = {name: None if content is None else content.decode() for name, content in changes.items()}
        body = msgspec.json.encode(Bundled(files, reason=f"{message.splitlines()[0]} ({author})"))
        reply = self._ask("PUT", body, onto.revision)
        if reply.status_code == PROPOSED:
            commit = msgspec.json.decode(reply.content, type=_Commit).commit
            raise Proposed(
                f"{self._url} has made the commit {commit} of it (`mode: git`): it runs when that is merged."
            )
        return self._tip(reply)

    def status(self) -> dict[str, Any]:
        """All that it tells of what runs. Raises Unavailable where it cannot be asked."""
        try:
            told: dict[str, Any] = msgspec.json.decode(self._ask("GET", path=STATUS).content, type=dict[str, Any])
        except msgspec.DecodeError:
            raise Unavailable(f"{self._url} does not answer as an OmniRoute.", code="remote_failed") from None
        return told

    def standing(self) -> Standing:
        """What its workers run. Raises Unavailable where it cannot be asked."""
        try:
            told = msgspec.convert(self.status(), _Status)
        except msgspec.ValidationError:
            raise Unavailable(f"{self._url} does not answer as an OmniRoute.", code="remote_failed") from None
        workers = {str(one.pid): one.digest for one in told.workers}
        return Standing(workers, _problem(told.problems) if told.status == "failed" else "")

    def _ask(self, method: str, body: bytes | None = None, onto: str = "", path: str = PATH) -> httpx.Response:
        headers = {"content-type": "application/json"} if body is not None else {}
        if onto:
            headers["if-match"] = f'"{onto}"'
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token.reveal()}"
        try:
            with (
                httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client,
                client.stream(method, f"{self._url}{path}", content=body, headers=headers) as reply,
            ):
                content = bytearray()
                for piece in reply.iter_raw():
                    content += piece
                    if len(content) > LARGEST:
                        raise Unavailable(f"{self._url} answers with more than fits here.", code="remote_failed")
        except httpx.HTTPError as error:
            told = f"{self._url} cannot be reached: {type(error).__name__}."
            raise Unavailable(told, code="remote_unreachable") from None
        return self._judged(httpx.Response(reply.status_code, headers=reply.headers, content=bytes(content)))

    def _judged(self, reply: httpx.Response) -> httpx.Response:
        if reply.status_code in (200, PROPOSED):
            return reply
        told = _message(reply.content)
        if reply.status_code == 412:
            raise Moved("The other instance has changed meanwhile. Look at it again.")
        if reply.status_code in (401, 403):
            raise Unavailable(f"{self._url} does not take the token: {told}", code="remote_unauthorized")
        if reply.status_code in (409, 422):
            raise Conflict(f"{self._url} refuses the files: {told}", code="remote_refused")
        raise Unavailable(f"{self._url} answers with {reply.status_code}: {told}", code="remote_failed")

    def _tip(self, reply: httpx.Response) -> Tip:
        try:
            told = msgspec.json.decode(reply.content, type=Bundled)
        except msgspec.DecodeError:
            raise Unavailable(f"{self._url} does not answer as an OmniRoute.", code="remote_failed") from None
        files = {name: text.encode() for name, text in told.files.items() if text is not None}
        return Tip(told.revision, files)


def near(host: str, port: int) -> str:
    """The address at which a gateway that listens there is asked from its own machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - every address is also this one
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def answers(url: str, patience: float) -> bool:
    """Whether an OmniRoute listens there, within so many seconds; it needs no key for that."""
    try:
        with httpx.Client(timeout=patience, trust_env=False) as client:
            return "x-omniroute-config" in client.get(f"{url}/livez").headers
    except httpx.HTTPError:
        return False


def _message(content: bytes) -> str:
    try:
        error = msgspec.json.decode(content)["error"]
        problems = error.get("problems")
        return _problem(problems) if problems else str(error["message"])[:300]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, IndexError):
        return "no reason is given."


def _problem(problems: Sequence[Mapping[str, object]]) -> str:
    """The first finding with its place, and how many there are besides."""
    first = problems[0] if problems else {}
    place = f"{first['file']}:{first['line']} " if first.get("line") else ""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{place}{str(first.get('message', 'no reason is given'))[:300]}{more}"
