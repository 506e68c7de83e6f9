"""The tables that a configuration compiles to: everything a request needs to decide, and nothing that changes.

A `Gateway` is one snapshot.  A request takes it once and never sees two revisions; a reload makes another and the old
one dies with its last request.  Scores (health, counters, usage) are not here: they live in `State`, keyed by the
stable names that stand here, and outlive the snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from re import Pattern
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from omniroute.catalog import Ceiling, Model, Price
from omniroute.catalog.oauth import AccountHeader, ClientAuth, Encoding, TokenScheme
from omniroute.catalog.price import UNPRICED
from omniroute.errors import Problem, UpstreamKind
from omniroute.formats.effort import Thought
from omniroute.formats.instructions import Instruction
from omniroute.formats.patch import NONE, Quirks
from omniroute.formats.redaction.scrubber import Redaction
from omniroute.routing.caller import NO_NETWORKS, IpFilter, Networks
from omniroute.routing.conditions import Condition
from omniroute.secret import Secret
from omniroute.state.base import Keeping, Profile
from omniroute.state.budgets import Budget
from omniroute.state.limits import Limit

if TYPE_CHECKING:
    from omniroute.routing.policies import Policies


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all tables: built once, never changed."""


class Revision(Table, frozen=True):
    """Which configuration this is. `digest` is over all its files, `generation` counts the swaps of this process."""

    digest: str
    generation: int
    source: str
    loaded_at: float

    @property
    def label(self) -> str:
        """Short enough to read out: the first twelve digits of the digest."""
        return self.digest[:12]


# --------------------------------------------------------------------------------------------------- where to send


class Auth(Table, frozen=True):
    """How a connection shows who it is: `scheme` names a function of `upstream/auth.py`. One with `oauth` has no secret of
    its own: who sends asks for its token, and is given such an `Auth` as there is now, with the `headers` that say whose
    account it is, and with the `former` token, which a provider may still quote; as it may the `besides`, the secrets in
    other headers of its requests."""

    scheme: str
    secret: Secret | None
    oauth: OAuth | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    former: Secret | None = None
    besides: tuple[Secret, ...] = ()


class Proxy(Table, frozen=True):
    """A proxy on the way to providers. `setting` is where the file says so; `key` stands for its address and
    credentials, the same after a reload, and tells the pools of connections through it from all others."""

    scheme: Literal["http", "socks5"]
    host: str
    port: int
    username: Secret | None
    password: Secret | None
    setting: str
    key: bytes

    @property
    def label(self) -> str:
        """Its address, without credentials."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class Exchange(Table, frozen=True):
    """A second token that is asked for with the first one: where, how the first one is sent, and the fields of the
    answer."""

    endpoint: Endpoint
    scheme: TokenScheme
    token: str
    expires_at: str


class OAuth(Table, frozen=True):
    """How a connection signs in: as which application, where, and what the provider wants otherwise than the standards
    say (`catalog/oauth.py`). `issuer` is the address of the token endpoint: tokens go to no other."""

    issuer: str
    client_id: str
    client_secret: Secret | None
    scopes: tuple[str, ...]
    redirect_uri: str
    token: Endpoint
    authorization: str | None = None
    device: Endpoint | None = None
    revocation: Endpoint | None = None
    parameters: Mapping[str, str] = {}
    client_auth: ClientAuth = "client_secret_basic"
    encoding: Encoding = "form"
    revocation_encoding: Encoding | None = None
    state_in_token: bool = False
    device_pkce: bool = False
    scheme: TokenScheme = "bearer"
    account: AccountHeader | None = None
    exchange: Exchange | None = None
    proxy: Proxy | None = None


class Connection(Table, frozen=True):
    """One account or key at a provider. `id` (`openai.team`) is the key of its health and its counters; `siblings` are
    the ids of those that have the same quota; `heed_limits` says whether what its provider tells of its limits counts."""

    id: str
    name: str
    auth: Auth
    priority: int
    weight: int
    max_concurrent: int | None
    profile: Profile
    headers: tuple[tuple[bytes, bytes], ...]
    proxy: Proxy | None = None
    siblings: tuple[str, ...] = ()
    heed_limits: bool = True


DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(msgspec.Struct, frozen=True):
    """Where connections go; the key of a pool, so that equal origins share connections across reloads."""

    scheme: str
    host: str
    port: int


class Endpoint(Table, frozen=True):
    """Where a provider speaks one format; `direct` if no proxy is to be asked."""

    origin: Origin
    base_path: str
    direct: bool = False


class Service(Table, frozen=True):
    """Where a provider does something besides chat, in which format, and what it wants otherwise in that."""

    format: str
    endpoint: Endpoint
    quirks: Quirks = NONE


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds: to connect, to the first byte of the answer, between two bytes of it, for all of it."""

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 120.0
    total: float = 900.0


Selection = Literal["fill-first", "round-robin", "random", "weighted", "least-used", "p2c"]


