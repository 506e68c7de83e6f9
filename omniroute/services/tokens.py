"""The tokens of connections that sign in: kept in the secret store, handed out while they are good, renewed before they end.

A request asks for the token at hand, which is a look-up and a comparison.  It waits only where that one has ended or is
about to; somewhat before, one request begins the renewal and takes the old token along.  Whoever waits for a connection
waits for the same renewal.  New tokens are on disk before the first request carries one, for with a server that rotates
refresh tokens the old one is worth nothing any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from omniroute.config.vault import TOKENS
from omniroute.errors import Fault, OmniRouteError, UpstreamError
from omniroute.routing.tables import Auth, Connection, OAuth
from omniroute.secret import Secret
from omniroute.state.base import Clock
from omniroute.upstream.oauth import AuthorizationServers, Grant, pack, unpack
from omniroute.upstream.transport import Headers

log = logging.getLogger("omniroute")

WAIT_BEFORE = 30.0
"""Seconds before the end of a token at which a request waits for a newer one: it might not arrive in time."""
RENEW_BEFORE = 300.0
"""Seconds before its end at which a newer one is asked for while requests still take it."""
WAIT_SHARE, RENEW_SHARE = 0.05, 0.2
"""The same of tokens that live for minutes: shares of their life, where these are less."""
REFUSED_AGAIN = 60.0
"""Seconds in which a connection renews its token no more than once because its provider refused it: where the reason is
another, every request would ask for a token."""
TRY_AGAIN = 10.0
"""Seconds after a renewal that failed until the next one begins, as long as the old token is good."""
SAVE_AGAIN = 5.0
"""Seconds until the disk is tried again that did not take a token."""
AT_END = 10.0
"""Seconds that the end of the process waits for renewals."""
DEAD = frozenset({"invalid_grant", "invalid_client", "unauthorized_client"})
"""The refusals that asking again does not change: somebody has to sign in, or to correct the configuration."""

State = Literal["signed_out", "signed_in", "expired", "refused"]


class Vault(Protocol):
    """The secret store, as far as it is needed here. Its methods read and write a disk, and raise OmniRouteError."""

    def get(self, name: str) -> str | None: ...

    def put(self, name: str, value: str) -> None: ...

    def delete(self, *names: str) -> None: ...


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with the sign-in of a connection. Times are UNIX times; `saved` is false while the disk does not take
    the tokens, `problem` says why the last renewal failed."""

    state: State
    issued_at: float | None = None
    expires_at: float | None = None
    renewable: bool = False
    scope: str = ""
    email: str = ""
    saved: bool = True
    problem: str = ""


class _Held(msgspec.Struct, kw_only=True):
    """The grant of a connection in memory, and the `Auth` that is made of it for the tables of now: good before `late`,
    to be renewed from `early` on."""

    grant: Grant
    oauth: OAuth
    auth: Auth
    early: float
    late: float
    saved: bool = True
    problem: str = ""
    dead: bool = False
    renewed_for_refusal: float = float("-inf")


