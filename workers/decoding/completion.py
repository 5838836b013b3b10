"""One row of a batch while it is decoded: its constraint, its tokens, and its reply at last.

It knows which tokens may come next, not how the model scores them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from llguidance import LLMatcher
from numpy.typing import NDArray

from orchestra.core.call import Call, Reply, thinking_cure
from orchestra.core.errors import (
    AnswerInvalid,
    AnswerTruncated,
    CheckpointInvalid,
    OrchestraError,
    ThoughtTruncated,
)
from workers.decoding.confidence import confidences
from workers.decoding.constrain import Grammar, compile_schema, validate
from workers.decoding.model import Prompt, SecondOpinion
from workers.decoding.prompt import THINK_CLOSE
from workers.decoding.taught import Reworded
from workers.decoding.voice import Voice
from workers.loading.tokens import AnyTokenizer, grammar_tokens

WORD_BITS = 32
MATCHERS = 16  # grammars that are kept ready
# What reasoning models write between `</think>` and the answer; a schema's answer skips it.
BREAK = "\n\n"


class Vocabulary:
    """The tokens of one model: their bytes, and mask rows of those a free text may use.

    With `thinks`, the model always begins with thoughts that end with `</think>`. Raises
    CheckpointInvalid when that is no token of its own.
    """

    def __init__(self, tokenizer: AnyTokenizer, size: int, *, thinks: bool = False) -> None:
        self.size = size
        self.end = int(tokenizer.eos_token_id)
        self.tokens = grammar_tokens(tokenizer, size, self.end)
        self._matchers: dict[str, LLMatcher] = {}
        self._lengths: dict[int, int] = {}
        self.mask_words = -(-size // WORD_BITS)
        # Added single letters go, too: as tokens they spell broken bytes.
        added = set(tokenizer.get_added_vocab().values()) - {self.end}
        self.free_mask = self._mask(len(tokenizer), added)
        self.break_ids: list[int] = tokenizer.encode(BREAK, add_special_tokens=False)
        self.think_mask = self.free_mask
        self.think_end = tokenizer.get_vocab().get(THINK_CLOSE)
        if thinks and self.think_end is None:
            raise CheckpointInvalid(
                f"The chat template opens <think>, but the tokenizer has no token "
                f"{THINK_CLOSE!r}. Use the template that belongs to this tokenizer."
            )
        if self.think_end is not None:
            self.think_mask = self._mask(len(tokenizer), added - {self.think_end})

    def spell(self, tokens: list[int]) -> bytes:
        """The bytes that `tokens` stand for."""
        return self.tokens.decode_bytes(tokens)

    def length(self, token: int) -> int:
        """How many bytes `token` stands for."""
        known = self._lengths.get(token)
        if known is None:
            known = self._lengths[token] = len(self.spell([token]))
        return known

    def matcher(self, lark: str) -> LLMatcher:
        """What holds an answer to a grammar, at its start.

        A batch asks the same of every photo, so that the last grammars are kept: a copy takes a
        thousandth of the time, and knows the masks that the others had worked out.
        """
        known = self._matchers.pop(lark, None)
        if known is None:
            known = LLMatcher(self.tokens, LLMatcher.grammar_from_lark(lark))
            if len(self._matchers) >= MATCHERS:
                self._matchers.pop(next(iter(self._matchers)))
        self._matchers[lark] = known  # the last one is the one that was asked for last
        return known.deep_copy()

    def _mask(self, tokens: int, without: set[int]) -> NDArray[np.int32]:
        free = np.zeros(self.mask_words * WORD_BITS, dtype=np.uint8)
        free[:tokens] = 1
        free[list(without)] = 0
        return np.packbits(free, bitorder="little").view(np.int32)


@dataclass(slots=True)
class Completion:
    """The answer of one call as it grows.

    `queue` holds tokens that are decided but not yet run through the model. `thought` are the
    tokens up to the end of thinking, `tokens` those of the answer. `draws` is where sampled
    tokens come from, None for greedy ones. `asked` is the call in the user's words and `reworded`
    the way back to them, `opinion` what a second look at the photo found; `hear_whole` is told the
    answer once it is joined. `first_at` is when its first token was chosen, by the monotonic clock.
    `outcome` is set once, when the row has ended.
    """

    row: int
    call: Call
    prompt: Prompt
    vocabulary: Vocabulary
    voice: Voice = field(default_factory=Voice)
    draws: np.random.Generator | None = None
    grammar: Grammar | None = None
    matcher: LLMatcher | None = None
    is_thinking: bool = False
    queue: list[int] = field(default_factory=list)
    thought: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    asked: Call | None = None
    reworded: Reworded | None = None
    opinion: SecondOpinion | None = None
    hear_whole: Callable[[str], None] | None = None
    first_at: float | None = None
    outcome: Reply | OrchestraError | None = None

    @classmethod
    def begin(
        cls,
        row: int,
        call: Call,
        prompt: Prompt,
        vocabulary: Vocabulary,
        text: str,
        *,
        thinks: bool = False,
        draws: np.random.Generator | None = None,
        hear: Callable[[str], None] | None = None,
    ) -> Completion:
        """An answer with its prompt queued, and all that the schema forces at its start.

        `text` is the call's text as it was rendered; `hear` is told the answer piece by piece.
        With `thinks` the prompt ends within thoughts, which the answer follows.
        Raises InvalidSchema.
        """
        thinks = thinks and vocabulary.think_end is not None
        answer = cls(row, call, prompt, vocabulary, Voice(hear, trims=thinks), draws)
        answer.is_thinking = thinks
        answer.queue = list(prompt.ids)
        if call.schema is not None:
            answer.grammar = compile_schema(call.schema, text)
            answer.matcher = vocabulary.matcher(answer.grammar.lark)
            validate(answer.grammar, answer.matcher)
            if not thinks:
                answer._force()
        return answer

    @property
    def made(self) -> int:
        """Tokens written so far, thoughts included."""
        return len(self.thought) + len(self.tokens)

    def fill_mask(self, mask: NDArray[np.int32]) -> None:
        """Write the tokens allowed next into one mask row, a bit each."""
        if self.is_thinking:
            mask[:] = self.vocabulary.think_mask
        elif self.matcher is None:
            mask[:] = self.vocabulary.free_mask
        else:
            self.matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)

    def push(self, token: int, probability: float) -> None:
        """Append the chosen token and what it forces; sets `outcome` when that ends the row."""
        if self.is_thinking:
            self._think(token)
        elif self.matcher is None and token == self.vocabulary.end:
            self._finish()
        else:
            self._write([token], [probability])
            if self.matcher is not None:
                self.matcher.consume_token(token)
                self._force()
        if self.outcome is None and self._left <= 0:
            self._run_out()

    @property
    def _left(self) -> int:
        """Tokens that may still be written: of the answer, or of thoughts while it thinks."""
        call = self.call
        if not call.thinking_tokens:
            return call.max_tokens - self.made
        if not self.is_thinking:
            return call.max_tokens - len(self.tokens)
        breaks = 0 if self.matcher is None else len(self.vocabulary.break_ids)
        return call.thinking_tokens - len(self.thought) - breaks

    def _think(self, token: int) -> None:
        """Append a token of thought; the answer begins after the one that ends it."""
        if token == self.vocabulary.end:
            self._run_out()
            return
        self.queue.append(token)
        self.thought.append(token)
        if token != self.vocabulary.think_end:
            return
        self.is_thinking = False
        if self.matcher is not None:
            self.queue += self.vocabulary.break_ids
            self.thought += self.vocabulary.break_ids
            self._force()

    def _write(self, tokens: list[int], probabilities: list[float]) -> None:
        self.queue += tokens
        self.tokens += tokens
        self.probabilities += probabilities
        self.voice.say(self.vocabulary.spell(tokens))

    def _force(self) -> None:
        """Append the tokens that the grammar leaves no choice about, without the model."""
        matcher = self.matcher
        if matcher is None:
            return
        forced = matcher.compute_ff_tokens()
        if forced and matcher.consume_tokens(forced):
            self._write(forced, [1.0] * len(forced))
        if matcher.is_error():
            self.outcome = AnswerInvalid(
                f"The constraint failed after {len(self.tokens)} tokens: "
                f"{matcher.get_error().strip()[:200]!r}. Simplify the schema."
            )
        elif matcher.is_stopped():
            self._finish()

    def _finish(self) -> None:
        if self._left < 0:
            self._run_out()
            return
        try:
            self.outcome = self._reply("stop")
        except OrchestraError as error:
            self.outcome = error

    def _run_out(self) -> None:
        if self.is_thinking:
            self.outcome = ThoughtTruncated(
                f"After {self.made} tokens of thinking the model had not closed its thoughts with "
                f"{THINK_CLOSE!r}, so there is no answer. {thinking_cure(self.call)}"
            )
        elif self.matcher is None:
            self.outcome = self._reply("length")
        else:
            self.outcome = AnswerTruncated(
                f"The answer needs more than max_tokens={self.call.max_tokens!r}; it was "
                f"{self.voice.text[-60:]!r}. Raise max_tokens or shorten the schema's strings."
            )

    def _reply(self, finish: Any) -> Reply:
        self.voice.end()
        text, thinking = self.voice.text, self._thinking()
        if self.grammar is None:
            return Reply(text=text, value=text, finish=finish, thinking=thinking)
        value = json.loads(text)
        self.grammar.check(value)
        lengths = [self.vocabulary.length(token) for token in self.tokens]
        scores = confidences(text, self.grammar.shape, lengths, self.probabilities)
        return Reply(text=text, value=value, confidence=scores, finish=finish, thinking=thinking)

    def _thinking(self) -> str:
        if self.vocabulary.think_end not in self.thought:
            return ""
        end = self.thought.index(self.vocabulary.think_end)
        return self.vocabulary.spell(self.thought[:end]).decode(errors="replace").strip()
