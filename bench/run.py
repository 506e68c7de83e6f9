"""What the gateway costs, measured next to a bare relay in one run: `make bench`, under two minutes, Linux only.

    python bench/run.py                                   the table
    python bench/run.py --quick                           one short round, for a first impression
    python bench/run.py --require 'chat_c32 <= 2.5'       exit status 1 if that does not hold; may be repeated
    python bench/run.py --json FILE                       every figure, and the samples of every round

The figure to trust is CPU time per answer (user and system, of the whole process tree, with what is written after the
answer), and most of all its ratio to the relay's in the same round: a busy machine moves both alike. Relay and gateway
take turns in every phase; a figure is the median over the rounds, and a ratio the median of the rounds' ratios. The one
under test has a core to itself; upstream and load share the other one.
"""

import argparse
import platform
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from math import nan
from pathlib import Path
from statistics import median

import msgspec
from subject import CORES, LOAD_CORE, SERVER_CORE, Phase, Subject, running

HERE = Path(__file__).parent
CONFIG = """\
version: 1
server: {{data_dir: {data}}}
auth: {{require_api_key: true}}
providers:
  openai-mock:
    type: openai-compatible
    base_url: http://127.0.0.1:{upstream}/v1
    connections: {{main: {{api_key: "${{env:BENCH_UPSTREAM_KEY}}"}}}}
    models:
      gpt-4o-mini: {{context: 128000, price: {{input: 0.15, output: 0.6}}}}
      gpt-4o-mini-paced: {{context: 128000, price: {{input: 0.15, output: 0.6}}}}
  anthropic-mock:
    type: anthropic-compatible
    base_url: http://127.0.0.1:{upstream}/v1
    connections: {{main: {{api_key: "${{env:BENCH_UPSTREAM_KEY}}"}}}}
    models:
      claude-sonnet-4: {{context: 200000, price: {{input: 3, output: 15}}}}
keys:
  bench: {{digest: "{digest}"}}
"""


PHASES = [
    Phase("chat_c1", "1 KB answers, 1 connection", 1),
    Phase("chat_c32", "1 KB answers, 32 connections", 32),
    Phase("chat_c128", "1 KB answers, 128 connections", 128),
    Phase("body_c8", "64 KB requests, 8 connections", 8, large=True),
    Phase("translated_c8", "OpenAI in, Anthropic upstream, 8 connections", 8, translated=True),
    Phase("stream_paced", "16 streams, deltas 10 ms apart", 16, stream=True, paced=True),
    Phase("stream_burst", "32 streams, ten deltas every 10 ms", 32, stream=True),
    Phase("stream_translated", "the same, OpenAI in, Anthropic upstream", 32, stream=True, translated=True),
]
CROWD = PHASES[2]
PACED = next(phase for phase in PHASES if phase.paced)
FURTHER = ("ttft_ms", "rss_idle_mb", "rss_loaded_mb", "start_s")


class Effort(msgspec.Struct, frozen=True):
    rounds: int
    seconds: float  # of one phase
    starts: int

    def of(self, phase: Phase) -> float:
        # A paced stream takes a second whatever one wishes, and its lanes start within one: some get a second stream.
        return 1.3 if phase.paced else self.seconds


class Result(msgspec.Struct):
    relay: Subject
    gateway: Subject
    figures: dict[str, float]  # by name: CPU time as a multiple of the relay's for each phase, then FURTHER


def run(home: Path, effort: Effort) -> Result:
    port, relay_port, upstream_port = free_ports(3)
    client = new_key(home)
    config = home / "omniroute.yaml"
    config.write_text(CONFIG.format(data=home / "data", upstream=upstream_port, digest=client.digest))
    serve = f"-m omniroute serve --config {config} --host 127.0.0.1 --port {port}".split()
    forward = [str(HERE / "relay.py"), str(relay_port), str(upstream_port)]
    provide = [str(HERE / "upstream.py"), str(upstream_port)]

    def start(stack: ExitStack, name: str, command: list[str], port: int, core: int, key: str = "") -> Subject:
        return stack.enter_context(running(command, port=port, core=core, log=home / f"{name}.log", key=key))

    with ExitStack() as stack:
        upstream = start(stack, "upstream", provide, upstream_port, LOAD_CORE)
        relay = start(stack, "relay", forward, relay_port, SERVER_CORE)
        for it in (upstream, relay):
            it.start_s()
        colds = []
        for _ in range(effort.starts):
            with ExitStack() as briefly:
                colds.append(start(briefly, "gateway", serve, port, SERVER_CORE, client.key).start_s())
        gateway = start(stack, "gateway", serve, port, SERVER_CORE, client.key)
        gateway.start_s()
        time.sleep(0.5)
        idle = gateway.rss_mb()
        for it in (relay, gateway):
            for phase in PHASES:
                it.check(phase)
            it.load(CROWD, lanes=CROWD.lanes, seconds=effort.seconds)  # fills pools and warms code
        for _ in range(effort.rounds):
            for phase in PHASES:
                for it in (upstream, relay, gateway) if phase.paced else (relay, gateway):
                    it.measure(phase, effort.of(phase))
        figures = {phase.name: ratio(gateway, relay, phase) for phase in PHASES}
        further = (gateway.ttft_ms(PACED) - upstream.ttft_ms(PACED), idle, gateway.rss_mb(), median(colds))
    return Result(relay, gateway, figures | dict(zip(FURTHER, further, strict=True)))


