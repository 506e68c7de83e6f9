"""One model, asked by both official SDKs, the second time as a stream."""

import os

from anthropic import Anthropic
from openai import OpenAI

GATEWAY = os.environ.get("OMNIROUTE_URL", "http://127.0.0.1:20128")
QUESTION = "What is a gateway?"

openai = OpenAI(base_url=f"{GATEWAY}/v1", api_key="anonymous")
answer = openai.chat.completions.create(model="assistant", messages=[{"role": "user", "content": QUESTION}])
print("OpenAI:", answer.choices[0].message.content)

anthropic = Anthropic(base_url=GATEWAY, api_key="anonymous")
with anthropic.messages.stream(
    model="assistant", max_tokens=100, messages=[{"role": "user", "content": QUESTION}]
) as stream:
    print("Anthropic:", "".join(stream.text_stream))
