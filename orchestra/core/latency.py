"""How long a model's calls take, measured: parts, slowdown beside others, and the spread.

It knows no card, no price and no clock. A card's `profile` rates what a call costs; where a card
has a `latency`, its time is predicted from that instead, so fitting it anew changes no price
(docs/adr/0025).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestra.core.job import Word

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class AnswerLength(Word):
    """Tokens of one ask's prompts and answers, as its calls had them.

    `ask` is the hash of its wording and schema. Both grow with the bytes of the job's text.
    """

    ask: str = Field(min_length=1)
    calls: int = Field(ge=1)
    input_tokens: Amount = 0.0
    input_tokens_per_byte: Amount = 0.0
    output_tokens: Amount = 0.0
    output_tokens_per_byte: Amount = 0.0

    def tokens(self, text_bytes: int) -> tuple[float, float]:
        """Expected tokens in and out for a job with `text_bytes` of text."""
        return (
            self.input_tokens + self.input_tokens_per_byte * text_bytes,
            self.output_tokens + self.output_tokens_per_byte * text_bytes,
        )


class Latency(Word):
    """Milliseconds of a model's calls, from sending to the whole answer.

    The first token comes after the fixed part and the prompt's and images' parts; each token out
    takes its own. `slowdown_per_call` is the share by which each call that the model already has
    under way slows one more, `slowdown_per_neighbour` the same for each call under way on another
    model of the machine. Of 100 calls, 99 take at most `p99_ratio` times what is predicted.
    `cold_start_ms` is loading the model, once, before any deadline begins.
    """

    origin: Literal["measured", "estimated"] = "measured"
    calls: int = Field(default=0, ge=0)
    fixed_ms: Amount = 0.0
    ms_per_input_token: Amount = 0.0
    ms_per_output_token: Amount = 0.0
    ms_per_image: Amount = 0.0
    cold_start_ms: Amount = 0.0
    slowdown_per_call: Amount = 0.0
    slowdown_per_neighbour: Amount = 0.0
    p99_ratio: float = Field(default=1.0, ge=1, allow_inf_nan=False)
    answers: tuple[AnswerLength, ...] = ()

    def first_token_ms(self, input_tokens: float, images: int) -> float:
        """Time to the first token of a call alone."""
        prompt = self.ms_per_input_token * input_tokens
        return self.fixed_ms + prompt + self.ms_per_image * images

    def milliseconds(
        self,
        input_tokens: float,
        output_tokens: float,
        images: int,
        calls: float = 0.0,
        neighbours: float = 0.0,
    ) -> float:
        """Time of a whole call beside `calls` of this model and `neighbours` of others."""
        alone = self.first_token_ms(input_tokens, images) + self.ms_per_output_token * output_tokens
        slowdown = self.slowdown_per_call * calls + self.slowdown_per_neighbour * neighbours
        return alone * (1 + slowdown)

    def answer_of(self, ask: str) -> AnswerLength | None:
        """What is known of the ask with this hash."""
        return next((known for known in self.answers if known.ask == ask), None)


class WholeJobs(Word):
    """How far whole jobs end beyond what is predicted of them, as jobs of a book did.

    Of 100 jobs, 99 take at most `p99_ratio` times what their plan expects. Slow calls of one job
    seldom fall together, so this is much less than the bounds of its calls added.
    """

    origin: Literal["measured", "estimated"] = "measured"
    jobs: int = Field(default=0, ge=0)
    p99_ratio: float = Field(ge=1, allow_inf_nan=False)


class Overhead(Word):
    """Milliseconds of a job that no model works: intake, the graph's own steps, the book."""

    origin: Literal["measured", "estimated"] = "measured"
    jobs: int = Field(default=0, ge=0)
    job_ms: Amount = 0.0
    ms_per_call: Amount = 0.0
    ms_per_image: Amount = 0.0
    p99_ratio: float = Field(default=1.0, ge=1, allow_inf_nan=False)

    def milliseconds(self, calls: int, images: int) -> float:
        """Overhead of a job with so many calls and photos."""
        return self.job_ms + self.ms_per_call * calls + self.ms_per_image * images
