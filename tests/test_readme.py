"""What the README shows is what happens: its snippets are run as they stand there, but for the port."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.gateway import ROOT, Gateway

README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in SNIPPETS if language == "python"]
CURL = [code for language, code in SNIPPETS if language == "sh" and "curl" in code]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    config = (ROOT / "config" / "omniroute.yaml").read_text()
    own = config.replace("data_dir: .omniroute", "data_dir: {data_dir}").replace("include: [../policies/*.yaml]", "")
    with Gateway(own) as gateway:
        yield gateway


def run(gateway: Gateway, command: list[str], code: str) -> str:
    told = code.replace("http://127.0.0.1:20128", gateway.url)
    assert told != code, "the snippet names the address"
    done = subprocess.run([*command, told], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_a_snippet_for_each_sdk_and_for_curl():
    assert [re.search(r"from (\w+)", code)[1] for code in PYTHON] == ["openai", "anthropic"]
    assert len(CURL) == 2


@pytest.mark.parametrize("code", PYTHON, ids=["openai", "anthropic"])
def test_an_sdks_snippet_prints_the_answer(gateway: Gateway, code: str):
    assert run(gateway, [sys.executable, "-W", "error", "-c"], code).strip() == "You said: Hello there"


def test_the_first_request_is_answered_whole(gateway: Gateway):
    answer = json.loads(run(gateway, ["bash", "-c"], CURL[0]))
    assert answer["choices"][0]["message"]["content"] == "You said: Hello there"
    assert answer["model"] == "demo/echo"
    assert answer["usage"]["completion_tokens"] > 0


def test_the_second_is_streamed_in_anthropics_dialect(gateway: Gateway):
    events = run(gateway, ["bash", "-c"], CURL[1]).strip().split("\n\n")
    names = [event.partition("\n")[0] for event in events]
    assert names[0] == "event: message_start"
    assert names[-2:] == ["event: message_delta", "event: message_stop"]
    data = [json.loads(event.partition("data: ")[2]) for event in events]
    assert "".join(one["delta"].get("text", "") for one in data if one["type"] == "content_block_delta") == (
        "You said: Hello there"
    )