class Upstream(Table, frozen=True):
    """A provider, ready to be sent to. `endpoints` is ordered: the provider's own format first."""

    name: str
    endpoints: Mapping[str, Endpoint]
    connections: tuple[Connection, ...]
    selection: Selection
    headers: tuple[tuple[bytes, bytes], ...]
    deadlines: Deadlines
    quirks: Quirks
    operations: Mapping[str, Service]
    transport: str
    proxy: Proxy | None = None


class Target(Table, frozen=True):
    """One model at one provider. `id` is `provider/model` as the config says it, `model` what the provider calls it,
    `formats` are the chat formats in which it can be asked, the preferred one first; `tiers` are the prices of an image
    by quality and size; `proxy` is that of the combo which it is a target of; `when` says for which requests it is, where
    not for all; `ceiling` is what a call costs at the most."""

    id: str
    upstream: Upstream
    model: str
    formats: tuple[str, ...]
    facts: Model
    deadlines: Deadlines
    weight: int = 1
    tiers: Mapping[str, Price] = {}
    proxy: Proxy | None = None
    when: Condition | None = None
    ceiling: Ceiling = UNPRICED

    def via(self, connection: Connection, endpoint: Endpoint) -> Proxy | None:
        """The proxy that a call of the endpoint goes through; the most specific setting counts."""
        return None if endpoint.direct else connection.proxy or self.proxy or self.upstream.proxy


# ----------------------------------------------------------------------------------------------------- how to choose


class Retry(Table, frozen=True):
    """Further tries of the same candidate, before the next one is taken."""

    attempts: int = 0
    delay: float = 0.5
    on: frozenset[UpstreamKind] = frozenset({"timeout", "connect", "overloaded", "server_error", "rate_limited"})


NO_RETRY = Retry()
Strategy = Literal[
    "priority",
    "fill-first",
    "weighted",
    "round-robin",
    "random",
    "strict-random",
    "cost-optimized",
    "context",
    "least-used",
    "latency",
    "p2c",
    "lkgp",
]
ONWARD: frozenset[UpstreamKind] = frozenset(get_args(UpstreamKind)) - {"invalid"}
"""After which failures the next target is tried: all but what the caller has to mend."""


class Hedge(Table, frozen=True):
    """When the next target is asked too: the first has not begun to answer `after` so many seconds. `budget` is the
    share of requests that may do so."""

    after: float
    budget: float


class Needs(Table, frozen=True):
    """What a route takes besides a name, nested combos included, so that all others pay nothing for it: whether the
    `prompt` is looked into, or only when the body has more bytes than are `roomy`; whether the `session` matters; whether
    tries are remembered for `scores`; whether anything `hedges`."""

    prompt: bool = False
    roomy: float = inf
    session: bool = False
    scores: bool = False
    hedges: bool = False


NO_NEEDS = Needs()


class Route(Table, frozen=True):
    """What a name leads to. A combo inside a combo keeps its own strategy and all else that is said here; `weight` is its
    share in the outer one, `when` for which requests it is there. `on` are the failures after which the next step is
    tried. In a `sticky` one a session stays where it is."""

    name: str
    strategy: Strategy
    steps: tuple[Target | Route, ...]
    retry: Retry = NO_RETRY
    weight: int = 1
    when: Condition | None = None
    on: frozenset[UpstreamKind] = ONWARD
    hedge: Hedge | None = None
    sticky: bool = False
    needs: Needs = NO_NEEDS


class Alias(Table, frozen=True):
    """A wildcard alias: what `pattern` catches stands in for the stars of `target`."""

    text: str
    pattern: Pattern[str]
    target: str

    def translate(self, name: str) -> str | None:
        """What the name becomes; None where the pattern does not catch it."""
        caught = self.pattern.fullmatch(name)
        if caught is None:
            return None
        first, *rest = self.target.split("*")
        return first + "".join(part + text for part, text in zip(caught.groups(), rest, strict=False))


class LimitSet(Table, frozen=True):
    """Limits by what their exhaustion means: those of `callers` refuse the request, those of `candidates` have the plan
    skip one."""

    callers: tuple[Limit, ...] = ()
    candidates: tuple[Limit, ...] = ()


UNLIMITED = LimitSet()
"""The one that is empty, so that `is` tells."""


class Principal(Table, frozen=True):
    """Who calls. `allow` is None where everything is allowed; `expires` is a UNIX time; `limits` are its own and those
    that always hold."""

    name: str
    roles: frozenset[str]
    allow: tuple[Pattern[str], ...] | None
    expires: float | None
    tags: Mapping[str, str]
    limits: LimitSet = UNLIMITED
    budgets: tuple[Budget, ...] = ()


ANONYMOUS = Principal(name="", roles=frozenset({"client"}), allow=None, expires=None, tags={})


class Orders(Table, frozen=True):
    """What is to be done with a request on its way to a target, and with the answer on its way back."""

    max_output: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    instructions: tuple[Instruction, ...] = ()
    thinking: Thought | None = None
    redactions: tuple[Redaction, ...] = ()


Refuse = Callable[["Target", float], str | None]
"""Why a target may not serve at a time (UNIX seconds), if it may not."""
Unmet = Callable[[Any], str]
"""Why a request (`routing/policies.py: Subject`) does not meet a condition; empty where it does."""


