"""References to values: `${env:NAME}`, `${file:/path}`, `${secret:NAME}`, and what stands behind them.

The only reader of the environment, so that there is one place to see what of it counts: what the file refers to by
name, and the few variables of `Environment`.  A problem names the variable or file and the line that refers to it,
never the value.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from secrets import token_bytes

import msgspec

from omniroute.config.bundle import Bundle, reason, regular
from omniroute.config.spec.oauth import ENDPOINTS, addresses
from omniroute.config.spec.settings import ProxySpec, proxies
from omniroute.config.spec.words import Headers, is_address, is_proxy_address, reference
from omniroute.config.vault import TOKENS, Vault, VaultError
from omniroute.document import Place, quoted
from omniroute.errors import ConfigError, Problem
from omniroute.secret import Secret

MAX_BYTES = 64 << 10
ADDRESSES = frozenset({"base_url", *ENDPOINTS, "endpoint", "otlp"})
"""The fields that hold an address, or lead to one."""
FORBIDDEN = ("/proc", "/sys", "/dev")
"""Where files are not files: `/proc/self/environ` alone would give away every secret of the process."""
UNRESOLVED = "http://unresolved.invalid"
"""Stands for an address that is not there, so that compiling can go on to the next problem."""

UNRESOLVED_PROXY = "http://unresolved.invalid:1"

_KEY = token_bytes(32)
_one_line = re.compile(r"[\t -~]+")


def keyed(*values: str) -> bytes:
    """A digest that tells values apart within this process, and nothing about them elsewhere."""
    return hmac.digest(_KEY, "\0".join(values).encode("utf-8", "surrogateescape"), "sha256")


class Resolver:
    """Follows references and collects what is wrong with them, to be told together by `check`.

    With `resolve=False`, which is for looking at a configuration and not for serving, what is missing is no problem:
    references stay what they are.
    """

    def __init__(self, bundle: Bundle, *, resolve: bool = True, vault: Vault | None = None) -> None:
        self._bundle = bundle
        self._vault = vault or vault_of(bundle)
        self._resolve = resolve
        self.problems: list[Problem] = []
        self.fingerprint = fingerprint(bundle, self._vault)
        """Taken first: what changes while it is compiled is then noticed with the next look."""

    def secret(self, text: str, place: Place | str) -> Secret:
        """The secret that a field refers to."""
        return Secret(self.text(text, place))

    def text(self, text: str, place: Place | str) -> str:
        """The text that a field holds or refers to."""
        found = reference(text)
        if found is None:
            return text
        kind, name = found
        try:
            value = _value(kind, name, self._vault)
        except _Unusable as problem:
            self._refuse(problem.code, place, problem.message, problem.hint)
            return text
        if not _one_line.fullmatch(value):
            self._refuse("OR113", place, f"what {quoted(text)} holds is not one line of printable ASCII")
        return value

    def address(self, text: str, place: Place | str) -> str:
        """The address that a field holds or refers to."""
        value = self.text(text, place)
        if is_address(value):
            return value
        if value != text:
            self._refuse("OR113", place, f"what {quoted(text)} holds is not an http or https address")
        return UNRESOLVED

    def proxy(self, text: str, place: Place | str) -> str:
        """The proxy's address that a field holds or refers to."""
        value = self.text(text, place)
        if is_proxy_address(value):
            return value
        if value != text:
            self._refuse(
                "OR113", place, f"what {quoted(text)} holds is not a proxy's address without user and password"
            )
        return UNRESOLVED_PROXY

    def check(self) -> None:
        """Raises ConfigError where something was wrong."""
        if self.problems:
            raise ConfigError(self.problems)

    def _refuse(self, code: str, place: Place | str, message: str, hint: str = "") -> None:
        if self._resolve:
            self.problems.append(self._bundle.problem(code, place, message, hint))