def ratio(gateway: Subject, relay: Subject, phase: Phase) -> float:
    # Round by round, because what else the machine does moves both of a round alike.
    pairs = zip(gateway.samples[phase.name], relay.samples[phase.name], strict=False)
    return median([ours.cpu_us / bare.cpu_us for ours, bare in pairs] or [nan])


def free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(n)]
        return [s.getsockname()[1] for s in sockets]


class Key(msgspec.Struct):
    key: str
    digest: str


def new_key(home: Path) -> Key:
    make = [sys.executable, "-m", "omniroute", "key", "new", "bench", "--json"]
    return msgspec.json.decode(subprocess.run(make, cwd=home, stdout=subprocess.PIPE, check=True).stdout, type=Key)


def table(result: Result) -> str:
    figures, relay, gateway = result.figures, result.relay, result.gateway
    rows = ["| phase | what | relay, CPU µs | gateway, CPU µs | ratio |", "|---|---|--:|--:|--:|"]
    for phase in PHASES:
        unit = " per delta" if phase.stream else ""
        cells = (f"{it.cpu_us(phase):.1f}{unit}" for it in (relay, gateway))
        rows.append(f"| `{phase.name}` | {phase.says} | {' | '.join(cells)} | {figures[phase.name]:.2f} |")
    loaded = f"{figures['rss_loaded_mb']:.0f} MB after {gateway.answers():,} answers"
    last = [f"{figures['ttft_ms']:.2f} ms", f"{figures['rss_idle_mb']:.0f} MB", loaded, f"{figures['start_s']:.2f} s"]
    heads = ["time to first token added, paced", "memory idle", "memory after load", "start to first answer"]
    rows += ["", f"| {' | '.join(heads)} |", "|--:|--:|--:|--:|", f"| {' | '.join(last)} |"]
    return "\n".join(rows)


def rule(text: str) -> tuple[str, float]:
    name, _, limit = text.partition("<=")
    if name.strip() not in {*(phase.name for phase in PHASES), *FURTHER}:
        raise argparse.ArgumentTypeError(f"no figure is called {name.strip()!r}")
    return name.strip(), float(limit)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and samples there")
    parser.add_argument("--require", type=rule, action="append", default=[], metavar="RULE", help="'FIGURE <= NUMBER'")
    arguments = parser.parse_args()
    began = time.monotonic()
    effort = Effort(rounds=1, seconds=0.4, starts=1) if arguments.quick else Effort(rounds=3, seconds=1.0, starts=3)
    with tempfile.TemporaryDirectory(prefix="omniroute-bench-") as home:
        result = run(Path(home), effort)
    took = time.monotonic() - began
    machine = f"Python {platform.python_version()}, {len(CORES)} cores"
    print(f"{time.strftime('%Y-%m-%d')}, {took:.0f} s, {machine}: servers on {SERVER_CORE}, load on {LOAD_CORE}\n")
    print(table(result))
    subjects = (result.relay, result.gateway)
    if arguments.json:
        everything = {"figures": result.figures, "samples": {it.name: it.samples for it in subjects}}
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(everything)))
    broken = [f"{it.name}, {times} times: {reason}" for it in subjects for reason, times in it.failures.items()]
    for name, limit in arguments.require:
        if not (value := result.figures[name]) <= limit:  # so that nan, for what was not measured, fails as well
            broken.append(f"{name} is {value:.3g}, not <= {limit:g}")
    print("".join(f"\nFAILED {what}" for what in broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
