"""What translation costs: every client's format before every upstream's, next to a bare relay: `make bench-pairs`.

    python bench/pairs.py                    the table, about five minutes
    python bench/pairs.py --quick            one short round
    python bench/pairs.py --require          exit status 1 where a pair is beyond its goal

The relay is asked in the upstream's format and hands the same answer on, so a ratio is what the gateway's work costs
above the least that could be done for the same bytes. Measured as in `run.py`: CPU time of the process tree, each pair
right after the relay's turn, the median of the rounds' ratios.
"""

import argparse
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec
from run import free_ports, new_key
from subject import CORES, LOAD_CORE, SERVER_CORE, Phase, Subject, running
from upstream import DELTAS

HERE = Path(__file__).parent
WHOLE, STREAMED = 3.5, 2.5
"""The goals: CPU time of an answer, and of a delta of a stream, as multiples of the relay's."""
TYPES = {
    "openai_chat": "openai-compatible",
    "openai_responses": "openai-compatible",
    "anthropic": "anthropic-compatible",
    "gemini": "gemini-compatible",
    "ollama": "ollama-compatible",
}
BASES = {"gemini": "/v1beta", "ollama": ""}
CONFIG = """\
version: 1
server: {{data_dir: {data}}}
auth: {{require_api_key: true}}
keys: {{bench: {{digest: "{digest}"}}}}
providers:
"""
PROVIDER = """\
  {name}:
    type: {type}
    base_url: http://127.0.0.1:{upstream}{base}
    formats: [{format}]
    connections: {{main: {{api_key: "${{env:BENCH_UPSTREAM_KEY}}"}}}}
    models: {{m: {{context: 128000, price: {{input: 0.15, output: 0.6}}}}}}
"""
QUESTION = "What does an AI gateway do, and why would one want it? Be brief."


class Pair(Phase, frozen=True):
    """A phase of one client's format before one upstream's."""

    client: str = ""
    upstream: str = ""


class Server(Subject):
    """The gateway with a `key`, asked in the client's format; a relay without, asked in the upstream's."""

    def request(self, phase: Phase) -> bytes:
        if not isinstance(phase, Pair):
            return super().request(phase)
        name = phase.client if self.key else phase.upstream
        model = f"{phase.upstream.replace('_', '-')}/m" if self.key else "m"
        path, body = ask(name, model, stream=phase.stream)
        text = msgspec.json.encode(body)
        head = [
            f"POST {path} HTTP/1.1",
            f"host: 127.0.0.1:{self.port}",
            f"authorization: Bearer {self.key or 'none'}",
            "content-type: application/json",
            f"content-length: {len(text)}",
        ]
        return "\r\n".join([*head, "", ""]).encode() + text

    def mark(self, phase: Phase) -> bytes:
        if not isinstance(phase, Pair):
            return super().mark(phase)
        return MARKS[phase.client if self.key else phase.upstream][phase.stream]


def ask(name: str, model: str, *, stream: bool) -> tuple[str, dict[str, object]]:
    """A short request in a format: where to, and its body. A temperature above 0, so that no cache may answer."""
    said = [{"role": "user", "content": QUESTION}]
    asked: dict[str, object] = {"model": model, "stream": stream, "temperature": 0.7}
    match name:
        case "openai_chat":
            return "/v1/chat/completions", asked | {"messages": said, "max_tokens": 512}
        case "anthropic":
            return "/v1/messages", asked | {"messages": said, "max_tokens": 512}
        case "openai_responses":
            return "/v1/responses", asked | {"input": said, "max_output_tokens": 512, "store": False}
        case "ollama":
            options = {"temperature": 0.7, "num_predict": 512}
            return "/api/chat", {"model": model, "stream": stream, "messages": said, "options": options}
        case _:
            contents = [{"role": "user", "parts": [{"text": QUESTION}]}]
            action = "streamGenerateContent?alt=sse" if stream else "generateContent"
            config = {"temperature": 0.7, "maxOutputTokens": 512}
            return f"/v1beta/models/{model}:{action}", {"contents": contents, "generationConfig": config}


MARKS = {
    "openai_chat": (b'"chat.completion"', b'"delta":{"content":'),
    "anthropic": (b'"end_turn"', b'"text_delta"'),
    "openai_responses": (b'"object":"response"', b'"response.output_text.delta"'),
    "gemini": (b'"finishReason":"STOP"', b'"candidates"'),
    "ollama": (b'"done":true', b'"message"'),
}
"""What a whole answer of a format holds, and every delta of a stream."""
PAIRS = [(client, upstream) for upstream in TYPES for client in TYPES]


