"""Decodes a batch of answers, greedily or by sampling, each row held to its own constraint.

Knows sessions and answers, not which model or schema is behind them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from orchestra.core.call import IsCancelled
from orchestra.core.card import Sampling
from orchestra.core.errors import Cancelled
from workers.decoding.completion import Completion, Vocabulary
from workers.decoding.model import AnySession
from workers.decoding.sampling import GREEDY, Draws

# Ended rows leave the batch once they are this part of it: each removal copies the cache.
ENDED_PART = 0.5


def decode(
    answers: Sequence[Completion],
    session: AnySession,
    vocabulary: Vocabulary,
    image_features: Any = None,
    is_cancelled: IsCancelled | None = None,
    sampling: Sampling = GREEDY,
) -> None:
    """Run `answers` until each has an outcome; some may have theirs already.

    The first block of a row is its whole queue, prompt included, also of a row that has ended: the
    image features are those of all rows. `sampling` bounds what the answers with draws of their own
    draw from.
    """
    rows = list(answers)
    first = True
    while True:
        _cancel(rows, is_cancelled)
        if all(answer.outcome for answer in rows):
            return
        if not first:
            rows = _drop_ended(rows, session)
        blocks = [_next_block(answer, None if first else session.block_tokens) for answer in rows]
        logits_BV = session.extend(blocks, image_features if first else None)
        first = False
        at = [i for i, answer in enumerate(rows) if not answer.queue and answer.outcome is None]
        if at:
            _choose([rows[i] for i in at], session, logits_BV[at], vocabulary, sampling)


def _cancel(rows: Sequence[Completion], is_cancelled: IsCancelled | None) -> None:
    if is_cancelled is None:
        return
    for answer in rows:
        if answer.outcome is None and is_cancelled(answer.row):
            answer.outcome = Cancelled(
                f"Row {answer.row} was cancelled after {len(answer.tokens)} tokens. "
                "Call again if it is wanted."
            )


def _drop_ended(rows: list[Completion], session: AnySession) -> list[Completion]:
    live = [i for i, answer in enumerate(rows) if answer.outcome is None]
    if len(live) > len(rows) * (1 - ENDED_PART):
        return rows
    session.keep(live)
    return [rows[i] for i in live]


def _next_block(answer: Completion, most: int | None) -> list[int]:
    """The tokens to run next; at first, without `most`, also those of a row that has ended."""
    if answer.outcome is not None and most is not None:
        answer.queue.clear()
        return []
    block = answer.queue[:most]
    del answer.queue[: len(block)]
    return block


def _choose(
    answers: Sequence[Completion],
    session: AnySession,
    logits_BV: Any,
    vocabulary: Vocabulary,
    sampling: Sampling,
) -> None:
    """Push each row's next token: the likeliest allowed one, or one that is drawn.

    Its probability is the one among the allowed tokens, whatever the temperature.
    """
    masks = np.zeros((len(answers), vocabulary.mask_words), dtype=np.int32)
    for mask, answer in zip(masks, answers, strict=True):
        answer.fill_mask(mask)
    bits = np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little")[:, : vocabulary.size]
    sources = [answer.draws for answer in answers if answer.draws is not None]
    # One engine samples all its rows, or none.
    draws = Draws(sampling, [source.random() for source in sources]) if sources else None
    picked = session.pick(logits_BV, bits.view(np.bool_), draws)
    now = time.monotonic()
    for answer, token, probability in zip(answers, *picked, strict=True):
        answer.first_at = answer.first_at or now
        answer.push(token, probability)
