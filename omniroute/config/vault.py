"""The secrets that the gateway was handed: keys typed into a form, tokens from a login, never what stands in a file.

One file in the directory of run-time data, for its owner alone.  The configuration names an entry as `${secret:NAME}`,
and so git sees the name and never the value.  Where `OMNIROUTE_SECRET_KEY` is set, each value is sealed with AES-256-GCM
(NIST SP 800-38D, with the entry's name as associated data, so that none passes for another) under a key that scrypt
(RFC 7914) derives from it; a file that was written without is sealed with the next write.

Everything here reads or writes a disk, and scrypt takes 50 ms the first time: call it from a thread.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from omniroute import private
from omniroute.errors import Unavailable
from omniroute.secret import Secret

FILE = "secrets"
"""Its name below `server.data_dir`."""
LOCK = "secrets.lock"
TOKENS = "oauth."
"""What the names of the tokens of connections that sign in begin with; the connection's id follows."""
NONCE = 12
SALT = 16
COST = 1 << 14
"""Of scrypt: 16 MiB and some 50 ms, once a process. The key is meant to be random; this is for one that is not."""
_CHECK = ""
"""Names the entry that says whether a key is the right one; no secret has this name."""
_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class VaultError(Unavailable):
    """The secrets cannot be read or written: the operator can act. Holds no value."""

    code = "secrets_unavailable"


class _Content(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The file. With a `salt`, every value is base64 of nonce and ciphertext; without, it is the secret itself."""

    version: int = 1
    salt: str = ""
    values: dict[str, str] = {}


class Vault:
    """The secrets of one directory of run-time data, by name. `key` is what `OMNIROUTE_SECRET_KEY` says, None where it
    is not set. Whoever writes holds a lock that other processes honour too."""

    def __init__(self, folder: Path, key: Secret | None) -> None:
        self.path = folder / FILE
        self._key = key
        self._derived: tuple[str, bytes] | None = None
        self._offered: dict[str, str] = {}
        self._mutex = threading.RLock()

    def get(self, name: str) -> str | None:
        """The value of a secret; None where there is none of this name. Raises VaultError where the file cannot be
        read, or was sealed with another key."""
        with self._mutex:
            if name in self._offered:
                return self._offered[name]
            content = self._read()
            stored = content.values.get(name) if name != _CHECK else None
            return None if stored is None else self._opened(content, name, stored)

    def put(self, name: str, value: str) -> None:
        """Keeps a secret, in place of one of the same name. When it returns, the disk has it. Raises VaultError."""
        self.put_all({name: value})

    def put_all(self, values: Mapping[str, str]) -> None:
        """Keeps several in one write."""
        for name in values:
            if not _name.fullmatch(name):
                raise VaultError(f"`{name[:80]}` is no name for a secret")
        with self._changing() as content:
            content.values.update({name: self._sealed(content, name, value) for name, value in values.items()})

    def delete(self, *names: str) -> None:
        """Forgets secrets; those that are not there are no matter."""
        if not any(name in self._read().values for name in names):
            return
        with self._changing() as content:
            for name in names:
                content.values.pop(name, None)

    def names(self) -> list[str]:
        """The names of all secrets, in order."""
        with self._mutex:
            return sorted(name for name in self._read().values if name != _CHECK)

    def offer(self, values: Mapping[str, str]) -> None:
        """Knows these as well, in memory alone, until they are withdrawn: for trying an edit that is not made."""
        with self._mutex:
            self._offered.update(values)

    def withdraw(self, names: Iterable[str]) -> None:
        """Knows no more of what was offered."""
        with self._mutex:
            for name in names:
                self._offered.pop(name, None)

    # ----------------------------------------------------------------------------------------------------- the file

    def _read(self) -> _Content:
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return _Content()
        except OSError as error:
            raise VaultError(f"the secrets in {self.path} cannot be read: {error.strerror}") from None
        try:
            return msgspec.json.decode(raw, type=_Content)
        except msgspec.DecodeError:
            raise VaultError(f"{self.path} is damaged: it is not what was written there") from None

    @contextmanager
    def _changing(self) -> Iterator[_Content]:
        """The content, to be changed and written as a whole."""
        with self._mutex, self._locked():
            content = self._read()
            if self._key is not None and not content.salt:
                content = self._seal_all(content)
            elif content.salt:
                self._check(content)
            yield content
            self._write(content)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path.parent / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise VaultError(f"the secrets in {self.path} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, content: _Content) -> None:
        try:
            private.write(self.path, msgspec.json.format(msgspec.json.encode(content), indent=1))
        except OSError as error:
            raise VaultError(f"the secrets in {self.path} cannot be written: {error.strerror}") from None

    # ----------------------------------------------------------------------------------------------------- the seal

    def _seal_all(self, content: _Content) -> _Content:
        sealed = _Content(salt=b64encode(secrets.token_bytes(SALT)).decode())
        values = {_CHECK: "", **content.values}
        sealed.values = {name: self._sealed(sealed, name, value) for name, value in values.items()}
        return sealed

    def _check(self, content: _Content) -> None:
        """Raises where the key is not the one that the file was sealed with: two keys in one file would lose one half."""
        self._opened(content, _CHECK, content.values.get(_CHECK, ""))

    def _sealed(self, content: _Content, name: str, value: str) -> str:
        if not content.salt:
            return value
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - most files are not sealed

        nonce = secrets.token_bytes(NONCE)
        sealed = AESGCM(self._derive(content.salt)).encrypt(nonce, value.encode(), name.encode())
        return b64encode(nonce + sealed).decode()

    def _opened(self, content: _Content, name: str, stored: str) -> str:
        if not content.salt:
            return stored
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above

        try:
            raw = b64decode(stored, validate=True)
            return AESGCM(self._derive(content.salt)).decrypt(raw[:NONCE], raw[NONCE:], name.encode()).decode()
        except (InvalidTag, ValueError):
            raise VaultError(
                f"the secrets in {self.path} were sealed with another `OMNIROUTE_SECRET_KEY`, or are damaged"
            ) from None

    def _derive(self, salt: str) -> bytes:
        if self._key is None:
            raise VaultError(f"the secrets in {self.path} are sealed, and `OMNIROUTE_SECRET_KEY` is not set")
        if self._derived is None or self._derived[0] != salt:
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415 - as above

            derived = Scrypt(salt=b64decode(salt), length=32, n=COST, r=8, p=1).derive(self._key.reveal().encode())
            self._derived = (salt, derived)
        return self._derived[1]
