"""One row of a batch while it is decoded: its constraint, its tokens, and its reply at last.

It knows which tokens may come next, not how the model scores them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer, hf
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from orchestra.clients.engine import Call, Reply
from orchestra.errors import AnswerInvalid, AnswerTruncated, OrchestraError
from workers.confidence import confidences
from workers.constrain import Grammar, compile_schema, validate
from workers.text import Prompt

WORD_BITS = 32


class Vocabulary:
    """The tokens of one model: their bytes, and a mask row of those a free text may use."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, size: int) -> None:
        self.size = size
        self.end = int(tokenizer.eos_token_id)  # pyright: ignore[reportArgumentType]
        self.tokens: LLTokenizer = hf.from_tokenizer(tokenizer, n_vocab=size, eos_token=self.end)
        self.mask_words = -(-size // WORD_BITS)
        special = set(tokenizer.get_added_vocab().values()) - {self.end}
        free = np.zeros(self.mask_words * WORD_BITS, dtype=np.uint8)
        free[: len(tokenizer)] = 1
        free[list(special)] = 0
        self.free_mask: NDArray[np.int32] = np.packbits(free, bitorder="little").view(np.int32)

    def spell(self, tokens: list[int]) -> bytes:
        """The bytes that `tokens` stand for."""
        return self.tokens.decode_bytes(tokens)


@dataclass(slots=True)
class Answer:
    """The answer of one call as it grows.

    `queue` holds tokens that are decided but not yet run through the model. `outcome` is set
    once, when the row has ended.
    """

    row: int
    call: Call
    prompt: Prompt
    vocabulary: Vocabulary
    grammar: Grammar | None = None
    matcher: LLMatcher | None = None
    queue: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    outcome: Reply | OrchestraError | None = None

    @classmethod
    def begin(
        cls, row: int, call: Call, prompt: Prompt, vocabulary: Vocabulary, text: str
    ) -> Answer:
        """An answer with its prompt queued, and all that the schema forces at its start.

        `text` is the call's text as it was rendered. Raises InvalidSchema.
        """
        answer = cls(row, call, prompt, vocabulary, queue=list(prompt.ids))
        if call.schema is not None:
            answer.grammar = compile_schema(call.schema, text)
            lark = LLMatcher.grammar_from_lark(answer.grammar.lark)
            answer.matcher = LLMatcher(vocabulary.tokens, lark)
            validate(answer.grammar, answer.matcher)
            answer._force()
        return answer

    def fill_mask(self, mask: NDArray[np.int32]) -> None:
        """Write the tokens allowed next into one mask row, a bit each."""
        if self.matcher is None:
            mask[:] = self.vocabulary.free_mask
        else:
            self.matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)

    def push(self, token: int, probability: float) -> None:
        """Append the chosen token and what it forces; sets `outcome` when that ends the row."""
        if self.matcher is None and token == self.vocabulary.end:
            self._finish()
            return
        self.queue.append(token)
        self.tokens.append(token)
        self.probabilities.append(probability)
        if self.matcher is not None:
            self.matcher.consume_token(token)
            self._force()
        if self.outcome is None and len(self.tokens) >= self.call.max_tokens:
            self._run_out()

    def _force(self) -> None:
        """Append the tokens that the grammar leaves no choice about, without the model."""
        matcher = self.matcher
        if matcher is None:
            return
        forced = matcher.compute_ff_tokens()
        if forced and matcher.consume_tokens(forced):
            self.queue += forced
            self.tokens += forced
            self.probabilities += [1.0] * len(forced)
        if matcher.is_error():
            self.outcome = AnswerInvalid(
                f"The constraint failed after {len(self.tokens)} tokens: "
                f"{matcher.get_error().strip()[:200]!r}. Simplify the schema."
            )
        elif matcher.is_stopped():
            self._finish()

    def _finish(self) -> None:
        if len(self.tokens) > self.call.max_tokens:
            self._run_out()
            return
        try:
            self.outcome = self._reply("stop")
        except OrchestraError as error:
            self.outcome = error

    def _run_out(self) -> None:
        if self.matcher is None:
            self.outcome = self._reply("length")
            return
        text = self.vocabulary.spell(self.tokens).decode(errors="replace")
        self.outcome = AnswerTruncated(
            f"The answer needs more than max_tokens={self.call.max_tokens!r}; it was "
            f"{text[-60:]!r}. Raise max_tokens or shorten the schema's strings."
        )

    def _reply(self, finish: Any) -> Reply:
        text = self.vocabulary.spell(self.tokens).decode(errors="replace")
        if self.grammar is None:
            return Reply(text=text, value=text, finish=finish)
        value = json.loads(text)
        self.grammar.check(value)
        lengths = [len(self.vocabulary.spell([token])) for token in self.tokens]
        scores = confidences(text, self.grammar.shape, lengths, self.probabilities)
        return Reply(text=text, value=value, confidence=scores, finish=finish)
