"""What a call costs: exact decimal arithmetic over the tokens that the provider reported.

Money is never a float here: sums over a month of calls must equal the sum of their rows to the last digit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

_tier = re.compile(r"((?:[a-z]+/)?[0-9]+-x-[0-9]+)/(.+)").fullmatch
LONG_CONTEXT = 200_000
"""A prompt of more tokens than this is charged in the `above_200k` tier, all of it, and so is its answer."""


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """USD per million tokens, and per image, pixel or second where a model is charged by these. An unknown price is
    absent and never 0; 0 means that it is known to cost nothing."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    input_above_200k: Decimal | None = None
    output_above_200k: Decimal | None = None
    per_image: Decimal | None = None
    per_pixel: Decimal | None = None
    per_second: Decimal | None = None


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
) -> Decimal | None:
    """USD, exact; None if the price of input is not known, or that of output where there is any. Each token is charged
    once: `input` counts the whole prompt with what was read from and written to a cache and with `audio_input`, `output`
    all that was produced
    with reasoning, and `cache_write_1h` is apart from `cache_write`."""
    per_input, per_output = price.input, price.output
    if per_output is None and not output:
        per_output = Decimal(0)
    if per_input is None or per_output is None:
        return None
    if input > LONG_CONTEXT:
        price = _long(price, per_input, per_output)
        per_input, per_output = _first(price.input, per_input), _first(price.output, per_output)
    sound = 0 if price.audio_input is None else min(audio_input, input)
    total = max(0, input - cached - cache_write - cache_write_1h - sound) * per_input
    if sound:
        total += sound * _first(price.audio_input, per_input)
    total += max(0, output - reasoning) * per_output
    if cached:
        total += cached * _first(price.cache_read, per_input)
    if cache_write:
        total += cache_write * _first(price.cache_write, per_input)
    if cache_write_1h:
        total += cache_write_1h * _first(price.cache_write_1h, _first(price.cache_write, per_input))
    if reasoning:
        total += reasoning * _first(price.reasoning, per_output)
    return total.scaleb(-6)


class Ceiling(msgspec.Struct, frozen=True):
    """What a model costs at the most, USD per token: `read` is the dearest that any token of a prompt is, `written` of an
    answer, and `long_read` and `long_written` those where the prompt is long; USD per image, pixel and second. What is
    None has no price that is known."""

    read: Decimal | None
    written: Decimal | None
    long_read: Decimal | None
    long_written: Decimal | None
    per_image: Decimal | None
    per_pixel: Decimal | None
    per_second: Decimal | None

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
        side, whichever part of a prompt or an answer it is, and every image as the dearest size and quality; `pixels`
        are those of one image."""
        long = input > LONG_CONTEXT
        read, written = (self.long_read, self.long_written) if long else (self.read, self.written)
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


UNPRICED = Ceiling(None, None, None, None, None, None, None)


def ceiling(price: Price | None, tiers: Mapping[str, Price]) -> Ceiling:
    """What calls of a model with these prices cost at the most."""
    known = price or Price()
    read, written = _dearest([known])
    long_read, long_written = read, written
    if known.input is not None:
        long_read, long_written = _dearest([known, _long(known, known.input, _first(known.output, known.input))])
        long_written = None if written is None else long_written
    images = [each.per_image for each in (known, *tiers.values()) if each.per_image is not None]
    return Ceiling(
        read=None if known.input is None else read,
        written=written,
        long_read=None if known.input is None else long_read,
        long_written=long_written,
        per_image=max(images, default=None),
        per_pixel=known.per_pixel,
        per_second=known.per_second,
    )


def _dearest(prices: Sequence[Price]) -> tuple[Decimal | None, Decimal | None]:
    """The dearest token of a prompt and of an answer, each by itself."""
    read = [
        rate
        for price in prices
        for rate in (price.input, price.cache_read, price.cache_write, price.cache_write_1h, price.audio_input)
        if rate is not None
    ]
    written = [rate for price in prices for rate in (price.output, price.reasoning) if rate is not None]
    unknown = prices[0].output is None
    return (
        max(read).scaleb(-6) if read else None,
        max(written).scaleb(-6) if written and not unknown else None,
    )


def by_second(price: Price, seconds: float) -> Decimal | None:
    """USD for so much audio, exact to the millisecond; None if the price of a second is not known."""
    return None if price.per_second is None else decimal(seconds) * price.per_second


def decimal(seconds: float) -> Decimal:
    """A length of time, to the millisecond."""
    return Decimal(round(seconds * 1000)).scaleb(-3).normalize()


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
    Its own tokens have a price only where there is none of these: what lists call output is text, which costs a
    fraction of an image's."""
    known = price or Price()
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


def _first(price: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if price is None else price


def _long(price: Price, per_input: Decimal, per_output: Decimal) -> Price:
    """The prices of a long prompt. Providers list that tier's input and output; the price of a cached token keeps its
    ratio to input, that of a reasoning token its ratio to output."""
    above_input = _first(price.input_above_200k, per_input)
    above_output = _first(price.output_above_200k, per_output)
    return Price(
        input=above_input,
        output=above_output,
        cache_read=_scaled(price.cache_read, per_input, above_input),
        cache_write=_scaled(price.cache_write, per_input, above_input),
        cache_write_1h=_scaled(price.cache_write_1h, per_input, above_input),
        reasoning=_scaled(price.reasoning, per_output, above_output),
        audio_input=price.audio_input,
    )


def _scaled(price: Decimal | None, base: Decimal, above: Decimal) -> Decimal | None:
    return price if price is None or not base else price * above / base
