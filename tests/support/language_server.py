"""An editor, as far as language servers see one: the Language Server Protocol (3.17) over the server's stdin and stdout."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]


class LanguageServer:
    """yaml-language-server, told to hold every document against one schema."""

    def __init__(self, packages: Path, schema: str) -> None:
        self._schema = schema
        self._sent = 0
        self._process = subprocess.Popen(
            ["node", packages / "yaml-language-server" / "bin" / "yaml-language-server", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        snippets = {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}}
        capabilities = {
            "textDocument": {"completion": snippets, "hover": {"contentFormat": ["markdown"]}},
            "workspace": {"configuration": True},
        }
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
        self._tell("initialized", {})

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, method: str, parameters: Message) -> Any:
        """The answer to a request."""
        self._sent += 1
        number = self._sent
        self._write({"id": number, "method": method, "params": parameters})
        answer = self._until(lambda message: message.get("id") == number and "method" not in message)
        assert "error" not in answer, answer
        return answer["result"]

    def opened(self, uri: str, text: str) -> list[Message]:
        """Opens a document; what the server finds wrong with it."""
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        told = self._until(
            lambda message: (
                message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri
            )
        )
        return told["params"]["diagnostics"]

    def _tell(self, method: str, parameters: Message) -> None:
        self._write({"method": method, "params": parameters})

    def _until(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message of this kind; the server's own requests on the way are answered."""
        while not wanted(message := self._read()):
            if message.get("method") == "workspace/configuration":
                asked = [self._settings(item["section"]) for item in message["params"]["items"]]
                self._write({"id": message["id"], "result": asked})
            elif "method" in message and "id" in message:
                self._write({"id": message["id"], "result": None})
        return message

    def _settings(self, section: str) -> Message | None:
        if section != "yaml":
            return None
        return {
            "schemas": {self._schema: "*.yaml"},
            "schemaStore": {"enable": False},
            "validate": True,
            "hover": True,
            "completion": True,
        }

    def _write(self, message: Message) -> None:
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self._process.stdin.flush()

    def _read(self) -> Message:
        stream = self._process.stdout
        assert stream
        length = 0
        while line := stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the language server is gone"
        return json.loads(stream.read(length))
