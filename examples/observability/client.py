"""Asks once, and reads what Prometheus would."""

import os
import time

import httpx
from openai import OpenAI

GATEWAY = os.environ.get("OMNIROUTE_URL", "http://127.0.0.1:20128")
KEY = "secret"  # of `prometheus` in omniroute.yaml
SHOWN = ("omniroute_requests_total", "omniroute_tokens_total")

OpenAI(base_url=f"{GATEWAY}/v1", api_key="anonymous").chat.completions.create(
    model="demo/echo", messages=[{"role": "user", "content": "What is a gateway?"}]
)
time.sleep(0.1)  # it is counted when it is over, behind its back
page = httpx.get(f"{GATEWAY}/metrics", headers={"authorization": f"Bearer {KEY}"}).raise_for_status()
for line in page.text.splitlines():
    if line.startswith(SHOWN):
        print(line)