def fingerprint(bundle: Bundle, vault: Vault) -> bytes:
    """Of what stands behind all references of a configuration now, also of why it cannot be had. Keyed for this process,
    so that it tells of a change and nothing else."""
    seen = hmac.new(_KEY, digestmod="sha256")
    for place, text in _references(bundle):
        found = reference(text)
        if found is None:
            continue
        try:
            value = _value(*found, vault)
        except _Unusable as problem:
            value = f"\0{problem.message}"
        seen.update(f"{place}\0{value}\0".encode("utf-8", "surrogateescape"))
    return seen.digest()


def missing(bundle: Bundle) -> list[Problem]:
    """All references of a configuration that lead nowhere."""
    resolver = Resolver(bundle)
    for place, text in _references(bundle):
        if place[-1] in ADDRESSES:
            resolver.address(text, place)
        elif place[-1] == "url":
            resolver.proxy(text, place)
        else:
            resolver.text(text, place)
    return resolver.problems


def kept(bundle: Bundle) -> frozenset[str]:
    """The names of the kept secrets that a configuration refers to, and of the tokens of its connections."""
    found = (reference(text) for _, text in _references(bundle))
    tokens = (
        f"{TOKENS}{name}.{each}"
        for name, provider in bundle.spec.providers.items()
        for each, connection in provider.connections.items()
        if connection.oauth is not None
    )
    return frozenset((*(each[1] for each in found if each is not None and each[0] == "secret"), *tokens))


def files(bundle: Bundle) -> tuple[Path, ...]:
    """The files that hold secrets of a configuration."""
    found = (reference(text) for _, text in _references(bundle))
    return tuple(Path(each[1]) for each in found if each is not None and each[0] == "file")


def _references(bundle: Bundle) -> Iterator[tuple[Place, str]]:
    """Every field that may hold a reference, where it is there."""
    spec = bundle.spec
    if spec.auth.password_hash is not None:
        yield ("auth", "password_hash"), spec.auth.password_hash
    for name, provider in spec.providers.items():
        at = ("providers", name)
        if provider.base_url is not None:
            yield (*at, "base_url"), provider.base_url
        yield from _header_values(provider.headers, at)
        if provider.oauth is not None:
            yield from addresses(provider.oauth, (*at, "oauth"))
            yield from _header_values(provider.oauth.headers or {}, (*at, "oauth"))
        for each, connection in provider.connections.items():
            if connection.api_key is not None:
                yield (*at, "connections", each, "api_key"), connection.api_key
            if connection.oauth is not None:
                yield (*at, "connections", each, "oauth", "client_id"), connection.oauth.client_id
                if connection.oauth.client_secret is not None:
                    yield (*at, "connections", each, "oauth", "client_secret"), connection.oauth.client_secret
            yield from _header_values(connection.headers, (*at, "connections", each))
    if spec.sync.token is not None:
        yield ("sync", "token"), spec.sync.token
    for place, proxy in proxies(spec.settings.proxy):
        yield from _proxy_values(proxy, place)
    for name, policy in spec.policies.items():
        for index, rule in enumerate(policy.rules):
            for header, value in (rule.set_headers or {}).items():
                yield ("policies", name, "rules", index, "set_headers", header), value


def _proxy_values(proxy: ProxySpec, at: Place) -> Iterator[tuple[Place, str]]:
    for name in ("url", "username", "password"):
        value = getattr(proxy, name)
        if value is not None:
            yield (*at, name), value


def _header_values(headers: Headers, at: Place) -> Iterator[tuple[Place, str]]:
    for name, value in headers.items():
        yield (*at, "headers", name), value


# ----------------------------------------------------------------------------------------------------------- the values


class _Unusable(Exception):
    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise _Unusable("OR111", f"the environment variable `{name}` is not set")
    if not value:
        raise _Unusable("OR111", f"the environment variable `{name}` is empty")
    return value


