"""Score the text model on held-out synthetic examples by free greedy decoding.

Nothing constrains the answers here, so the numbers say what the model has learnt by itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from workers.training.text.tokenizer import END, THINK_END
from workers.training.texts.corpus import examples
from workers.training.texts.example import Example

BATCH = 32
BREAK = THINK_END + "\n\n"
ANY_KEY = ("ask", "classify", "triples", "fields", "summarise")


@torch.no_grad()
def answer_all(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: Sequence[Example]
) -> list[str]:
    """Greedy answers to `asked`, in order, batched by length."""
    order = sorted(range(len(asked)), key=lambda i: len(asked[i].prompt))
    answers = [""] * len(asked)
    model.eval()
    generator: Any = model  # transformers' own protocol does not fit its classes
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        batch = tokenizer([asked[i].prompt for i in rows], padding=True, return_tensors="pt",
                          add_special_tokens=False, padding_side="left")  # fmt: skip
        bound = max(len(asked[i].completion) for i in rows) // 2 + 40
        out = generator.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"],
            do_sample=False, max_new_tokens=min(bound, 320), pad_token_id=0, eos_token_id=3,
        )  # fmt: skip
        width = batch["input_ids"].shape[1]
        for i, ids in zip(rows, out, strict=True):
            answers[i] = str(tokenizer.decode(ids[width:])).split(END)[0]
    model.train()
    return answers


def score(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int, seed: int = 1
) -> dict[str, float]:
    """Shares in 0..1 over `count` held-out examples, by task and key."""
    asked = list(islice(examples(seed, "heldout"), count))
    return shares(asked, answer_all(model, tokenizer, asked))


def shares(asked: Sequence[Example], answers: Sequence[str]) -> dict[str, float]:
    """What is right of the `answers` to `asked`: shares in 0..1 by task and key."""
    tally: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for example, text in zip(asked, answers, strict=True):
        if example.task == "chat":
            _note(f"chat: {example.kind} exact", text == example.answer, tally, total)
            continue
        thought, _, text = text.rpartition(BREAK) if example.thought else ("", "", text)
        if example.thought:
            _note("thought exact", thought == example.thought, tally, total)
        _count(example, _object(text), json.loads(example.answer), tally, total)
    return {name: tally[name] / total[name] for name in sorted(total)}


def _note(name: str, holds: bool, tally: Counter[str], total: Counter[str]) -> None:
    total[name] += 1
    tally[name] += holds


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return given if isinstance(given, dict) else {}


def _count(
    example: Example, given: dict[str, Any], wanted: dict[str, Any],
    tally: Counter[str], total: Counter[str],
) -> None:  # fmt: skip
    note = partial(_note, tally=tally, total=total)
    if example.task in ANY_KEY:
        # The prompt need not name the key, so values alone are compared.
        name = f"{example.task}: {example.kind}".rstrip(": ")
        said = list(given.values())
        note(f"{name} exact", said == list(wanted.values()))
        return
    if example.task == "write":
        facts = dict(line.split(": ", 1) for line in (example.data or "").split("\n"))
        written = json.dumps(given, ensure_ascii=False)
        reference = json.dumps(wanted, ensure_ascii=False)
        note("write: exact", given == wanted)
        needed = [v for v in facts.values() if v in reference]
        note("write: all facts given", all(v in written for v in needed))
        return
    for key, value in wanted.items():
        if key not in CORE_KEYS:
            continue  # the prompt names no keys, so a free answer cannot know renamed ones
        answer = given.get(key, "")
        note(f"{example.task}: {key} exact", answer == value)
        if value is None:
            note(f"{example.task}: null recall", answer is None)
        elif answer is None:
            note(f"{example.task}: null precision", False)
        if value is None and answer is None:
            note(f"{example.task}: null precision", True)
        if isinstance(answer, str) and answer:
            note(f"{example.task}: verbatim", answer in (example.data or ""))


CORE_KEYS = ("category", "colour", "material", "name", "brand", "origin", "quantity", "summary",
             "answer")  # fmt: skip
