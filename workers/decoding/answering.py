"""Answers batches of calls with any model; the parts of an engine that need no model library."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from orchestra.core.call import Call, IsCancelled, OnText, Reply, Served, Usage
from orchestra.core.card import Sampling
from orchestra.core.errors import ModelUnavailable, OrchestraError, OutsideDomain, PromptTooLong
from workers.decoding.completion import Completion, Vocabulary
from workers.decoding.decode import decode
from workers.decoding.meter import PROCESS
from workers.decoding.model import AnySession, Prompt, TextModel
from workers.decoding.sampling import GREEDY, generator
from workers.decoding.standing import judged, outside
from workers.decoding.taught import Reworded


class AnsweringEngine:
    """One model in memory; see `orchestra.core.call.Engine` for the contract.

    Greedy or sampled, the same call has the same answer, alone or in any batch: what is drawn
    depends on the seed and the call only.
    """

    def __init__(self, model: TextModel, sampling: Sampling = GREEDY) -> None:
        self._model = model
        self._sampling = sampling
        self._vocabulary = Vocabulary(model.tokenizer, model.vocab_size, thinks=model.writer.thinks)

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens that `call` would use, image tokens included."""
        return self._model.count_tokens(call)

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """Answer `calls` in one batch; see `Engine.generate`.

        `usage.cpu_s` is this process's CPU time over the batch, all threads added, shared by
        the rows in proportion to their tokens (see `workers.decoding.meter` for engines that
        overlap).
        """
        started = time.monotonic()
        with PROCESS.measure() as spent:
            begun = [self._begin(row, call, on_text) for row, call in enumerate(calls)]
            answers = [answer for answer in begun if isinstance(answer, Completion)]
            forced = [a for a in answers if a.outcome is not None and self._looks_again(a.call)]
            self._decode([a for a in answers if a.outcome is None], is_cancelled)
            self._look_at(forced)
        total = sum(len(a.prompt.ids) + a.made for a in answers) or 1
        return [
            self._outcome(answer, spent.cpu_s / total, started)
            if isinstance(answer, Completion)
            else answer
            for answer in begun
        ]

    def _begin(self, row: int, call: Call, on_text: OnText | None) -> Completion | OrchestraError:
        try:
            taught = self._model.taught
            asked, reworded = call, Reworded(call) if taught is None else taught.reworded(call)
            call = reworded.call
            hear = None if on_text is None else partial(on_text, row)
            # Its pieces would be the model's words alone, and neither the user's nor the last ones.
            waits = bool(reworded.wordings) or self._looks_again(call)
            prompt = self._model.prepare(call)
            self._check_length(call, prompt)
            answer = Completion.begin(
                row,
                call,
                prompt,
                self._vocabulary,
                self._model.writer.data(call.text or ""),
                thinks=self._model.writer.opens_thought(call),
                draws=generator(self._sampling, call),
                hear=None if waits else hear,
            )
            answer.asked, answer.reworded = asked, reworded
            answer.hear_whole = hear if waits else None
            return answer
        except OrchestraError as error:
            return error

    def _looks_again(self, call: Call) -> bool:
        return self._model.second_look is not None and bool(call.images) and call.schema is not None

    def _check_length(self, call: Call, prompt: Prompt) -> None:
        tokens, context = len(prompt.ids), self._model.context_tokens
        if tokens + call.written_tokens > context:
            thoughts = f" after {call.thinking_tokens!r} of thinking" * bool(call.thinking_tokens)
            cure = " or limits.thinking_tokens on the card" * bool(call.thinking_tokens)
            raise PromptTooLong(
                f"The prompt has {tokens} tokens and the answer may have {call.max_tokens!r}"
                f"{thoughts}, but the context holds {context}. Shorten the text by "
                f"{tokens + call.written_tokens - context} tokens or lower max_tokens{cure}."
            )

    def _decode(
        self,
        answers: list[Completion],
        is_cancelled: IsCancelled | None,
        *,
        refuses: bool = True,
    ) -> None:
        """Run `answers` to their end. With `refuses` a free question about a photo that the model
        does not know is not answered: its words could not be taken back.
        """
        if not answers:
            return
        try:
            capacity = [len(a.queue) + a.call.written_tokens for a in answers]
            prompts = [answer.prompt for answer in answers]
            session, image_features = self._model.open(prompts, capacity)
            if refuses:
                _refuse(answers)
            vocabulary, sampling = self._vocabulary, self._sampling
            decode(answers, session, vocabulary, image_features, is_cancelled, sampling)
            self._look_again(answers)
            self._ended(answers, session)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            for answer in answers:
                answer.outcome = answer.outcome or ModelUnavailable(
                    f"A batch of {len(answers)} rows does not fit the memory: {error}. "
                    "Lower the card's batch size."
                )

    def _look_at(self, forced: Sequence[Completion]) -> None:
        """Look at the photos of answers that the schema forced, for which nothing was decoded."""
        if forced:
            self._model.open([a.prompt for a in forced], [len(a.prompt.ids) for a in forced])
            self._look_again(forced)

    def _look_again(self, answers: Sequence[Completion]) -> None:
        look = self._model.second_look
        for answer in answers:
            if look is not None and isinstance(answer.outcome, Reply):
                asked = answer.asked or answer.call
                answer.opinion = look.opinion(asked, answer.call, answer.prompt)

    def _outcome(
        self, answer: Completion, token_cpu_s: float, started: float
    ) -> Reply | OrchestraError:
        """The reply with its metered work, or the error, with it where it was worked for."""
        sent, made = len(answer.prompt.ids), answer.made
        usage = Usage(sent, made, len(answer.call.images), (sent + made) * token_cpu_s)
        if not isinstance(answer.outcome, Reply):
            error = answer.outcome or ModelUnavailable(
                f"Row {answer.row} was left without an answer. Report this as a bug."
            )
            error.used = usage if error.may_have_spent else None
            return error
        first_s = None if answer.first_at is None else answer.first_at - started
        served = Served(first_s=first_s)
        reply = self._told(answer, replace(answer.outcome, usage=usage, served=served))
        if answer.hear_whole is not None:
            answer.hear_whole(reply.text)
        return reply

    def _told(self, answer: Completion, reply: Reply) -> Reply:
        """`reply` joined with what else was seen, where it stands, and in the user's words."""
        opinion = answer.opinion
        reply = reply if opinion is None else opinion.joined(reply)
        reply = judged(reply, answer.prompt.standings)
        reply = reply if answer.reworded is None else answer.reworded.given(reply)
        return reply if opinion is None else opinion.told(reply)

    def _ended(self, answers: Sequence[Completion], session: AnySession) -> None:
        """What else an engine notes once a batch has its answers."""


def _refuse(answers: Sequence[Completion]) -> None:
    """End the answers that no schema holds, where a photo is of no known kind."""
    for answer in answers:
        reason = outside(answer.prompt.standings)
        if reason is not None and answer.call.schema is None:
            answer.outcome = OutsideDomain(
                f"The question is about a photo of a kind that the model was never shown: {reason}."
            )


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "memory" in str(error).lower()
