"""One request on its way: the only object of the hot path that changes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING

from omniroute.errors import Fault, Unsupported
from omniroute.formats.codec import Bridge, ClientCodec, Head
from omniroute.formats.ir import Chat, FinishReason, Loss, Usage
from omniroute.formats.multipart import Part
from omniroute.formats.pictures import Picture
from omniroute.formats.redaction.scrubber import Redaction
from omniroute.relay.asgi import Pairs, Scope, Send
from omniroute.relay.guard import Guard
from omniroute.relay.health import GO
from omniroute.routing import request_id as ids
from omniroute.routing.conditions import NO_FACTS, Facts
from omniroute.routing.plan import Candidate
from omniroute.routing.resolve import PLAIN
from omniroute.routing.tables import Connection, Gateway, Policy, Principal, Route, Target
from omniroute.state.base import Attempt, State
from omniroute.state.trace import HEADER as TRACEPARENT
from omniroute.state.trace import Trace, begin

if TYPE_CHECKING:
    from omniroute.relay.admission import Hold
    from omniroute.relay.cache import Record
    from omniroute.relay.ingress import Endpoint
    from omniroute.relay.queue import Wish


class Call:
    """What is known so far, and what will stand in the ledger. Times are of the monotonic clock, in seconds. `path`
    is what follows the endpoint's own path, decoded, where it takes all paths below it; there `operation` may turn out
    to be another than the endpoint's. `named` are the headers by name, of several of one name the first: whoever wants a
    certain one looks there. `provider` is the only one that may serve, where the path names one; `asked` is
    the name of the model without the `variant` that it asks for. `candidates` are all that were weighed, those out of the
    question among them. `shadows` are the policies that are only told about, `would_act` the names of those that had
    something to do. `hold` is what limits and budgets let it in with.
    `form` is what a form holds, where the endpoint takes one. `pictures` are images that were fetched, by their
    address, and `unfetched` says why one was not; `cleared` holds the heads without what rules redact. `seconds` are of
    the audio that was listened to, `images` were drawn.
    `bridge` is the stream that is being opened. Of a try that races another one, `claim` is called before the first byte
    goes to the client; `lost` says that the other was faster. `usage` is of the latest attempt, and so is `cost` as long
    as it is under way; then it is that of all `attempts`. `cache`, `idempotent` and `session` are as in the ledger.
    `progress` is what a client that wants to know of it is told. `at` is when the latest try began, in milliseconds after the
    request; `trace` is None where nothing is traced."""

    __slots__ = (
        "asked",
        "at",
        "attempts",
        "bridge",
        "cache",
        "candidates",
        "chat",
        "claim",
        "cleared",
        "codec",
        "committed",
        "connection",
        "cost",
        "deadline",
        "endpoint",
        "facts",
        "fault",
        "finish",
        "first_byte",
        "form",
        "gateway",
        "guard",
        "head",
        "headers",
        "hold",
        "id",
        "idempotent",
        "images",
        "last",
        "leave",
        "losses",
        "lost",
        "named",
        "operation",
        "path",
        "pictures",
        "place",
        "policies",
        "principal",
        "progress",
        "provider",
        "record",
        "recording",
        "request_id",
        "route",
        "scope",
        "seconds",
        "send",
        "session",
        "shadows",
        "started",
        "started_at",
        "state",
        "status",
        "target",
        "told",
        "trace",
        "tries",
        "unfetched",
        "upstream_time",
        "usage",
        "variant",
        "would_act",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        codec: ClientCodec,
        gateway: Gateway,
        state: State,
        scope: Scope,
        send: Send,
    ) -> None:
        self.endpoint = endpoint
        self.codec = codec
        self.gateway = gateway
        self.state = state
        self.scope = scope
        self.headers: Pairs = scope["headers"]
        self.named: dict[bytes, bytes] = dict(reversed(self.headers))
        self.send = send
        self.operation = endpoint.operation
        self.path = ""
        self.provider = ""
        self.form: list[Part] = []
        self.guard: Guard
        self.id = ids.new()
        wanted = self.named.get(ids.HEADER)
        self.request_id = (ids.fit(wanted) if wanted is not None else "") or self.id
        self.started = state.clock.monotonic()
        self.started_at = state.clock.now()
        self.principal: Principal | None = None
        self.policies: tuple[Policy, ...] = ()
        self.shadows: tuple[Policy, ...] = ()
        self.would_act: list[str] = []
        self.head: Head | None = None
        self.hold: Hold | None = None
        self.asked = ""
        self.route: Route | None = None
        self.facts: Facts = NO_FACTS
        self.variant = PLAIN
        self.chat: Chat | None = None
        self.pictures: dict[str, Picture] = {}
        self.unfetched: Unsupported | None = None
        self.cleared: dict[tuple[Redaction, ...], Head] = {}
        self.target: Target | None = None
        self.connection: Connection | None = None
        self.candidates: list[Candidate] = []
        self.attempts: list[Attempt] = []
        self.losses: list[Loss] = []
        self.usage: Usage | None = None
        self.seconds: float | None = None
        self.images = 0
        self.progress = ""
        self.cache = ""
        self.idempotent = False
        self.session = ""
        self.finish: FinishReason | None = None
        self.fault: Fault | None = None
        self.status = 0
        self.cost: Decimal | None = None
        self.committed = False
        self.bridge: Bridge | None = None
        self.told: tuple[tuple[bytes, bytes], ...] = ()
        self.recording = False
        self.record: Record | None = None
        self.last = False
        self.leave = GO
        self.claim: Callable[[], None] | None = None
        self.lost = False
        self.place: Wish | None = None
        self.tries = 0
        self.at = 0.0
        tracing = gateway.telemetry.tracing
        self.trace: Trace | None = None if tracing is None else begin(self.named.get(TRACEPARENT), tracing.ratio)
        self.deadline = inf
        self.upstream_time = 0.0
        self.first_byte: float | None = None

    def copied(self) -> Call:
        """Another one that knows the same, for a try that races others of the request."""
        other = Call.__new__(Call)
        for name in Call.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def elapsed(self) -> float:
        """Seconds since it came."""
        return self.state.clock.monotonic() - self.started
