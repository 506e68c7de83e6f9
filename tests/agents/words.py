"""An MCP server on its standard streams, with one function: it reads the note."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LOOKUP = {
    "name": "lookup",
    "description": "Looks a word up",
    "inputSchema": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    match method:
        case "initialize":
            told = {"name": "words", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": told}
        case "tools/list":
            return {"tools": [LOOKUP]}
        case "tools/call":
            return {"content": [{"type": "text", "text": Path(sys.argv[1]).read_text()}]}
        case _:
            return {}


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        result = answer(asked["method"], asked.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
