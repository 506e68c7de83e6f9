"""Asks once, and reads what Prometheus would."""

import os
import time
import urllib.request

from openai import OpenAI

GATEWAY = os.environ.get("OMNIROUTE_URL", "http://127.0.0.1:20128")
KEY = "secret"  # of `prometheus` in omniroute.yaml
SHOWN = ("omniroute_requests_total", "omniroute_tokens_total")

OpenAI(base_url=f"{GATEWAY}/v1", api_key="anonymous").chat.completions.create(
    model="demo/echo", messages=[{"role": "user", "content": "What is a gateway?"}]
)
time.sleep(0.1)  # it is counted when it is over, behind its back
request = urllib.request.Request(f"{GATEWAY}/metrics", headers={"authorization": f"Bearer {KEY}"})
with urllib.request.urlopen(request) as page:
    for line in page.read().decode().splitlines():
        if line.startswith(SHOWN):
            print(line)
