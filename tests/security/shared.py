"""The gateway that most of these tests ask, and who may do what there."""

from __future__ import annotations

from hashlib import sha256

from argon2 import PasswordHasher
from support.edited import BEFORE
from support.gateway import Gateway

PASSWORD = "correct horse"
CLIENT = "or-client-key-of-these-tests"
"""A key that may call models and nothing else; that of an administrator is `support.edited.KEY`."""


def gateway() -> Gateway:
    """To be started by whoever wants one."""
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    client = f'  caller: {{digest: "sha256:{sha256(CLIENT.encode()).hexdigest()}", roles: [client]}}\n'
    config = (
        BEFORE.replace("{data}", "{data_dir}")
        .replace("keys:\n", f"keys:\n{client}")
        .replace("require_login: true", f'password_hash: "{hashed}"\n  require_login: true')
    )
    one = Gateway("", LAB_KEY="x")
    one.write(f"{config}cli_tools: {{home: {one.folder / 'home'}}}\n")
    return one
