"""What a call costs: exact decimal arithmetic over the tokens that the provider reported.

Money is never a float here: sums over a month of calls must equal the sum of their rows to the last digit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import overload

import msgspec

_tier = re.compile(r"((?:[a-z]+/)?[0-9]+-x-[0-9]+)/(.+)").fullmatch
MOST_SECONDS = 10_000_000
"""Of audio that is charged for; what a provider says beyond it is no length."""


class Rates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """USD per million tokens of each kind. An unknown price is absent and never 0; 0 means that it is known to cost
    nothing. A kind without a price of its own costs what `input` costs, or `output`."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    image_input: Decimal | None = None
    image_output: Decimal | None = None


class Tier(Rates, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a request costs, all of it, whose prompt has more tokens than `above`."""

    above: int


class ServiceTier(Rates, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a request costs that the provider served in the tier of this name, such as `flex` or `priority`."""

    name: str


class Price(Rates, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a model costs: by token, and per image, pixel or second where it is charged by these. `tiers` stand in the
    order of their bounds. A price that the file `stated` counts before what a provider says that it charged."""

    per_image: Decimal | None = None
    per_pixel: Decimal | None = None
    per_second: Decimal | None = None
    tiers: tuple[Tier, ...] = ()
    service_tiers: tuple[ServiceTier, ...] = ()
    stated: bool = False


INPUT = ("cache_read", "cache_write", "cache_write_1h", "audio_input", "image_input")
OUTPUT = ("reasoning", "audio_output", "image_output")
"""The kinds of token with the price of `input`, or of `output`, where they have none of their own."""


def cost(
    price: Price,
    *,
    input: int,  # noqa: A002 - the term of the field
    output: int,
    cached: int = 0,
    cache_write: int = 0,
    cache_write_1h: int = 0,
    reasoning: int = 0,
    audio_input: int = 0,
    audio_output: int = 0,
    image_input: int = 0,
    image_output: int = 0,
    service_tier: str = "",
) -> Decimal | None:
    """USD, exact; None if the price of input is not known, or that of output where there is any. Each token is charged
    once: `input` counts the whole prompt with what was read from and written to a cache and with sound and pictures,
    `output` all that was produced with reasoning, and `cache_write_1h` is apart from `cache_write`. `service_tier` is the
    tier that the provider served in."""
    rates: Rates = price
    if service_tier or price.tiers:
        rates = at(price, input, service_tier)
    per_input, per_output = rates.input, rates.output
    if per_output is None and not output:
        per_output = Decimal(0)
    if per_input is None or per_output is None:
        return None
    fresh, plain = input, output
    total = Decimal(0)
    if cached:
        fresh -= cached
        total += cached * _first(rates.cache_read, per_input)
    if cache_write:
        fresh -= cache_write
        total += cache_write * _first(rates.cache_write, per_input)
    if cache_write_1h:
        fresh -= cache_write_1h
        total += cache_write_1h * _first(rates.cache_write_1h, _first(rates.cache_write, per_input))
    if reasoning:
        plain -= reasoning
        total += reasoning * _first(rates.reasoning, per_output)
    if audio_input or image_input:
        fresh, part = _apart(fresh, ((audio_input, rates.audio_input), (image_input, rates.image_input)))
        total += part
    if audio_output or image_output:
        plain, part = _apart(plain, ((audio_output, rates.audio_output), (image_output, rates.image_output)))
        total += part
    if fresh > 0:
        total += fresh * per_input
    if plain > 0:
        total += plain * per_output
    return total.scaleb(-6)


def _apart(left: int, kinds: Iterable[tuple[int, Decimal | None]]) -> tuple[int, Decimal]:
    """What tokens with a price of their own cost, and how many are left. No more are charged than are left: what was
    heard or seen may have been read from a cache."""
    total = Decimal(0)
    for count, rate in kinds:
        if rate is not None:
            part = max(0, min(count, left))
            left -= part
            total += part * rate
    return left, total


def at(price: Price, tokens: int, service_tier: str = "") -> Rates:
    """The prices of a request with a prompt of so many tokens that was served in this tier of service. One of which
    nothing is known costs what others do."""
    rates: Rates = price
    for one in price.service_tiers:
        if one.name == service_tier:
            rates = _instead(price, one)
    for tier in reversed(price.tiers):
        if tokens > tier.above:
            return _instead(rates, tier) if rates is price else _above(rates, price, tier)
    return rates


def _dearest(rates: Rates, parent: str, kinds: tuple[str, ...]) -> Decimal:
    prices = [getattr(rates, kind) for kind in (parent, *kinds)]
    return max((price for price in prices if price is not None), default=Decimal(0))


class Ceiling(msgspec.Struct, frozen=True):
    """What a model costs at the most. Each of `steps` says from which size of a prompt on it holds (more tokens than
    that) and what the dearest token of a prompt and of an answer costs then, USD; USD per image, pixel and second. What
    is None has no price that is known."""

    steps: tuple[tuple[int, Decimal | None, Decimal | None], ...]
    per_image: Decimal | None = None
    per_pixel: Decimal | None = None
    per_second: Decimal | None = None

    def covers(self, other: Ceiling) -> bool:
        """Whether it is surely never less, for the same or more tokens: told of plain prices by token alone."""
        if not (self.flat and other.flat):
            return False
        (_, read, written), (_, less_read, less_written) = self.steps[0], other.steps[0]
        return (
            read is not None
            and written is not None
            and less_read is not None
            and less_written is not None
            and read >= less_read
            and written >= less_written
        )

    @property
    def flat(self) -> bool:
        """Whether a token costs the same however many there are, and nothing else has a price."""
        return len(self.steps) == 1 and (self.per_image, self.per_pixel, self.per_second) == (None, None, None)

    def most(
        self,
        *,
        input: int,  # noqa: A002 - the term of the field
        output: int,
        images: int = 0,
        pixels: int = 0,
        seconds: float | None = None,
    ) -> Decimal | None:
        """USD that a call costs at the most; None where its price is not known. Every token counts as the dearest of its
        side, whichever part of a prompt or an answer it is and whichever tier of service takes it, and every image as
        the dearest size and quality; `pixels` are those of one image."""
        _, read, written = self.steps[0]
        for above, long_read, long_written in self.steps:
            if input > above:
                read, written = long_read, long_written
        if images:
            known = [self.per_image] if self.per_image is not None else []
            if self.per_pixel is not None:
                known.append(self.per_pixel * pixels)
            if known:
                return images * max(known) + (Decimal(0) if read is None else read * input)
        spoken = None
        if read is not None and not (written is None and output):
            spoken = read * input if not output or written is None else read * input + written * output
        if seconds is None or self.per_second is None:
            return spoken
        heard = decimal(seconds) * self.per_second
        return heard if spoken is None else max(heard, spoken)


UNPRICED = Ceiling(((0, None, None),))


def ceiling(price: Price | None, tiers: Mapping[str, Price]) -> Ceiling:
    """What calls of a model with these prices cost at the most."""
    known = price or Price()
    images = [each.per_image for each in (known, *tiers.values()) if each.per_image is not None]
    return Ceiling(
        steps=tuple(_steps(known)),
        per_image=max(images, default=None),
        per_pixel=known.per_pixel,
        per_second=known.per_second,
    )


def _steps(price: Price) -> Iterator[tuple[int, Decimal | None, Decimal | None]]:
    """A longer prompt never costs less at the most: what it is estimated at may be more than it turns out to be."""
    services = ("", *[one.name for one in price.service_tiers])
    read = written = Decimal(0)
    for above in (0, *[tier.above for tier in price.tiers]):
        rates = [at(price, above + 1, service) for service in services]
        read = max(read, *[_dearest(each, "input", INPUT) for each in rates])
        written = max(written, *[_dearest(each, "output", OUTPUT) for each in rates])
        yield (
            above,
            None if price.input is None else read.scaleb(-6),
            None if price.output is None else written.scaleb(-6),
        )


def by_second(price: Price, seconds: float) -> Decimal | None:
    """USD for so much audio, exact to the millisecond; None if the price of a second is not known."""
    return None if price.per_second is None else decimal(seconds) * price.per_second


def decimal(seconds: float) -> Decimal:
    """A length of time, to the millisecond, and within reason: it is what somebody says."""
    within = min(max(seconds, 0.0), MOST_SECONDS) if seconds == seconds else 0.0  # noqa: PLR0124 - not a number is not
    return Decimal(round(within * 1000)).scaleb(-3).normalize()


def drawn(
    price: Price | None,
    tiers: Mapping[str, Price],
    *,
    images: int,
    size: tuple[int, int] | None,
    quality: str | None,
    input: int | None,  # noqa: A002 - the term of the field
    output: int,
) -> Decimal | None:
    """USD for images, exact; None where nothing says what one costs. An image has a price by quality and size, by size,
    by itself or by its pixels, in this order, and the tokens of the prompt come to it where they were counted (`input`).
    Before all of these counts a price of its own tokens, where they were counted; what lists call output is text, which
    costs a fraction of an image's, and so is its price only where there is no other."""
    known = price or Price()
    if known.image_output is not None and known.input is not None and input is not None and output:
        return (input * known.input + output * known.image_output).scaleb(-6)
    each = _each(known, tiers, size, quality)
    if each is None:
        return None if input is None or not output else cost(known, input=input, output=output)
    total = images * each
    if input is not None and known.input is not None:
        total += (input * known.input).scaleb(-6)
    return total


def _each(
    price: Price, tiers: Mapping[str, Price], size: tuple[int, int] | None, quality: str | None
) -> Decimal | None:
    if size is None:
        return price.per_image
    width, height = size
    named = f"{width}-x-{height}"
    for tier in (f"{quality}/{named}", named):
        if tier in tiers and tiers[tier].per_image is not None:
            return tiers[tier].per_image
    if price.per_image is not None or price.per_pixel is None:
        return price.per_image
    return width * height * price.per_pixel


def split_tier(ident: str) -> tuple[str, str]:
    """The tier and the model of a row of a list; no tier where the row is a model's own."""
    match = _tier(ident)
    return (match[1], match[2]) if match else ("", ident)


@lru_cache(maxsize=1024)
def _instead(base: Rates, said: Rates) -> Rates:
    """What a tier costs. Lists tell its input and output; the price of another kind keeps its ratio to these."""
    found = Rates(input=_first(said.input, base.input), output=_first(said.output, base.output))
    return _with_ratios(found, base, said)


@lru_cache(maxsize=1024)
def _above(service: Rates, base: Price, tier: Tier) -> Rates:
    """What a long prompt costs in a tier of service: as many times more as it does in the usual one."""
    found = Rates(
        input=_scaled(service.input, base.input, tier.input), output=_scaled(service.output, base.output, tier.output)
    )
    return _with_ratios(found, service, None)


def _with_ratios(found: Rates, base: Rates, said: Rates | None) -> Rates:
    kinds: dict[str, Decimal | None] = {}
    for parent, names in (("input", INPUT), ("output", OUTPUT)):
        for name in names:
            own = None if said is None else getattr(said, name)
            ratio = _scaled(getattr(base, name), getattr(base, parent), getattr(found, parent))
            kinds[name] = ratio if own is None else own
    return msgspec.structs.replace(found, **kinds)


def _scaled(price: Decimal | None, base: Decimal | None, now: Decimal | None) -> Decimal | None:
    return price if not price or not base or now is None else price * now / base


@overload
def _first(price: Decimal | None, otherwise: Decimal) -> Decimal: ...
@overload
def _first(price: Decimal | None, otherwise: None) -> Decimal | None: ...
def _first(price: Decimal | None, otherwise: Decimal | None) -> Decimal | None:
    return otherwise if price is None else price
