"""The composition root: everything is made here, once, and handed to whoever needs it.

files ─ bundle ─ compile ─► Live ──► Gate (client API)
                             ▲  └──► api   (management)
   watch, SIGHUP, POST ──────┘
                          State, Client: outlive every reload
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import msgspec
from litestar import Litestar, asgi

from omniroute import __version__, api, catalog
from omniroute.api.password import FirstPassword
from omniroute.config import bundle, secrets, watch
from omniroute.config.bundle import Bundle
from omniroute.config.compile import compile_gateway
from omniroute.config.exchange import Files
from omniroute.config.overrides import Overrides, overridden
from omniroute.config.spec.words import reference, seconds
from omniroute.config.writer import Proposal, Writer
from omniroute.document import Document
from omniroute.errors import ConfigError, Conflict, Problem, Unavailable
from omniroute.formats import tokens
from omniroute.relay.asgi import Application, Receive, Scope, Send
from omniroute.relay.ingress import ENDPOINTS, Gate, in_client_shape
from omniroute.relay.inside import Inside
from omniroute.routing import spending
from omniroute.routing.live import Live
from omniroute.routing.spending import Change
from omniroute.routing.tables import Gateway
from omniroute.secret import Secret
from omniroute.services import archive, drift
from omniroute.services.backup import Backups, Sums
from omniroute.services.bench import Bench
from omniroute.services.clients.settings import Clients, Place
from omniroute.services.drafts import Drafts
from omniroute.services.evals.evals import Evals
from omniroute.services.oauth import SignIns
from omniroute.services.shelf import DATABASE
from omniroute.services.sync import CLOCK, Sync
from omniroute.services.sync import Outcome as Exchanged
from omniroute.services.tokens import Tokens
from omniroute.state import audit_key
from omniroute.state.audit import Entry, Outcome, Via
from omniroute.state.audit_file import SqliteAudit
from omniroute.state.base import Clock, State
from omniroute.state.budgets import MemoryBudgets
from omniroute.state.cache_file import SqliteCache
from omniroute.state.evals import SqliteEvals
from omniroute.state.idempotency import MemoryIdempotency
from omniroute.state.likeness import MemoryLikeness
from omniroute.state.limits import MemoryLimits
from omniroute.state.memory import MemoryAnswers, MemoryBreakers, MemoryCounters
from omniroute.state.scores import MemoryScores
from omniroute.state.sessions import MemorySessions
from omniroute.state.sqlite import SqliteLedger
from omniroute.state.sqlite import spent as spent_in
from omniroute.telemetry.collector import Metrics, Process
from omniroute.telemetry.export import require
from omniroute.telemetry.witness import Observer
from omniroute.upstream.client import Client
from omniroute.upstream.demo import Demo
from omniroute.upstream.dial import tls_context
from omniroute.upstream.fallback import Fallback
from omniroute.upstream.image import Fetcher
from omniroute.upstream.instance import InstanceRemote
from omniroute.upstream.oauth import AuthorizationServers
from omniroute.upstream.remote import Remote
from omniroute.upstream.transport import Transport
from omniroute.upstream.wire import Wire

if TYPE_CHECKING:
    from omniroute.upstream.checkout import Checkout
    from omniroute.upstream.git import GitRemote

log = logging.getLogger("omniroute")
AT_START = ("host", "port", "data_dir", "drain_timeout", "preload_tokenizers")
"""What of `server` is decided when the process starts, and not again by a reload."""
ASK_AGAIN = 5.0
"""Seconds until the ledger is asked again that could not tell what is spent."""
SETTLING = 1.0
"""Seconds for requests that were cancelled at the end to write down what became of them."""
_LEFT_OUT = "<argon2id>"
_NOTHING: Mapping[Path, Document] = MappingProxyType({})
_path = attrgetter("path")


class Service:
    """One running gateway. Making it reads and compiles the files and raises ConfigError where they are wrong."""

    def __init__(self, path: Path, overrides: Overrides) -> None:
        self.path = path
        self.overrides = overrides
        self.catalog = catalog.load()
        self._bound: str | None = None
        clock = Clock()
        self.bundle = self._read_anew()
        self.vault = secrets.vault_of(self.bundle)
        self._started = self.bundle.spec.server
        self._bound = self._started.host
        self.live = Live(self._compile(self.bundle, generation=1, now=clock.now()))
        database = Path(self.bundle.spec.server.data_dir) / DATABASE
        self.observer = Observer(self.live)
        self.state = State(
            breakers=MemoryBreakers(),
            counters=MemoryCounters(),
            answers=MemoryAnswers(),
            limits=MemoryLimits(),
            budgets=MemoryBudgets(),
            scores=MemoryScores(),
            sessions=MemorySessions(),
            cache=SqliteCache(database),
            likeness=MemoryLikeness(),
            idempotency=MemoryIdempotency(),
            evals=SqliteEvals(database),
            ledger=SqliteLedger(database),
            audit=SqliteAudit(database, database.with_name(audit_key.NAME)),
            clock=clock,
            random=random.Random(),
            witness=self.observer,
        )
        tls = tls_context()
        wire = Wire(tls=tls)
        servers = AuthorizationServers(wire, clock.now)
        self.sign_ins = SignIns(servers, Tokens(self.vault, servers, clock, self.state.breakers.clear), clock)
        transports: dict[str, Transport] = {"httptools": wire, "httpx": Fallback(tls=tls), "demo": Demo()}
        self.client = Client(transports, Fetcher(tls=tls), self.sign_ins.tokens)
        self.gate = Gate(self.live, self.state, self.client)
        self.backups = Backups(database, lambda: self.bundle.spec.backups, clock.now, self)
        self.metrics = Metrics(self.live, self.state, self.observer, self._process)
        self.clients = Clients(self._home, database.parent / "cli-tools", clock.now)
        self.leave: Callable[[bool], None] = _stay
        """Tells the server that it is to end, and whether to begin again."""
        self.ask = Inside(self.live, self.state, self.client)
        self.bench = Bench(self.live, lambda: self.bundle, self.catalog, self.client, self.ask, tls, clock)
        self.evals = Evals(self.live, lambda: self.bundle.spec, self.ask, self.state.evals, clock)
        self.draining = False
        self.first_password = FirstPassword(overrides.initial_password)
        self._asking: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._refused: tuple[Path, ...] = ()
        writer = Writer(
            self.path, read=self._read, check=self._next, swap=self._take, lock=self._reloading, commit=self._propose
        )
        self.edit = writer.edit
        self.exchange = Files(lambda: self.bundle, self._try, self.reload, self._propose, self._reloading)
        self.sync = Sync(
            self.exchange,
            self._remote,
            database.parent / "sync" / "base",
            clock.now,
            lambda: seconds(self.bundle.spec.sync.every),
            self._note_sync,
        )
        self.drafts = Drafts(self.path, lambda: self.bundle, self._read, self._next)

    def _read(
        self,
        *,
        main: Path | None = None,
        known: Sequence[Document] = (),
        instead: Mapping[Path, Document] = _NOTHING,
    ) -> Bundle:
        """What is on disk, or would be; where that is what runs, it is not looked at once more."""
        running = self.bundle
        if main is None and not instead and bundle.is_on_disk(running):
            return running
        return self._read_anew(main, known, instead)

    def _read_anew(
        self,
        main: Path | None = None,
        known: Sequence[Document] = (),
        instead: Mapping[Path, Document] = _NOTHING,
    ) -> Bundle:
        read = bundle.read(main or self.path, self.catalog, insecure=True, known=known, instead=instead)
        return overridden(read, self.overrides, self._bound)

    def _compile(self, read: Bundle, *, generation: int, now: float) -> Gateway:
        require(read)
        return compile_gateway(read, self.catalog, generation=generation, now=now, vault=self.vault)

    def _try(self, main: Path) -> None:
        """Raises ConfigError where the files that this one leads to make no gateway."""
        self._next(self._read(main=main))

    def _repository(self) -> GitRemote | None:
        """The git repository that `sync` declares."""
        told = self.bundle.spec.sync
        if told.remote is None:
            return None
        from omniroute.upstream.git import GitRemote  # noqa: PLC0415 - 4 MB, for those who have a repository

        return GitRemote(told.remote, told.branch, told.username, self._token(), told.path, self.state.clock.now)

    def _remote(self) -> Remote | None:
        """Whatever `sync` declares."""
        instance = self.bundle.spec.sync.instance
        return self._repository() if instance is None else InstanceRemote(instance, self._token())

    def _token(self) -> Secret | None:
        """Raises ConfigError where the reference leads nowhere."""
        reference = self.bundle.spec.sync.token
        if reference is None:
            return None
        resolver = secrets.Resolver(self.bundle, vault=self.vault)
        token = resolver.secret(reference, ("sync", "token"))
        resolver.check()
        return token

    async def _propose(self, proposal: Proposal) -> str:
        from omniroute.services.forge import Forge  # noqa: PLC0415 - as above

        forge = Forge(self.path, self._repository, self.state.clock.now)
        made = asyncio.to_thread(forge.propose, proposal.files, proposal.author, proposal.reason, proposal.diff)
        return await made

    def _home(self) -> Place:
        told = self.bundle.spec.cli_tools
        return Place(Path(told.home) if told.home else Path.home(), tuple(map(Path, told.path)), told.writes)

    def _process(self) -> Process:
        return Process(self.gate.active, self.draining, self.bundle.spec.mode, self.backups.problem)

    def drift(self) -> drift.Drift:
        """How what runs stands to the files. Reads them: call it from a thread."""
        return drift.look(self.live, self.drafts, self._checkout)

    def _checkout(self) -> Checkout | None:
        if not any((folder / ".git").exists() for folder in self.path.resolve().parents):
            return None
        from omniroute.services.forge import PREFIX  # noqa: PLC0415 - as above
        from omniroute.upstream import checkout  # noqa: PLC0415

        return checkout.look(self.bundle.files, PREFIX)

    @property
    def catalogue_size(self) -> int:
        """How many providers the catalogue knows."""
        return len(self.catalog.providers)

    def describe(self) -> Mapping[str, Any]:
        """The running configuration as it is written, with references where secrets are. The one secret that may stand
        in a file itself, the password's hash, is left out."""
        spec = self.bundle.spec
        stored = spec.auth.password_hash
        if stored is not None and reference(stored) is None:
            spec = msgspec.structs.replace(spec, auth=msgspec.structs.replace(spec.auth, password_hash=_LEFT_OUT))
        described: Mapping[str, Any] = msgspec.to_builtins(spec)
        return described

    @property
    def has_password(self) -> bool:
        return self.live.current.access.password_hash is not None or not self.first_password.made_up

    def password_hash(self) -> str | None:
        """The argon2 hash of the administrator's password: the file's, or that of this process's first password."""
        configured = self.live.current.access.password_hash
        return configured.reveal() if configured is not None else self.first_password.hash()

    async def reload(self) -> Sequence[Problem]:
        """Reads the files again. Gives the problems where they do not make a gateway, and then nothing has changed;
        equal files change nothing either. The work is done in a thread, so that no request waits for it."""
        problems, _ = await self._read_again()
        return problems

    async def _read_again(self) -> tuple[Sequence[Problem], bool]:
        """The problems, and whether another configuration runs now."""
        async with self._reloading:
            now = self.state.clock.now()
            running = self.live.current
            revision = running.revision
            try:
                read = await asyncio.to_thread(self._read, known=self.bundle.documents)
                if read is self.bundle and await self._has_its_secrets(running):
                    self._refused = ()
                    self.live.confirm(now)
                    return (), False
                gateway = await asyncio.to_thread(self._next, read)
            except ConfigError as error:
                self.live.refuse(error.problems, now)
                self._refused = bundle.places(self.path)
                log.error("the configuration was not reloaded, revision %s goes on: %s", revision.label, error)
                return error.problems, False
            self._refused = ()
            if (read.digest, gateway.secrets) == (revision.digest, running.secrets):
                self.bundle = read  # which may know of another directory to watch
                self.live.confirm(now)
                return (), False
            await self._take(read, gateway)
            return (), True

    async def _has_its_secrets(self, running: Gateway) -> bool:
        """Whether the references of what runs still lead to the values that it has."""
        return await asyncio.to_thread(secrets.fingerprint, self.bundle, self.vault) == running.secrets

    async def reload_unasked(self, via: Via, actor: str) -> None:
        """Reads the files again because they, or a signal, say so; what comes of it is written down."""
        before, known = self.live.current.revision.label, self.live.problems
        problems, changed = await self._read_again()
        if changed:
            await self._note("config.reload", via, actor, before=before)
        elif problems and tuple(problems) != known:
            first = problems[0]
            await self._note("config.reload", via, actor, "failed", problem=f"{first.code} {first.message}")

    async def _note(self, action: str, via: Via, actor: str, outcome: Outcome = "done", **detail: str) -> None:
        """What happened without a request, in the audit log."""
        revision = self.live.current.revision.label
        now = self.state.clock.now()
        entry = Entry(at=now, actor=actor, via=via, action=action, outcome=outcome, revision=revision, detail=detail)
        await asyncio.to_thread(self.state.audit.append, entry)

    async def _note_sync(self, told: Exchanged | Exception) -> None:
        if isinstance(told, Exception):
            await self._note("sync.run", "process", CLOCK, "failed", problem=str(told)[:500])
        else:
            pushed, pulled = ", ".join(told.pushed), ", ".join(told.pulled)
            await self._note("sync.run", "process", CLOCK, pushed=pushed, pulled=pulled)

    async def _look_at_audit(self) -> None:
        """Whether the audit log is as it was left. It may be long, so nobody waits for this."""
        await self._note("process.start", "process", "omniroute", version=__version__)
        await self._verify_audit()

    async def _verify_audit(self) -> None:
        try:
            verdict = await asyncio.to_thread(self.state.audit.verify)
        except Unavailable as error:
            log.error("the audit log could not be verified: %s", error)
            return
        if not verdict.ok:
            log.error("the audit log is broken at row %s: %s", verdict.broken_at, verdict.reason)

    def _next(self, read: Bundle) -> Gateway:
        """The snapshot to follow the running one."""
        generation = self.live.current.revision.generation + 1
        return self._compile(read, generation=generation, now=self.state.clock.now())

    async def _take(self, read: Bundle, gateway: Gateway) -> None:
        """From now on this configuration, which is the one on disk."""
        await self._restore(self.live.current, gateway)
        self.bundle = read
        self._refused = ()
        self.live.swap(gateway)
        log.info("revision %s runs, generation %d", gateway.revision.label, gateway.revision.generation)
        for name in AT_START:
            if getattr(read.spec.server, name) != getattr(self._started, name):
                log.warning("`server.%s` has changed, which counts from the next start on", name)

    async def _restore(self, old: Gateway | None, new: Gateway) -> None:
        """Has the budgets know what the ledger does: at the start all of it, at a reload what has changed."""
        changes = spending.changes(old, new, self.state.clock.now())
        for change in changes:
            if change.fresh:
                self.state.budgets.expect(change.budget, change.now)
        if changes and old is not None:
            await asyncio.to_thread(self.state.ledger.flush)
        await self._learn(changes)

    async def _learn(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if not await self._ask_ledger(change):
                task = asyncio.create_task(self._ask_ledger_again(change))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)

    async def _ask_ledger(self, change: Change) -> bool:
        try:
            spent = await asyncio.to_thread(spending.spent, self.state.ledger.spent, change)
        except Unavailable as error:
            log.error("requests that count on the budget %s are refused: %s", change.budget.name, error)
            return False
        self.state.budgets.restore(change.budget, change.now, spent)
        return True

    async def _ask_ledger_again(self, change: Change) -> None:
        """Until it answers, as it does once whoever looks after it has mended it."""
        while True:
            await asyncio.sleep(ASK_AGAIN)
            if await self._ask_ledger(change):
                log.info("what is spent of the budget %s is known again", change.budget.name)
                return

    async def packed(self) -> Iterator[bytes]:
        """The archive of everything, piece by piece; it blocks between them."""
        now, read, revision = self.state.clock.now(), self.bundle, self.live.current.revision.label
        export = await self.backups.export()
        return archive.packed(await asyncio.to_thread(archive.members, read, export, revision, now), now)

    async def may_end(self, *, restart: bool) -> float:
        """Raises Conflict where nobody may end the process over the network, and ConfigError where it could not begin
        again; gives the seconds that requests under way would have."""
        if self.bundle.spec.mode == "locked":
            raise Conflict(
                "`mode: locked` lets nobody end or restart the gateway over the network.", code="config_locked"
            )
        if restart:
            read = await asyncio.to_thread(self._read)
            await asyncio.to_thread(self._compile, read, generation=1, now=self.state.clock.now())
        return seconds(self._started.drain_timeout)

    def end(self, *, restart: bool) -> None:
        """Begins to, and returns at once."""
        self.leave(restart)

    # Memory that is derived from the database, as `services.backup.Books` has it.

    def measure(self, database: Path) -> Sums:
        """What is spent of each budget by what a file says."""
        changes = spending.changes(None, self.live.current, self.state.clock.now())
        read = partial(spent_in, database)
        return {(each.budget.name, each.period.start): spending.spent(read, each) for each in changes}

    async def rebase(self, before: Sums | None, after: Sums) -> None:
        """Changes what is known of each budget by what the files differ. Where the old one could not be read, what memory
        knows stays: that is more, if anything. What is not known is asked for."""
        for task in self._asking:
            task.cancel()
        now = self.state.clock.now()
        unknown = []
        for change in spending.changes(None, self.live.current, now):
            place = change.budget.name, change.period.start
            if not self.state.budgets.balance(change.budget, now).known:
                unknown.append(change)
            elif before is not None and place in before and place in after:
                self.state.budgets.restore(change.budget, now, after[place] - before[place])
        await self._learn(unknown)
        await self._verify_audit()

    async def reread(self) -> None:
        """Has each budget know what the file says now. What is settled while it is read may count twice, never not."""
        await asyncio.to_thread(self.state.ledger.flush)
        now, budgets = self.state.clock.now(), self.state.budgets
        changes = spending.changes(None, self.live.current, now)
        before = {(each.budget.name, each.period.start): budgets.balance(each.budget, now).spent for each in changes}
        try:
            after = await asyncio.to_thread(self.measure, self.backups.shelf.database)
        except Unavailable as error:
            log.error("what is spent of the budgets stays as it was known: %s", error)
        else:
            await self.rebase(before, after)

    def _watched(self) -> tuple[Path, ...]:
        """Where an edit may be made: in the files that run, and as long as they are refused also in those on disk."""
        return (*self.bundle.files, *self.bundle.watched, *secrets.files(self.bundle), *self._refused)

    @asynccontextmanager
    async def lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        """Knows what is spent before the first request; watches the files while the server runs; at its end closes what
        is open and writes down what is owed. What is loaded here is loaded before the first connection is taken."""
        if self._started.preload_tokenizers:
            tokens.load()
        await self._restore(None, self.live.current)
        caching = self.live.current.cache
        if caching is not None:
            await self.state.cache.warm(self.state.clock.now(), caching.exact)
        await self.evals.recover()
        by_file = partial(self.reload_unasked, "file", "file")
        watching = asyncio.create_task(watch.watch(self._watched, by_file))
        looking = asyncio.create_task(self._look_at_audit())
        try:
            async with self.backups.running(), self.sync.by_the_clock():
                yield
        finally:
            self.draining = True
            for task in (watching, looking):
                task.cancel()
            for task in (watching, looking):
                with suppress(asyncio.CancelledError):
                    await task
            await self._note("process.stop", "process", "omniroute")
            await self._close()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """For a command that asks the engine and ends, perhaps beside a server of the same files: it knows what is
        spent, and writes down what is owed; it watches nothing and says nothing of what others left over."""
        await self._restore(None, self.live.current)
        try:
            yield
        finally:
            await self._close()

    async def _close(self) -> None:
        for task in self._asking:
            task.cancel()
        await self.evals.close()
        await self.gate.settled(SETTLING)
        await asyncio.to_thread(self.observer.close)
        await self.sign_ins.tokens.close()
        await self.client.close()
        await asyncio.to_thread(self.state.cache.close)
        if not await asyncio.to_thread(self.state.audit.close):
            log.error("some entries of the audit log could not be written: %s", self.state.audit.health())
        if not await asyncio.to_thread(self.state.ledger.close):
            log.error("some rows of the ledger could not be written: %s", self.state.ledger.health())

    def app(self) -> Application:
        """The ASGI application of both planes."""
        rows = {path: list(group) for path, group in groupby(sorted(ENDPOINTS, key=_path), key=_path)}
        clients = {path: self.gate.app(*group) for path, group in rows.items()}
        router = Litestar(
            [
                *(
                    asgi(path, name=path, is_mount=rows[path][0].mount, copy_scope=False)(cast("Any", client))
                    for path, client in clients.items()
                ),
                *api.routes(self),
            ],
            lifespan=[self.lifespan],
            openapi_config=None,
            logging_config=None,
            exception_handlers=api.exception_handlers(self, in_client_shape),
        )
        return _shortcut(cast("Application", router), clients, [path for path in clients if rows[path][0].mount])


def _stay(_restart: bool) -> None:
    """There is no server that could end."""
    raise Unavailable("This gateway is part of another process.", code="not_a_server")


def _shortcut(router: Application, clients: Mapping[str, Application], mounted: Sequence[str]) -> Application:
    """The router, with a shorter way for the paths of the client API: routing and the middleware that Litestar puts
    around every handler take 20 µs of CPU, a fifth of a whole request (measured with `bench/`). A path that names a
    model is below one that takes all of them."""
    mounts = tuple((f"{path}/", clients[path]) for path in mounted)

    def application(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope["path"] if scope["type"] == "http" else ""
        client = clients.get(path)
        if client is None:
            client = next((below for prefix, below in mounts if path.startswith(prefix)), router)
        return client(scope, receive, send)

    return application
