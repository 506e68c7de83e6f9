"""The configuration that tests of editing begin with: a file full of comments, and the key of an administrator in it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

KEY = "sk-omni-the-key-of-the-editor"
DIGEST = f"sha256:{sha256(KEY.encode()).hexdigest()}"
BEFORE = Path(__file__).with_suffix(".yaml").read_text().replace("{digest}", DIGEST)
"""`{data}` in it is where the data goes."""
