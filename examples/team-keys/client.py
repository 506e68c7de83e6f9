"""The same questions with both keys, and with none."""

import os

from openai import APIStatusError, OpenAI

GATEWAY = os.environ.get("OMNIROUTE_URL", "http://127.0.0.1:20128")
KEYS = {
    "research": "sk-omni-example-team-a",
    "billing": "sk-omni-example-team-b",
    "nobody": "sk-omni-a-key-that-was-never-made",
}

for team, key in KEYS.items():
    client = OpenAI(base_url=f"{GATEWAY}/v1", api_key=key, max_retries=0)
    for model in ("fast", "smart"):
        try:
            answer = client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "one two three four five six"}]
            )
            print(f"{team} asks {model}: {answer.choices[0].message.content}")
        except APIStatusError as error:
            print(f"{team} asks {model}: {error.status_code} {error.code}")