class Tokens:
    """All tokens of one process. `clear` is called with the id of a connection that has just got new ones: what was held
    against it does not count any more."""

    def __init__(
        self, vault: Vault, servers: AuthorizationServers, clock: Clock, clear: Callable[[str], None] = lambda _: None
    ) -> None:
        self._vault = vault
        self._servers = servers
        self._clock = clock
        self._clear = clear
        self._held: dict[str, _Held] = {}
        self._renewing: dict[str, asyncio.Task[None]] = {}
        self._saving: dict[str, asyncio.Lock] = {}
        self._saving_again: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------------------------------------- for requests

    def at_hand(self, connection: Connection) -> Auth | None:
        """How a request shows who it is, if that is known without waiting."""
        held = self._held.get(connection.id)
        if held is None or held.oauth is not connection.auth.oauth:
            return None
        now = self._clock.now()
        if now >= held.late:
            return None
        if now >= held.early and not held.dead:
            self._renew(connection, held)
        return held.auth

    async def fresh(self, connection: Connection) -> Auth:
        """The same, waited for. Raises UpstreamError of the kind `auth` where there is no token to be had."""
        held = await self._found(connection)
        if held is None:
            raise _no_token(connection, "nobody has signed in")
        now = self._clock.now()
        if now < held.late:
            return held.auth
        if held.grant.refresh is not None and not held.dead:
            try:
                await self._renewed(connection, held)
            except UpstreamError as error:
                if _is_over(held.grant, now):
                    raise _not_renewed(connection, error) from error
            return self.last(connection)
        if _is_over(held.grant, now):
            raise _no_token(connection, held.problem or "its sign-in has ended, and there is no refresh token")
        return held.auth

    async def renewed(self, connection: Connection, refused: Auth) -> Auth | None:
        """A newer token than the one that the provider has just refused; None where there is none to be had. Raises
        UpstreamError where the secret store cannot be read."""
        held = await self._found(connection)
        if held is None:
            return None
        if held.auth.secret is not refused.secret:
            return held.auth
        if connection.id not in self._renewing:
            now = self._clock.now()
            if held.grant.refresh is None or held.dead or now < held.renewed_for_refusal + REFUSED_AGAIN:
                return None
            held.renewed_for_refusal = now
        try:
            await self._renewed(connection, held)
        except UpstreamError:
            return None
        newer = self._held.get(connection.id)
        return None if newer is None or newer is held else newer.auth

    def last(self, connection: Connection) -> Auth:
        """How requests of the connection show who they are, or did so until now: what must be in no message."""
        held = self._held.get(connection.id)
        return connection.auth if held is None else held.auth

    # ----------------------------------------------------------------------------------------------- for the operator

    async def keep(self, connection: Connection, grant: Grant) -> SignIn:
        """Takes what a sign-in has given, in the place of what was there."""
        async with self._lock(connection.id):
            await self._take(connection, grant)
        self._clear(connection.id)
        return await self.status(connection)

    async def status(self, connection: Connection) -> SignIn:
        """How it stands. Raises OmniRouteError where the secret store cannot be read."""
        held = await self._find(connection)
        if held is None:
            return SignIn(state="signed_out")
        grant, over = held.grant, _is_over(held.grant, self._clock.now())
        return SignIn(
            state="refused" if held.dead else "expired" if over else "signed_in",
            issued_at=grant.issued_at,
            expires_at=grant.expires_at,
            renewable=grant.refresh is not None,
            scope=grant.scope,
            email=grant.email,
            saved=held.saved,
            problem=held.problem,
        )

    async def refresh(self, connection: Connection) -> SignIn:
        """Renews the tokens now, also where that was refused before. Raises UpstreamError."""
        held = await self._find(connection)
        if held is None or held.grant.refresh is None:
            what = "nobody has signed in" if held is None else "there is no refresh token"
            raise _no_token(connection, what)
        await self._renewed(connection, held)
        self._clear(connection.id)
        return await self.status(connection)

    async def revoke(self, connection: Connection, *, anyway: bool = False) -> bool:
        """Has the provider revoke the tokens, and forgets them; `anyway` also where the provider does not answer. Tells
        whether the provider has: some have no way to ask it. Raises UpstreamError, and then nothing is forgotten."""
        await self._settled(connection.id)  # the newest refresh token is the one to revoke
        held, oauth = await self._find(connection), connection.auth.oauth
        revoked = False
        if held is not None and oauth is not None and oauth.revocation is not None:
            try:
                await self._servers.revoke(oauth, provider_of(connection), held.grant)
                revoked = True
            except UpstreamError as error:
                # A server that does not know the token any more has nothing to revoke.
                if not anyway and error.fault.code != "invalid_token":
                    raise
        async with self._lock(connection.id):
            await asyncio.to_thread(self._vault.delete, TOKENS + connection.id)
            self._held.pop(connection.id, None)
        return revoked

    async def close(self) -> None:
        """Lets renewals come to their end, so that no rotated token is lost, and tries once more to save what is not
        saved."""
        if self._renewing:
            await asyncio.wait(self._renewing.values(), timeout=AT_END)
        for task in self._saving_again:
            task.cancel()
        for ident, held in self._held.items():
            if not held.saved and not await self._save(ident, held.grant):
                log.error("the tokens of `%s` are lost: somebody has to sign in again", ident)

    # ------------------------------------------------------------------------------------------------------- renewing

    def _renew(self, connection: Connection, held: _Held) -> asyncio.Task[None]:
        """The renewal under way, or one that begins."""
        task = self._renewing.get(connection.id)
        if task is None:
            task = asyncio.create_task(self._renewal(connection, held))
            self._renewing[connection.id] = task
            task.add_done_callback(lambda done: self._done(connection.id, done))
        return task

    def _done(self, ident: str, task: asyncio.Task[None]) -> None:
        del self._renewing[ident]
        if not task.cancelled():
            task.exception()  # who waits has been told; where nobody does, it is in the log and in the status

    async def _renewed(self, connection: Connection, held: _Held) -> None:
        """Waits for the renewal. Who stops waiting does not stop it."""
        await asyncio.shield(self._renew(connection, held))

    async def _renewal(self, connection: Connection, held: _Held) -> None:
        oauth = connection.auth.oauth
        assert oauth is not None
        try:
            grant = await self._servers.refresh(oauth, provider_of(connection), held.grant)
        except UpstreamError as error:
            held.problem = error.fault.message
            held.dead = error.kind == "auth" and error.fault.code in DEAD
            held.early = self._clock.now() + TRY_AGAIN
            log.warning("the tokens of `%s` could not be renewed: %s", connection.id, error)
            raise
        async with self._lock(connection.id):
            if self._held.get(connection.id) is not held:
                return  # somebody has signed in or out meanwhile
            await self._take(connection, grant)
        log.info("the tokens of `%s` were renewed", connection.id)

    async def _settled(self, ident: str) -> None:
        """Waits until no renewal is under way."""
        while (task := self._renewing.get(ident)) is not None:
            await asyncio.wait((task,))

    # -------------------------------------------------------------------------------------------------------- keeping

    async def _find(self, connection: Connection) -> _Held | None:
        """The grant of a connection, from memory or from the store. One that another server has given is none."""
        oauth = connection.auth.oauth
        assert oauth is not None
        held = self._held.get(connection.id)
        if held is None:
            async with self._lock(connection.id):
                held = self._held.get(connection.id) or await self._load(connection.id, oauth)
        if held is None or held.grant.issuer != oauth.issuer:
            return None
        if held.oauth is not oauth:  # the configuration was read anew
            held.oauth, held.auth = oauth, _auth(held.grant, oauth, held.auth.former)
        return held

    async def _found(self, connection: Connection) -> _Held | None:
        """The same for a request, to which the secret store is a part of the credential."""
        try:
            return await self._find(connection)
        except OmniRouteError as error:
            log.error("the tokens of `%s` cannot be read: %s", connection.id, error)
            raise _no_token(connection, "the secret store cannot be read") from error

    async def _load(self, ident: str, oauth: OAuth) -> _Held | None:
        stored = await asyncio.to_thread(self._vault.get, TOKENS + ident)
        if stored is None:
            return None
        try:
            grant = unpack(stored)
        except ValueError:
            log.error("what the secret store holds for `%s` are no tokens: somebody has to sign in again", ident)
            return None
        held = self._held[ident] = _holding(grant, oauth, None)
        return held

    async def _take(self, connection: Connection, grant: Grant) -> None:
        """Saves a grant, then hands it out; the caller has the lock. One that cannot be saved is used all the same, for
        it is the only one."""
        oauth, ident = connection.auth.oauth, connection.id
        assert oauth is not None
        held = _holding(grant, oauth, self._held.get(ident))
        held.saved = await self._save(ident, grant)
        self._held[ident] = held
        if not held.saved:
            task = asyncio.create_task(self._save_again(ident, held))
            self._saving_again.add(task)
            task.add_done_callback(self._saving_again.discard)

    async def _save(self, ident: str, grant: Grant) -> bool:
        try:
            await asyncio.to_thread(self._vault.put, TOKENS + ident, pack(grant))
        except OmniRouteError as error:
            log.error("the tokens of `%s` cannot be saved, and are in memory alone: %s", ident, error)
            return False
        return True

    async def _save_again(self, ident: str, held: _Held) -> None:
        while not held.saved:
            await self._clock.sleep(SAVE_AGAIN)
            async with self._lock(ident):
                if self._held.get(ident) is not held:
                    return
                held.saved = await self._save(ident, held.grant)

    def _lock(self, ident: str) -> asyncio.Lock:
        return self._saving.setdefault(ident, asyncio.Lock())


