"""Writes the pages that are made from the code: `make generate`. With `--check` it only says which are not current.

What the code knows is taken from it; what people need to know besides stands here, and a setting, code or endpoint
about which nothing stands here or there ends the run, so that none goes undocumented.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import translation

from omniroute import api, catalog, cli
from omniroute.config import bundle, report, secrets
from omniroute.config.problems import CODES, ONLINE
from omniroute.config.schema import schema
from omniroute.config.spec import words
from omniroute.errors import ConfigError, Problem
from omniroute.relay import headers, ingress
from omniroute.telemetry import table

ROOT = Path(__file__).resolve().parents[1]
BAD = Path("tests/config/bad")
NOTE = "<!-- Made by docs/generate.py: `make generate`. -->\n"

# ------------------------------------------------------------------------------------------------------- configuration

ENVIRONMENT = {
    "config": ("OMNIROUTE_CONFIG", "The main file, where no `--config` is given. Else `config/omniroute.yaml`."),
    "port": ("PORT", "The port to listen on, instead of `server.port`; `--port` counts more."),
    "require_api_key": ("REQUIRE_API_KEY", "`true` or `false`, instead of `auth.require_api_key`."),
    "initial_password": (
        "INITIAL_PASSWORD",
        "The administrator's password as long as there is no `auth.password_hash`.",
    ),
    "secret_key": (
        "OMNIROUTE_SECRET_KEY",
        "Seals the secrets that are kept in `server.data_dir` (AES-256-GCM); without it only the mode of the file guards them.",
    ),
    "log_level": ("OMNIROUTE_LOG_LEVEL", "`DEBUG`, `INFO`, `WARNING` or `ERROR`; else `INFO`."),
}
WORDS = {
    words.Name: "name",
    words.ProviderName: "name",
    words.ConnectionName: "name",
    words.ModelName: "model name",
    words.QualifiedModel: "`provider/model`",
    words.Reference: "model name",
    words.Pattern: "name or pattern",
    words.Duration: "duration",
    words.Lasting: "duration above 0",
    words.Size: "size",
    words.Frequency: "number in a time, `60/1m`",
    words.Percent: "share, `80%`",
    words.TimeOfDay: "time of the day, `09:30`",
    words.Day: "day",
    words.SecretRef: "secret reference",
    words.ClientId: "text or reference",
    words.PasswordHash: "hash or secret reference",
    words.Address: "address",
    words.Network: "address or network",
    words.ProxyAddress: "proxy address",
    words.NoProxy: "host, pattern, address or network",
    words.ConnectionId: "`provider.connection`",
    words.HeaderName: "header",
}
SHORT = {get_args(form)[1].pattern: word for form, word in WORDS.items()}
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "object": "map",
}
INTRODUCTION = """
# The configuration

Everything that a file may say, with type, default and meaning. `config/omniroute.yaml` shows it in use,
`config/schema.json` is the same for editors (first line: `# yaml-language-server: $schema=./schema.json`), and
`omniroute validate` tells every mistake with its place; [problems.md](problems.md) explains each. [files.md](files.md) is
about layout, overlays for environments and the way from other gateways.

- A **duration** has a unit: `500ms`, `30s`, `5m`, `12h`, `1d`. A **size** too: `64KiB`, `20MiB`. A **day** is
  `2027-06-30`, and UTC. Prices are USD per million tokens.
- A **secret reference** is `${env:NAME}`, `${file:/path}`, or `${secret:NAME}` for one that was handed to the gateway
  through `/api`, which keeps it in `server.data_dir`; a value that stands in the file is an error. An **address** is `http://…` or `https://…`, or such a reference.
- Optional means absent, never null; an unknown key is an error. Only `true`, `false` and plain decimal numbers are
  anything but text: `on`, `yes`, `012` and `22:22` are what they look like.
- A saved change counts from the next request on, without a restart; only `host`, `port`, `data_dir` and
  `drain_timeout` of `server` count from the next start on, and the log says so.
- `<name>` stands for a name that you choose, `[]` for each item of a list, and – for a setting that has no default.

## From the environment