class Rule(Table, frozen=True):
    """A rule of a policy: one of `refuse` (`timed` where that depends on the time), `route`, `prefer` and `orders`. `says` tells it in words, `place` where it
    stands (`file:line:col`)."""

    kind: str
    says: str = ""
    place: str = ""
    timed: bool = False
    refuse: Refuse | None = None
    route: str = ""
    prefer: tuple[str, ...] = ()
    orders: Orders | None = None


class Policy(Table, frozen=True):
    """A compiled policy. `keys`, `tags` and `operations` are about the caller, `conditions` about the request;
    `concerns` is about the name that was asked for and the target that would serve: one of them is enough, so that no
    alias leads around it. What its rules say is gathered by when it is asked for: `refuse`, `route`, `prefer`,
    `orders`. What a `timed` one refuses depends on the time. A policy in the `shadow` is only told about."""

    name: str
    concerns: Callable[[str, str], bool]
    rules: tuple[Rule, ...]
    timed: bool = False
    shadow: bool = False
    place: str = ""
    keys: frozenset[str] = frozenset()
    tags: Mapping[str, str] = {}
    operations: frozenset[str] = frozenset()
    conditions: tuple[Unmet, ...] = ()
    refuse: tuple[Refuse, ...] = ()
    route: str = ""
    prefer: tuple[str, ...] = ()
    orders: Orders | None = None
    limits: LimitSet = UNLIMITED


class Fetching(Table, frozen=True):
    """Which hosts images may be fetched from (any if there are none), their bytes in a request, and the seconds that it
    may take."""

    hosts: tuple[Pattern[str], ...]
    max_bytes: int
    timeout: float


class Server(Table, frozen=True):
    """The limits and habits of the surfaces. Without `fetch_images` none are fetched."""

    require_api_key: bool
    body_limit: int
    ping_interval: float
    progress_interval: float
    strict_translation: bool
    answers: Keeping
    audio_limit: int = 25 * 1024 * 1024
    fetch_images: Fetching | None = None
    trusted_proxies: Networks = NO_NETWORKS


class Queue(Table, frozen=True):
    """How many upstream requests the gateway has under way at most (None: no limit), and how many seconds a request
    may wait for a place, here or at a connection."""

    max_wait: float
    concurrent: int | None


class Access(Table, frozen=True):
    """Who may use the management plane, and under which host names it answers."""

    require_login: bool
    password_hash: Secret | None
    session_ttl: float
    allowed_hosts: frozenset[str]


class Listed(Table, frozen=True):
    """A line of `/v1/models`; a combo has no facts of its own."""

    id: str
    owned_by: str
    facts: Model | None


class Semantic(Table, frozen=True):
    """When an answer to something else will do: where the cosine of both questions, as `model` embeds them, is no less
    than `threshold`. `patience` is how long a request waits for an embedding, in seconds."""

    model: str
    threshold: float
    patience: float
    keeping: Keeping


class Caching(Table, frozen=True):
    """Which answers are given again, and to whom. `ground` is a digest of all in the configuration that shapes answers,
    so that none outlives a change of it; `groups` names the group of each key that shares its answers with others."""

    ground: str
    exact: Keeping
    groups: Mapping[str, str]
    semantic: Semantic | None = None


class Tracing(Table, frozen=True):
    """Where spans go: the whole address of the collector, and its headers. `ratio` is the share of requests that is
    traced, `timeout` seconds that the collector may take."""

    endpoint: str
    headers: tuple[tuple[str, Secret], ...]
    ratio: float
    service_name: str
    timeout: float


class Telemetry(Table, frozen=True):
    """What is told of the running gateway; `metrics` is who may read them."""

    metrics: Literal["nobody", "admin.read", "public"] = "admin.read"
    tracing: Tracing | None = None
    json_logs: bool = False
    log_requests: bool = False


class Gateway(Table, frozen=True):
    """One compiled configuration.

    `routes` holds combos, exact aliases and every known `provider/model`; `bare` maps a model id without a provider
    to the targets that have it. Both are complete answers: `resolve.py` adds only what cannot be listed. `limits` are
    those that hold for everybody, `orders` those of the settings. `secrets` is a fingerprint of the values behind all
    references: a rotated file is a change, though no line of YAML is. A session is over `session_ttl` seconds after its
    last request. `cache` and `idempotency` are None where they are switched off.
    """

    revision: Revision
    server: Server
    access: Access
    routes: Mapping[str, Route]
    bare: Mapping[str, tuple[str, ...]]
    aliases: tuple[Alias, ...]
    upstreams: Mapping[str, Upstream]
    prefixes: Mapping[str, str]
    principals: Mapping[bytes, Principal]
    policies: Policies
    models: tuple[Listed, ...]
    warnings: tuple[Problem, ...]
    secrets: bytes
    ip_filter: IpFilter | None = None
    session_ttl: float = 1800.0
    queue: Queue | None = None
    limits: LimitSet = UNLIMITED
    budgets: Mapping[str, Budget] = {}
    cache: Caching | None = None
    idempotency: Keeping | None = None
    orders: Orders | None = None
    telemetry: Telemetry = Telemetry()