def _file(path: str) -> str:
    """The content of a secret's file, without the line end after it. Links are followed, because that is how mounted
    secrets are made, and then the place they lead to is judged."""
    shown = quoted(path)
    real = os.path.realpath(path)
    if any(real == place or real.startswith(f"{place}/") for place in FORBIDDEN):
        raise _Unusable("OR112", f"{shown} is not a place for secrets")
    try:
        content = regular(real, MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _Unusable("OR111", f"the file {shown} cannot be read: {reason(error)}") from None
    if content is None:
        raise _Unusable("OR112", f"{shown} is no regular file")
    if len(content) > MAX_BYTES:
        raise _Unusable("OR112", f"the file {shown} is larger than {MAX_BYTES >> 10} KiB")
    try:
        value = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _Unusable("OR113", f"the file {shown} is not text") from None
    if not value:
        raise _Unusable("OR111", f"the file {shown} is empty")
    return value


def _kept(vault: Vault, name: str) -> str:
    try:
        value = vault.get(name)
    except VaultError as error:
        raise _Unusable("OR111", f"the secret {quoted(name)} cannot be had: {error}") from None
    if value is None:
        hint = "hand it to the gateway again, through the dashboard or /api"
        raise _Unusable("OR111", f"there is no secret {quoted(name)} in `server.data_dir`", hint)
    return value


def _value(kind: str, name: str, vault: Vault) -> str:
    """What a reference of a kind leads to. Raises _Unusable."""
    return _kept(vault, name) if kind == "secret" else _READERS[kind](name)


_READERS: Mapping[str, Callable[[str], str]] = {"env": _variable, "file": _file}


# ------------------------------------------------------------------------------------------------------ the environment


def vault_of(bundle: Bundle) -> Vault:
    """The secrets that belong to a configuration."""
    return Vault(Path(bundle.spec.server.data_dir), _secret_key())


def _secret_key() -> Secret | None:
    key = os.environ.get("OMNIROUTE_SECRET_KEY")
    return Secret(key) if key else None


def token(name: str) -> Secret | None:
    """What a variable holds whose name somebody gave on the command line; None where it is not set."""
    value = os.environ.get(name)
    return Secret(value) if value else None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The variables that count without being named in the file. None is one that is not set."""

    config: Path | None
    port: int | None
    require_api_key: bool | None
    initial_password: Secret | None
    log_level: str | None
    secret_key: Secret | None = None


_SWITCHES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def environment() -> Environment:
    """What the environment says. Raises ConfigError with everything in it that cannot be understood."""
    problems: list[Problem] = []

    def given(name: str, expected: str, known: bool) -> None:
        if not known:
            message = f"the environment variable `{name}` must be {expected}"
            problems.append(Problem("OR113", "error", "environment", 0, 0, name, message))

    config, password = os.environ.get("OMNIROUTE_CONFIG"), os.environ.get("INITIAL_PASSWORD")
    port, switch = os.environ.get("PORT"), os.environ.get("REQUIRE_API_KEY")
    level = os.environ.get("OMNIROUTE_LOG_LEVEL")
    is_port = bool(port and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535)
    given("PORT", "a number from 0 to 65535", not port or is_port)
    given("REQUIRE_API_KEY", "`true` or `false`", not switch or switch.lower() in _SWITCHES)
    given("OMNIROUTE_LOG_LEVEL", f"one of {', '.join(_LEVELS)}", not level or level.upper() in _LEVELS)
    if problems:
        raise ConfigError(problems)
    return Environment(
        config=Path(config) if config else None,
        port=int(port) if port else None,
        require_api_key=_SWITCHES[switch.lower()] if switch else None,
        initial_password=Secret(password) if password else None,
        log_level=level.upper() if level else None,
        secret_key=_secret_key(),
    )


# ------------------------------------------------------------------------------- sockets that one program leaves another

FIRST_SOCKET = 3
"""The descriptor of the first, by the protocol of systemd, sd_listen_fds(3)."""


def handed_over() -> range:
    """The descriptors of sockets that listen already, and were left to this process."""
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    ours = pid == str(os.getpid()) and count.isascii() and count.isdigit() and len(count) <= 2
    return range(FIRST_SOCKET, FIRST_SOCKET + int(count) if ours else FIRST_SOCKET)


def handing_over(count: int) -> dict[str, str]:
    """The environment of the program that takes the place of this one in the same process, and so many sockets."""
    return {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count)}