def phases(client: str, upstream: str) -> tuple[Pair, Pair]:
    name = f"{client} > {upstream}"
    return (
        Pair(f"{name}, whole", name, 8, client=client, upstream=upstream),
        Pair(f"{name}, stream", name, 32, stream=True, client=client, upstream=upstream),
    )


def run(home: Path, rounds: int, seconds: float) -> dict[tuple[str, str, bool], tuple[float, float]]:
    """By client, upstream and whether it streams: the gateway's CPU time in µs, and as a multiple of the relay's."""
    port, relay_port, upstream_port = free_ports(3)
    key = new_key(home)
    config = home / "omniroute.yaml"
    config.write_text(
        CONFIG.format(data=home / "data", digest=key.digest)
        + "".join(
            PROVIDER.format(
                name=name.replace("_", "-"), type=kind, upstream=upstream_port, base=BASES.get(name, "/v1"), format=name
            )
            for name, kind in TYPES.items()
        )
    )
    serve = f"-m omniroute serve --config {config} --host 127.0.0.1 --port {port}".split()
    commands = {
        "upstream": ([str(HERE / "upstream.py"), str(upstream_port)], upstream_port, LOAD_CORE, ""),
        "relay": ([str(HERE / "relay.py"), str(relay_port), str(upstream_port)], relay_port, SERVER_CORE, ""),
        "gateway": (serve, port, SERVER_CORE, key.key),
    }
    found: dict[tuple[str, str, bool], tuple[float, float]] = {}
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for name, (command, at, core, secret) in commands.items():
            running_one = running(command, port=at, core=core, log=home / f"{name}.log", key=secret)
            it = stack.enter_context(running_one)
            servers[name] = Server(it.process, port=at, log=it.log, key=secret)
        relay, gateway = servers["relay"], servers["gateway"]
        first = phases("openai_chat", "openai_chat")[0]
        for it in servers.values():
            wait(it, first)
        for client, upstream in PAIRS:
            for phase in phases(client, upstream):
                for it in (relay, gateway):
                    it.check(phase)
                    it.load(phase, lanes=phase.lanes, seconds=0.2)
                for _ in range(rounds):
                    relay.measure(phase, seconds)
                    gateway.measure(phase, seconds)
                both = zip(gateway.samples[phase.name], relay.samples[phase.name], strict=True)
                ratio = median(ours.cpu_us / bare.cpu_us for ours, bare in both)
                found[client, upstream, phase.stream] = gateway.cpu_us(phase), ratio
        for it in (relay, gateway):
            if it.failures:
                raise SystemExit(f"{it.name} failed: {dict(it.failures)}")
    return found


def wait(it: Server, phase: Pair) -> None:
    """Until it answers."""
    while it.complaint(phase):
        if it.process.poll() is not None or time.perf_counter() - it.born > 20:
            it.check(phase)
        time.sleep(0.01)


def table(found: dict[tuple[str, str, bool], tuple[float, float]], *, stream: bool) -> str:
    """One row for each client, one column for each upstream; what is not translated is in brackets."""
    rows = [["client", *TYPES], ["---", *["--:"] * len(TYPES)]]
    for client in TYPES:
        cells = []
        for upstream in TYPES:
            cpu, ratio = found[client, upstream, stream]
            cell = f"{cpu:.1f} µs, {ratio:.2f}"
            cells.append(f"({cell})" if client == upstream else cell)
        rows.append([client, *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--require", action="store_true", help="fail where a translated pair is beyond its goal")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="omniroute-bench-") as home:
        found = run(Path(home), *((1, 0.4) if arguments.quick else (3, 0.6)))
    took = time.monotonic() - began
    machine = f"Python {platform.python_version()}, {len(CORES)} cores"
    print(f"{time.strftime('%Y-%m-%d')}, {took:.0f} s, {machine}\n")
    print(f"CPU time of an answer (8 connections), and as a multiple of the relay's:\n\n{table(found, stream=False)}\n")
    print(f"Of each of {DELTAS} deltas (32 streams, ten every 10 ms):\n\n{table(found, stream=True)}")
    beyond = [
        f"{client} > {upstream}, {'stream' if stream else 'whole'}: {ratio:.2f}"
        for (client, upstream, stream), (_, ratio) in found.items()
        if client != upstream and ratio > (STREAMED if stream else WHOLE)
    ]
    print("".join(f"\nbeyond its goal: {one}" for one in beyond))
    return 1 if beyond and arguments.require else 0


if __name__ == "__main__":
    sys.exit(main())
