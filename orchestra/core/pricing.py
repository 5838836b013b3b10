"""What a call costs, before and after it was made; pure arithmetic on a card."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from orchestra.core.card import Card

MICRO = Decimal(1_000_000)
SECONDS_AN_HOUR = Decimal(3600)


@dataclass(frozen=True, slots=True)
class Work:
    """Tokens in and out, and images, of one call."""

    input_tokens: int
    output_tokens: int
    images: int = 0

    @property
    def tokens(self) -> int:
        """Tokens that a token budget counts."""
        return self.input_tokens + self.output_tokens


def cost_micro(card: Card, work: Work) -> int:
    """Price of `work` on `card` in micro-dollars, rounded up; of an unknown price, nothing.

    Time-priced models are rated by the card's profile rather than by the clock, so the price
    is known beforehand and never passes its reservation (docs/adr/0003).
    """
    price = card.price
    rated_ms = card.profile.milliseconds(work.input_tokens, work.output_tokens, work.images)
    seconds = Decimal(str(rated_ms)) / 1000
    usd = (
        price.usd_per_million_input_tokens * work.input_tokens / MICRO
        + price.usd_per_million_output_tokens * work.output_tokens / MICRO
        + price.usd_per_image * work.images
        + price.usd_per_cpu_second * seconds
        + price.usd_per_hour * seconds / SECONDS_AN_HOUR
    )
    return int((usd * MICRO).to_integral_value(rounding=ROUND_CEILING))


def latency_ms(card: Card, work: Work) -> float:
    """Predicted time of `work` on `card` in milliseconds, with nothing beside it."""
    measured = card.profile if card.latency is None else card.latency
    return measured.milliseconds(work.input_tokens, work.output_tokens, work.images)
