"""What hedging does to the slow requests: a provider that answers at once, but for a few times in a hundred.

    python tests/reliability/hedging.py [requests]

Prints the distribution of answer times without and with a hedge, and how many requests were asked twice.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import speech
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events

SLOW = 0.03
PAUSE = 1.0
USUAL = 0.02
CALLERS = 8
chance = random.Random(1)


def script(_asked: Asked) -> Script:
    return events(*speech.streamed("openai"), pause=PAUSE if chance.random() < SLOW else USUAL)


def config(upstream: Upstream) -> str:
    one = "{type: openai-compatible, base_url: '%s/%s', connections: {main: {}}, models: {m: {}}}"
    return f"""\
version: 1
server: {{data_dir: '{{data_dir}}'}}
providers:
  a: {one % (upstream.url, "a")}
  b: {one % (upstream.url, "b")}
combos:
  plain: {{targets: [a/m, b/m]}}
  hedged: {{hedge: {{after: 100ms, budget: 5%}}, targets: [a/m, b/m]}}
"""


def times(url: str, model: str, count: int) -> list[float]:
    """Seconds of each of so many requests, the shortest first."""
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client, ThreadPoolExecutor(CALLERS) as pool:

        def one(_: int) -> float:
            began = time.perf_counter()
            answer = client.post(speech.PATHS["openai"], json=speech.ask(model, stream=True))
            assert answer.status_code == 200, answer.text
            return time.perf_counter() - began

        return sorted(pool.map(one, range(count)))


def measure(count: int) -> dict[str, tuple[list[float], int]]:
    """For each combo the times, and how often its second target was asked."""
    figures = {}
    with Upstream(script) as upstream, Gateway(config(upstream)) as gateway:
        for model in ("plain", "hedged"):
            upstream.asked.clear()
            taken = times(gateway.url, model, count)
            figures[model] = taken, Counter(asked.path.split("/")[1] for asked in upstream.asked)["b"]
    return figures


def main(count: int) -> None:
    for model, (taken, twice) in measure(count).items():
        told = "  ".join(
            f"p{share * 100:g} {taken[int(share * len(taken))] * 1e3:.0f} ms" for share in (0.5, 0.95, 0.98, 0.99)
        )
        print(f"{model:7} {told}  asked twice {twice / count:.1%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