def provider_of(connection: Connection) -> str:
    """The name of a connection's provider, which has no dot."""
    return connection.id.partition(".")[0]


def _holding(grant: Grant, oauth: OAuth, before: _Held | None) -> _Held:
    """A grant in memory; of the one before, the token is remembered that may still be quoted, and when a refusal was the
    reason for a newer one."""
    early, late = _until(grant)
    held = _Held(grant=grant, oauth=oauth, auth=_auth(grant, oauth, None), early=early, late=late)
    if before is not None:
        held.auth = _auth(grant, oauth, before.auth.secret)
        held.renewed_for_refusal = before.renewed_for_refusal
    return held


def _auth(grant: Grant, oauth: OAuth, former: Secret | None) -> Auth:
    account = oauth.account
    headers: Headers = ()
    if account is not None and grant.account:
        headers = ((account.name.encode(), grant.account.encode("latin-1")),)
    return Auth(scheme=oauth.scheme, secret=grant.access, headers=headers, former=former)


def _until(grant: Grant) -> tuple[float, float]:
    """When to renew a grant, and until when a request may take it without waiting."""
    if grant.expires_at is None:
        return float("inf"), float("inf")
    life = max(grant.expires_at - grant.issued_at, 0.0)
    early = grant.expires_at - min(RENEW_BEFORE, life * RENEW_SHARE)
    late = grant.expires_at - min(WAIT_BEFORE, life * WAIT_SHARE)
    # What has no refresh token is good to its end.
    return (early, late) if grant.refresh is not None else (float("inf"), grant.expires_at)


def _is_over(grant: Grant, now: float) -> bool:
    return grant.expires_at is not None and now >= grant.expires_at


def _no_token(connection: Connection, why: str) -> UpstreamError:
    message = f"[{provider_of(connection)}] `{connection.id}` has no token: {why}"
    return UpstreamError("auth", Fault(kind="authentication", status=401, message=message, code="sign_in_required"))


def _not_renewed(connection: Connection, error: UpstreamError) -> UpstreamError:
    """A renewal that failed, as a failure of the connection's credential: whatever it was, nobody can be let in."""
    provider = f"[{provider_of(connection)}] "
    words = error.fault.message.removeprefix(provider)
    message = f"{provider}`{connection.id}` has no token: it could not be renewed: {words}"
    return UpstreamError("auth", msgspec.structs.replace(error.fault, message=message, code="token_not_renewed"))