| Variable | Meaning |
|---|---|
"""


def configuration() -> str:
    """Every setting of the file, in its order."""
    assert set(ENVIRONMENT) == set(secrets.Environment.__struct_fields__)
    rows = "".join(f"| `{variable}` | {meaning} |\n" for variable, meaning in ENVIRONMENT.values())
    page = f"{NOTE}{INTRODUCTION}{rows}\nAnything else that comes from the environment is named in the file.\n"
    for place, node in _maps(schema(), ""):
        heading = f"`{place}`" if place else "The file"
        page += f"\n## {heading}\n\n{_described(node, place)}\n\n{_table(node, place)}"
    return page


def _maps(node: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The maps that have keys of their own, from the outermost on, each with its place."""
    yield place, node
    for name, each in node["properties"].items():
        for step, found in _below(each):
            yield from _maps(found, _at(place, name) + step)


def _below(node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The maps that a value is or holds, with the step to them."""
    if "$ref" in node:
        yield "", schema()["$defs"][node["$ref"].rpartition("/")[2]]
    for each in node.get("anyOf", ()):
        yield from _below(each)
    for key, step in (("additionalProperties", ".<name>"), ("items", "[]")):
        if isinstance(node.get(key), dict):
            yield from ((step + place, found) for place, found in _below(node[key]))


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _table(node: dict[str, Any], place: str) -> str:
    rows = ["| Setting | Type | Default | Meaning |", "|---|---|---|---|"]
    for name, each in node["properties"].items():
        at = _at(place, name)
        default = "required" if name in node.get("required", ()) else _default(each)
        rows.append(f"| `{name}` | {_kind(each, at)} | {default} | {_described(each, at)} |")
    return "\n".join(rows) + "\n"


def _described(node: dict[str, Any], place: str) -> str:
    text: str = node.get("description", "")
    assert text, f"{place} has no description"
    return text


def _default(node: dict[str, Any]) -> str:
    if "default" not in node:
        return "–"
    value = node["default"]
    return f"`{value if isinstance(value, str) else msgspec.json.encode(value).decode()}`"


def _kind(node: dict[str, Any], at: str) -> str:
    """What a value may be; a map with keys of its own leads to its section."""
    if "enum" in node:
        return " · ".join(f"`{each}`" for each in node["enum"])
    if "$ref" in node:
        return f"[map](#{re.sub(r'[^a-z0-9_]', '', at)})"
    if "anyOf" in node:
        return " or ".join(_kind(each, at) for each in node["anyOf"])
    if node.get("type") == "array":
        return f"list: {_kind(node['items'], f'{at}[]')}"
    if isinstance(node.get("additionalProperties"), dict):
        names, values = node["propertyNames"], node["additionalProperties"]
        return f"by {_kind(names, at)}: {_kind(values, f'{at}.<name>')}"
    kind = SHORT.get(node.get("pattern")) or KINDS.get(node.get("type", "string"), "")
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None:
        kind += f", {low} to {high}" if high is not None else f", at least {low}"
    return kind


# ------------------------------------------------------------------------------------------------------------- problems

PROBLEMS = """
# What `omniroute validate` finds

All findings of all files come at once. Each has a code that never changes its meaning, a place, a reason and, where
there is one, a suggestion. A running gateway tells the same in its log and under `GET /api/config/status`, and goes on
with the last good configuration.

| Exit code | of `omniroute validate` |
|--:|---|
| 0 | nothing found, or warnings only |
| 1 | errors |
| 2 | wrong usage of the command |
| 3 | warnings, under `--strict` |

`omniroute serve` ends with 78 where the configuration does not make a gateway. `--output json` is for programs,
`--output github` makes annotations in a pull request, and `--resolve` also follows the references to secrets.
"""
GROUPS = {
    "OR0": "The file as text",
    "OR1": "Keys, types and values",
    "OR2": "What refers to what",
    "OR3": "What it means",
    "OR4": "Warnings",
}
ASKED = """
## What providers say

Only `omniroute validate --online` tells these: it makes one small call with each connection, and holds the models that the
files name against the lists of their providers.
"""
ONLINE_REMEDIES = {
    "OR501": "The finding says how the call ended and what the provider said. Correct the key, the address or the proxy.",
    "OR502": "Correct the name, or ask the provider for access. A request for the model will probably fail.",
}
REMEDIES = {
    "OR001": "Check the path and the permissions. `omniroute init` writes a first file.",
    "OR002": "Save the file as UTF-8, without other encodings in between.",
    "OR003": "Delete the character: it looks like nothing and means something. It may have come along when pasting.",
    "OR004": "The place is where the parser lost the thread; the mistake may be on the line above. Mind indentation "
    "(spaces, no tabs), the space after `:` and quotes around text that begins with `@`, `*`, `&`, `%` or `!`.",
    "OR005": "Keep one of the two. Otherwise one would silently win.",
    "OR006": "Leave the tag out: the language has no types of its own and runs nothing.",
    "OR007": "Split the file with `include`, or look for a generator that went wrong.",
    "OR008": "Write the part out. Anchors are for a few repetitions within one file.",
    "OR009": "Use text, a number or nothing else as a key.",
    "OR010": "Begin with `version: 1` and go on with the sections as keys; keep one document in a file.",
    "OR011": "Give a path relative to the main file, inside the directory above it. Only the main file includes.",
    "OR012": "Decide which file owns the object, and delete it from the other.",
    "OR101": "Correct the key; [configuration.md](configuration.md) has all of them.",
    "OR102": "Add the key.",
    "OR103": "Give a value of the type. Quotes make text of what looks like a number.",
    "OR104": "Take one of the values that are named.",
    "OR105": "Write it in the form that is named.",
    "OR106": "Stay within the limits that are named.",
    "OR107": "Add what is missing, or split what is too much.",
    "OR108": "Leave the key out, or give it a value; an empty map is `{}`, an empty list `[]`.",
    "OR109": "Take another name: they stand in paths, headers and logs.",
    "OR110": "Put the value into the environment or a mounted file and its name here. If it was committed, it is known: "
    "revoke it at the provider.",
    "OR111": "Set the variable or mount the file where the gateway runs. `omniroute validate` without `--resolve` does "
    "not look, so that CI needs no secrets.",
    "OR112": "Refer to a regular file of at most 64 KiB, outside of `/proc`, `/sys` and `/dev`.",
    "OR113": "Correct what the variable or file holds: one line of printable text, of the form that the setting has. "
    "Its value is not shown, because it may be a secret.",
    "OR201": "Take a name of the catalogue, or make it a node of your own with `type` and `base_url`.",
    "OR202": "Take `provider/model`, or the name of an alias or combo that is in the files.",
    "OR203": "Take one of the targets out, so that the combo ends in models.",
    "OR204": "Point one of the aliases at a model.",
    "OR205": "Take the name of a key under `keys`, or match by `tags`.",
    "OR206": "Fill it in under `variables`.",
    "OR207": "Say which one: `provider/model`.",
    "OR220": "Take the name of one under `limits` or `budgets`.",
    "OR230": "Take a name that is in the files; a connection is `provider.connection`.",
    "OR240": "Take the name of a key under `keys`.",
    "OR290": "Correct the name, or add what it names.",
    "OR291": "Correct the name, or add what it names.",
    "OR301": "Rename one of them; callers would never reach the alias.",
    "OR302": "Give the connection its `api_key`, by reference.",
    "OR303": "Make another key: `omniroute key new`.",
    "OR304": "Take a day that exists.",
    "OR305": "Set what is named, all of it, or listen on `127.0.0.1`. `omniroute serve --insecure` starts all the same, "
    "for closed test networks.",
    "OR306": "Correct the address; its host has to be one that a gateway may call.",
    "OR308": "Add what is missing: a node of your own has a `type` and a `base_url`.",
    "OR309": "Take formats that the provider speaks, or leave `formats` out.",
    "OR310": "Have at most as many stars on the right as on the left.",
    "OR311": "Leave it out: the gateway sets it itself, for every request.",
    "OR312": "Exchange the two.",
    "OR313": "Make the nesting flatter; what is 17 deep, nobody can follow in an incident.",
    "OR320": "Say how many `requests` or `tokens` there may be in a time, or how many `concurrent` requests.",
    "OR321": "Take a name of the IANA database, such as `Europe/Berlin`. Where the machine has none, install `tzdata`.",
    "OR322": "Say what it costs, under `pricing` or with the model of your own node; `{input: 0, output: 0}` where it "
    "costs nothing. Without a price a budget could not be kept.",
    "OR330": "Write an address, or a network with no bit set beyond its prefix: `10.0.0.0/8`, not `10.0.0.1/8`.",
    "OR331": "List who may use the client API, or leave the filter `off`.",
    "OR334": "Take one of the two away; a second gateway may follow the first, or the same branch.",
    "OR332": "Add the `username`, or take the password away.",
    "OR333": "Leave `transport` out, so that the provider is called by the client that knows proxies; or add its host to "
    "`no_proxy`, where it is to be called directly.",
    "OR340": "Keep the key in one of the groups: whose answers it gets must be one thing.",
    "OR341": "Switch `cache.exact` on as well, or leave `cache.semantic` out.",
    "OR350": "Route to a name that no other policy routes away from. Routing happens once, so each would be served as the "
    "other.",
    "OR351": "Let the hours end at another time than they begin.",
    "OR352": "Write it in the syntax of RE2 without anchors, look-around and back-references; what redacts answers has "
    "to have an end, because that much of a stream is held back.",
    "OR353": "Name a pattern, or give an expression of your own.",
    "OR360": "Send a key, or say under the provider's `oauth` how one signs in there; [oauth.md](oauth.md) shows it.",
    "OR361": "Add the address; the provider's documentation has it, often as its authorization server metadata.",
    "OR362": "Make two connections of it, one for the key and one for the sign-in.",
    "OR370": "Leave `telemetry.payloads.store` out: words of prompts and answers are never kept. Where an extra is missing, "
    "install what the finding names.",
    "OR390": "Correct the value: as it stands, the request could not be made.",
    "OR391": "Say who is asked and what is expected of the answer, in words that can be used.",
    "OR401": "Delete it or rename it: something else always comes first.",
    "OR402": "Delete it: what stands before it is always taken.",
    "OR403": "Delete the key, or extend it.",
    "OR404": "Use https, or an address inside your own network.",
    "OR405": "Check the spelling. If the model is newer than the catalogue, describe it under the provider's `models`.",
    "OR406": "Correct the pattern or delete it: as it stands, it allows or denies nothing.",
    "OR408": "Delete it, or correct its name.",
    "OR409": "Add a connection with an `api_key`, or delete the provider. Until then whoever asks for its models is refused.",
    "OR420": "Make the wait shorter than `timeouts.total`, or leave it: the deadline ends the wait.",
    "OR421": "Name it where it is to hold, or delete it.",
    "OR430": "Delete it: the wider one has all of its addresses.",
    "OR431": "Delete the list, or change the `mode`.",
    "OR432": "If programs on this machine are to use the gateway, allow `127.0.0.1` and `::1`. But mind that behind a "
    "proxy on this machine that is not in `server.trusted_proxies` everybody has that address.",
    "OR441": "Add a target, or delete `hedge`.",
    "OR442": "Describe the model, or order by something else: what is not known goes last.",
    "OR443": "Give the others the same `quota_group`, or delete it.",
    "OR444": "Leave one target without `when`, so that no request is refused for want of one.",
    "OR450": "Correct the condition, or delete the policy: as it stands, it is for no request.",
    "OR451": "Delete the rule, or narrow the denial.",
    "OR452": "Give it what it needs, or switch it off.",
    "OR490": "Show with a scenario what it does, and `omniroute test` says when it no longer does.",
}


def problems() -> str:
    """Every code, with an example from the corpus of bad files."""
    assert set(REMEDIES) == set(CODES)
    assert set(ONLINE_REMEDIES) == set(ONLINE)
    examples = _examples()
    page = NOTE + PROBLEMS
    for prefix, title in GROUPS.items():
        page += f"\n## {title}\n"
        for code, meaning in CODES.items():
            if code.startswith(prefix):
                page += f"\n### {code}: {meaning}\n\n```text\n{examples[code]}\n```\n\n{REMEDIES[code]}\n"
    page += ASKED
    for code, meaning in ONLINE.items():
        page += f"\n### {code}: {meaning}\n\n{ONLINE_REMEDIES[code]}\n"
    return page


def _examples() -> dict[str, str]:
    """For each code the finding that stands in the least company, as the command line shows it."""
    best: dict[str, tuple[int, str, Problem]] = {}
    for file in sorted(BAD.glob("*.yaml")):
        found = _findings(file)
        for problem in found:
            rank = (len(found), file.name, problem)
            if problem.code not in best or rank[:2] < best[problem.code][:2]:
                best[problem.code] = rank
    return {code: _told(problem) for code, (_, _, problem) in best.items()}


def _findings(file: Path) -> list[Problem]:
    try:
        read = bundle.read(file, catalog.load())
    except ConfigError as error:
        return list(error.problems)
    return [*read.warnings, *(secrets.missing(read) if file.read_bytes().startswith(b"# resolve") else ())]


def _told(problem: Problem) -> str:
    text, _, _count = report.FORMS["text"]([problem], False).rpartition("\n\n")
    return text.replace(f"{BAD}/", "")


# ------------------------------------------------------------------------------------------------------------ endpoints

ENDPOINTS = """
# The endpoints

Every answer has an `X-Request-Id` (the client's own if it sent one); every answer of the client API also names the
revision of the configuration that made it in `X-OmniRoute-Config`, and once a provider is chosen
`X-OmniRoute-Provider`, `X-OmniRoute-Model` and `X-OmniRoute-Attempts`. `X-OmniRoute-Losses` names what a translation
could not carry, `X-OmniRoute-Shadow` the policies in the shadow that would have acted; whole answers tell what they took in `X-OmniRoute-Tokens-In`, `-Tokens-Out` and `-Cost` (USD).

Where limits hold for a request, answers tell what is left in `x-ratelimit-limit-requests`, `-remaining-requests` and
`-reset-requests`, and the same of `-tokens`: of several limits the one with the least left. `X-OmniRoute-Budget` tells
of budgets past their `warn_at`, as `team-a;spent=41.2;limit=50;percent=82`, and with `;route=…` where the end of one has
sent the request elsewhere. Every 429 has a `Retry-After`; one that lasts longer than a minute also
`x-should-retry: false`, which the SDKs of OpenAI and Anthropic obey. [limits.md](limits.md) has the rest.

A key is sent as `Authorization: Bearer`, `x-api-key`, `x-goog-api-key` or `?key=`. Two different ones in one request
are a 400, and a wrong one is a 401 also where none is needed. A client that insists on sending one and has none sends
`anonymous`. Errors come in the shape of the surface: OpenAI's, Anthropic's, or on the management plane
`{"error": {"code", "message", "hint", "problems"}}`.

## Client API

| Endpoint | Format | Body at most | What it does |
|---|---|---|---|
"""
MANAGEMENT = """
## Management

| Endpoint | Who | What it does |
|---|---|---|
"""
ACCESS = """
*public* needs nothing. *admin.read* and *admin.write* need a login (`POST /api/auth/login`) or a key with that role.
Under a login, what writes also needs the header `X-OmniRoute-CSRF`, with the `csrfToken` that the login answered. `/api`
answers only under IP addresses, `localhost`, `*.local` and `server.allowed_hosts`.
"""
CLIENT_TEXTS = {
    "POST /v1/chat/completions": "Answers a chat request, as a stream if `stream` is true. Whatever the provider "
    "speaks, the answer has this format.",
    "POST /v1/completions": "The same for clients of the time before chat: the prompt is a user's message.",
    "POST /v1/messages": "The same for clients that speak Anthropic's Messages.",
    "POST /v1/messages/count_tokens": "Counts the tokens of a request: by the provider where it can, else by the "
    "gateway, for the model that would serve it and on the high side, which the answer marks as `estimated`.",
    "POST /v1/responses": "The same for clients that speak OpenAI's Responses. `previous_response_id` goes on with an "
    "answer that is kept here (`responses` of the configuration), whichever provider gave it.",
    "GET /v1/responses": "`GET /v1/responses/{id}` gives an answer that is kept, to the key that asked for it.",
    "DELETE /v1/responses": "`DELETE /v1/responses/{id}` forgets it.",
    "POST /v1/responses/input_tokens": "Counts the tokens of a request as `count_tokens` does.",
    "POST /v1/audio/transcriptions": "Turns speech into text: OpenAI's form with a `file` (mp3, mpga, "
    "mpeg, wav, m4a, mp4, flac, ogg, webm), answered as `json`, `text`, `srt`, `vtt`, `verbose_json` or `diarized_json`, "
    "as a stream if `stream` is true. How long the audio is stands in JSON answers as `duration`, and of every whole one "
    "in `X-OmniRoute-Audio-Seconds`.",
    "POST /v1/embeddings": "Makes vectors of texts or tokens, as lists or as base64, whatever form the provider's come in.",
    "GET /v1/embeddings": "Lists the models for it.",
    "POST /v1/images/generations": "Draws images. What a provider does not take of the request is told in "
    "`X-OmniRoute-Losses`.",
    "GET /v1/images/generations": "Lists the models for it.",
    "GET /v1/models": "Lists what `model` may be: combos, aliases and `provider/model`, as far as the key allows. "
    "`GET /v1/models/{id}` gives one. In Anthropic's shape, in pages, to clients that send `anthropic-version`; in Gemini's to those that send `x-goog-api-key`.",
    "POST /v1/models": "The same as `/v1beta/models`, which Google's newer clients no longer ask.",
    "POST /v1/providers": "`/v1/providers/{provider}/chat/completions` and the other endpoints below `/v1` that take a "
    "model, for one provider's models alone, which need no prefix there.",
    "POST /v1beta/models": "`/v1beta/models/{model}:{action}` for clients that speak Gemini's: `generateContent`, "
    "`streamGenerateContent` (a JSON array, or events with `alt=sse`), `countTokens`, `embedContent`, "
    "`batchEmbedContents`.",
    "GET /v1beta/models": "The list of models in Gemini's shape and pages; `GET /v1beta/models/{id}` gives one.",
    "POST /api/v1beta/models": "The same as `/v1beta/models`.",
    "GET /api/v1beta/models": "The same as `/v1beta/models`.",
    "POST /api/chat": "Answers clients that speak Ollama's chat: a stream of lines unless `stream` is false.",
    "POST /v1/api/chat": "The same as `/api/chat`.",
    "POST /api/generate": "The same for a single prompt.",
    "GET /api/tags": "The list of models for clients that speak Ollama.",
    "GET /api/ps": "The same list as those that are ready, for there is nothing to load.",
    "GET /api/version": "The version of Ollama that is spoken like.",
    "POST /api/show": "What is known of one model.",
    "POST /api/embed": "Vectors for clients that speak Ollama.",
    "POST /api/embeddings": "The same as Ollama had it first: one `prompt`, one `embedding`.",
}


def endpoints() -> str:
    """Every row of both planes."""
    clients = {f"{row.method} {row.path}": row for row in ingress.ENDPOINTS}
    management = {f"{row.method} {row.path}": row for row in api.ENDPOINTS}
    assert set(CLIENT_TEXTS) == set(clients)
    page = NOTE + ENDPOINTS
    for name, row in clients.items():
        limit = (
            "`server.audio_limit`"
            if row.form
            else "`server.body_limit`"
            if row.body_limit is None
            else "none"
            if not row.body_limit
            else f"{row.body_limit / 2**20:g} MiB"
        )
        page += f"| `{name}` | {row.format} | {limit} | {CLIENT_TEXTS[name]} |\n"
    page += MANAGEMENT
    for name, one in management.items():
        page += f"| `{name}` | {one.access} | {one.summary} |\n"
    return page + ACCESS


HEADERS = """
# Headers

What the client API says and hears in headers of its own, on every surface.

## Of a request

| Header | Meaning |
|---|---|
"""


def spoken_headers() -> str:
    """The page of headers, from the tables beside the code that writes them."""
    rows = ["".join(f"| `{name}` | {text} |\n" for name, text in one.items()) for one in TOLD]
    return NOTE + HEADERS + rows[0] + "\n## Of an answer\n\n| Header | Meaning |\n|---|---|\n" + rows[1]


TOLD = (headers.ASKED, headers.ANSWERED)
COMMANDS = """
# The command line

Every verb with its options. `omniroute VERB --help` says the same; where no file is named, the main file is
`$OMNIROUTE_CONFIG` or `config/omniroute.yaml`.
"""


def commands() -> str:
    """Every verb, from the parser."""
    return NOTE + COMMANDS + "".join(_verb(words, one) for words, one in cli.commands(cli.parser()))


def _verb(words: tuple[str, ...], parser: argparse.ArgumentParser) -> str:
    example, _, codes = (parser.epilog or "").removeprefix("example: ").partition("\n\n")
    rows = "".join(
        f"| {_spelling(action)} | {_escaped(action.help % vars(action) if action.help else '')} |\n"
        for action in parser._actions
        if action.dest != "help"
    )
    table = f"\n| | |\n|---|---|\n{rows}" if rows else ""
    told = f"\n{codes[0].upper()}{' '.join(codes[1:].split())}.\n" if codes else ""
    return f"\n## {' '.join(words)}\n\n{parser.description}\n\n```sh\n{example}\n```\n{table}{told}"


def _spelling(action: argparse.Action) -> str:
    values = f"{{{','.join(map(str, action.choices))}}}" if action.choices else ""
    takes = "" if action.nargs == 0 else f" {values or action.metavar or action.dest.upper()}"
    if not action.option_strings:
        return f"`{values or action.metavar or action.dest}`"
    return ", ".join(f"`{name}{takes}`" for name in action.option_strings)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


METRICS = """
# Metrics, traces and logs

`telemetry` of the [configuration](configuration.md) says what the gateway tells of itself. All of it is made from the
records of requests that are over, behind their backs; nothing holds a word of prompts and answers, and to store them is not
supported. `examples/observability/` has the configuration of a Prometheus, alerts and a dashboard for Grafana.

## Metrics

`GET /metrics` needs a key with the role `admin.read` (or a login); `telemetry.metrics: public` gives it to everyone who can
reach the gateway, `false` to nobody. As `/api` does, it answers under IP addresses, `localhost`, `*.local` and
`server.allowed_hosts`.

Labels are names of the configuration: what a client made up is `other`, and what is not there (no key, no route) is empty.
A counter goes on over reloads, and its series of a key, route, provider or connection that is gone is dropped. A metric has
10,000 series at most; what comes besides is counted where all labels are `other`. The request that was just answered counts
at the next scrape. Metrics are of one process. Besides these there are `process_*` and `python_*` of the Python client.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""
TRACES = """
## Traces

With `pip install 'omniroute[otel]'` and `telemetry.traces.otlp` each request is a span and each call of a provider another
below it, sent by OTLP over HTTP in batches, with their true times and the attributes of OpenTelemetry's conventions for
[GenAI](https://opentelemetry.io/docs/specs/semconv/gen-ai/): `gen_ai.operation.name`, `gen_ai.provider.name`,
`gen_ai.request.model`, `gen_ai.response.model`, `gen_ai.usage.*`, `error.type`; what they have no name for begins with
`omniroute.`: the key, route, connection, outcome, cost in USD, revision, and the gateway's own time.

A request that comes with `traceparent` stays in that trace, and is told if it says so; of all others the share `ratio` is.
Providers are handed a `traceparent` below the span of the attempt, also where it is not told; nothing else of the caller's
trace (`tracestate`, `baggage`) goes on. Without `traces` nothing is read and nothing handed on. What the collector does not
take in time is dropped; at the end it has three seconds for the last spans.

## Logs

Lines go to standard error: text, or with `telemetry.logs.format: json` an object each, with `time`, `level`, `logger` and
`message`. With `telemetry.logs.requests` each request has one of the logger `omniroute.requests`: `request_id`, `key`,
`requested`, `provider`, `connection`, `model`, `status`, `ms`, `upstream_ms`, `gateway_ms`, `ttft_ms`, `attempts`, tokens and
`cost_usd`. Whatever stands in a name, an event is one line, without control characters.
"""


def metrics() -> str:
    """Every metric, from the table that it is made by."""
    rows = "".join(
        f"| `{row.full}` | {row.kind} | {', '.join(f'`{each}`' for each in row.labels) or '–'} | {row.help} |\n"
        for row in table.METRICS
    )
    return NOTE + METRICS + rows + TRACES


PAGES = {
    "metrics.md": metrics,
    "configuration.md": configuration,
    "problems.md": problems,
    "endpoints.md": endpoints,
    "headers.md": spoken_headers,
    "cli.md": commands,
    "translation.md": lambda: NOTE + translation.page(),
}


def main(arguments: list[str]) -> int:
    """Writes the pages, or says which of them would change."""
    os.chdir(ROOT)
    os.environ |= {"OMNIROUTE_TEST_TEXT": "not an address", "OMNIROUTE_TEST_LINES": "two\nlines"}  # what bad files name
    stale = []
    for name, make in PAGES.items():
        file, text = ROOT / "docs" / name, make()
        if not file.exists() or file.read_text() != text:
            stale.append(f"docs/{name}")
            if "--check" not in arguments:
                file.write_text(text)
    if "--check" in arguments and stale:
        print(f"not current: {', '.join(stale)}; run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
