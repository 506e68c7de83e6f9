"""A bare repository behind git's own HTTP backend."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

TOKEN = "glpat-the-token-of-the-remote"
QUIET = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Somebody Else",
    "GIT_AUTHOR_EMAIL": "else@example.com",
    "GIT_COMMITTER_NAME": "Somebody Else",
    "GIT_COMMITTER_EMAIL": "else@example.com",
}


def git(folder: Path, *arguments: str) -> str:
    """What the real git says."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=os.environ | QUIET, check=True, capture_output=True, text=True).stdout.strip()


class GitServer:
    """Use as a context manager. `url` is the repository's; it asks for the token."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "remote.git"
        self.bare.mkdir(parents=True)
        git(self.bare, "init", "--bare", "--initial-branch=main", ".")
        git(self.bare, "config", "http.receivepack", "true")
        self.asked: list[str] = []
        self.failing: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/remote.git"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def commit(self, files: dict[str, str | None], message: str = "By hand") -> str:
        """Somebody else's commit on main; None deletes a file."""
        clone = self.bare.parent / "clone"
        if not clone.exists():
            git(self.bare.parent, "clone", "--quiet", str(self.bare), str(clone))
            git(clone, "checkout", "--quiet", "-B", "main")
        if self.files():
            git(clone, "fetch", "--quiet", "origin")
            git(clone, "reset", "--quiet", "--hard", "origin/main")
        for name, text in files.items():
            path = clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text)
        git(clone, "add", "--all")
        git(clone, "commit", "--quiet", "-m", message)
        git(clone, "push", "--quiet", "origin", "main")
        return git(clone, "rev-parse", "HEAD")

    def files(self, branch: str = "main") -> dict[str, str]:
        """What the branch holds; nothing where it is not there."""
        if branch not in git(self.bare, "branch", "--format=%(refname:short)").split():
            return {}
        names = git(self.bare, "ls-tree", "-r", "--name-only", branch).splitlines()
        show = ["git", "-C", str(self.bare), "show"]
        return {
            name: subprocess.run([*show, f"{branch}:{name}"], check=True, capture_output=True).stdout.decode()
            for name in names
        }

    def log(self, branch: str = "main") -> list[str]:
        return git(self.bare, "log", "--format=%an|%s", branch).splitlines()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self._serve(b"")

            def do_POST(self) -> None:
                self._serve(self._body())

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length") or 0))
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def _serve(self, body: bytes) -> None:
                server.asked.append(f"{self.command} {self.path}")
                given = self.headers.get("authorization", "")
                user, _, token = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
                if server.failing is not None:
                    self._answer(server.failing, [], b"failing")
                elif token != TOKEN:
                    self._answer(401, [("WWW-Authenticate", "Basic")], b"")
                else:
                    self._backend(body, user)

            def _backend(self, body: bytes, user: str) -> None:
                path, _, query = self.path.partition("?")
                environment = os.environ | {
                    "GIT_PROJECT_ROOT": str(server.bare.parent),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("content-type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "REMOTE_USER": user,
                    "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                }
                ended = subprocess.run(
                    ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
                )
                head, _, content = ended.stdout.partition(b"\r\n\r\n")
                pairs = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if line]
                status = next((int(value.split()[0]) for name, value in pairs if name.lower() == "status"), 200)
                self._answer(status, [pair for pair in pairs if pair[0].lower() != "status"], content)

            def _answer(self, status: int, pairs: list[tuple[str, str]], content: bytes) -> None:
                self.send_response(status)
                for name, value in pairs:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler
