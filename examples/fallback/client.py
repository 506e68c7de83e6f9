"""Asks the combo a few times and shows who answered, and after how many attempts."""

import os

from openai import OpenAI

GATEWAY = os.environ.get("OMNIROUTE_URL", "http://127.0.0.1:20128")

client = OpenAI(base_url=f"{GATEWAY}/v1", api_key="anonymous")
for number in range(1, 5):
    answer = client.chat.completions.with_raw_response.create(
        model="house", messages=[{"role": "user", "content": f"Are you there? ({number})"}]
    )
    told = answer.parse().choices[0].message.content
    provider, attempts = answer.headers["x-omniroute-provider"], answer.headers["x-omniroute-attempts"]
    print(f"{told} | {provider}, attempts: {attempts}")
