"""Examples of what `r1` does beside listings: questions, classes, triples, fields, summaries, chat.

Instructions vary as users' do. Where the answer needs no schema the same work is also asked
inside one chat message, and then mostly answered in plain words.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from workers.synthetic import lexicon as lx
from workers.synthetic.lexicon import Split
from workers.training.texts.example import THINK_REQUESTS, Example, compact
from workers.training.texts.labels import labelled
from workers.training.texts.notes import asked_of, make_note
from workers.training.texts.rows import RenderedRow, make_row
from workers.training.texts.stories import make_story, question_about, summary, triples
from workers.training.texts.wordlists import words

QUESTIONS = {
    "category": (
        "What kind of product is it?",
        "What is it?",
        "What product is this?",
        "这是什么商品？",
    ),
    "colour": (
        "What colour is it?",
        "Which color is it?",
        "What is the colour?",
        "它是什么颜色？",
        "颜色是什么？",
    ),
    "material": (
        "What is it made of?",
        "Which material is it?",
        "What fabric is used?",
        "是什么材质？",
        "用什么面料？",
    ),
    "name": (
        "What is the product called?",
        "What is its name?",
        "叫什么名字？",
        "商品名称是什么？",
    ),
    "brand": (
        "Who makes it?",
        "Which brand is it?",
        "What is the brand?",
        "是什么品牌？",
        "谁生产的？",
    ),
    "origin": (
        "Where does it come from?",
        "Which country is it from?",
        "Where is it made?",
        "产地是哪里？",
        "来自哪里？",
    ),
    "quantity": (
        "How much is in it?",
        "What is the weight?",
        "How big is the pack?",
        "净含量是多少？",
        "规格是多少？",
    ),
    "price": ("What does it cost?", "What is the price?", "How much is it?"),
    "size": ("What size is it?", "Which size is this?"),
    "价格": ("多少钱？", "价格是多少？"),
    "尺码": ("尺码是多少？", "是什么尺码？"),
}

THINK_SHARE = 0.18
_WORDS: dict[str, Any] = words("tasks")
ASK, CLASSIFY, ANY_CLASS = _WORDS["ask"], _WORDS["classify"], _WORDS["any_class"]
TRIPLES, FIELDS, SUMMARISE = _WORDS["triples"], _WORDS["fields"], _WORDS["summarise"]
NOT_SAID: dict[str, str] = _WORDS["not_said"]
TALK: list[dict[str, Any]] = _WORDS["talk"]
TALK_ALONE = [*TALK, *_WORDS["talk_alone"]]
CLASS_KEYS = ("label", "label", "label", "answer", "class", "category", "result")
NO_EVIDENCE = {"en": "The text does not say.", "zh": "文中没有说。"}


def ask(rng: random.Random, split: Split) -> Example:
    """A question on a story: its answer is a span, or null."""
    lang = _language(rng)
    story = make_story(rng, lang, split)
    question, answer, holder = question_about(rng, story)
    form = rng.choice(ASK[lang])
    instruction = form.format(q=question)
    text = _sanitised(story.text)
    data = text if "{q}" in form else f"text: {text}\nquestion: {question}"
    example = Example("ask", instruction, data, compact({"answer": answer}))
    return _thinking(rng, example, lang, holder or NO_EVIDENCE[lang])


def classify(rng: random.Random, split: Split) -> Example:
    """A text's label among those that the instruction names."""
    lang = _language(rng)
    item = labelled(rng, lang, split)
    said = _listed(rng, item.labels, lang)
    own = CLASSIFY[item.kind][lang]
    instruction = rng.choice(own if rng.random() < 0.6 else ANY_CLASS[lang]).format(l=said)
    key = item.kind if rng.random() < 0.35 else rng.choice(CLASS_KEYS)
    answer = compact({key: item.label})
    return Example("classify", instruction, _sanitised(item.text), answer, kind=item.kind)


def _listed(rng: random.Random, labels: tuple[str, ...], lang: str) -> str:
    if lang == "zh":
        return rng.choice(("、".join(labels), "，".join(labels), "还是".join(labels)))
    if len(labels) > 1 and rng.random() < 0.7:
        return f"{', '.join(labels[:-1])} or {labels[-1]}"
    return ", ".join(labels)


def relate(rng: random.Random, split: Split) -> Example:
    """The triples of a story, or of a product's row."""
    lang = _language(rng)
    if rng.random() < 0.25:
        row = make_row(rng, lang, split)
        found, text = product_triples(row, lang), row.text
    else:
        story = make_story(rng, lang, split)
        found, text = triples(story), story.text
    return Example(
        "triples", rng.choice(TRIPLES[lang]), _sanitised(text), compact({"triples": found})
    )


PRODUCT_RELATIONS: dict[str, dict[str, str]] = _WORDS["product_relations"]


def product_triples(row: RenderedRow, lang: str) -> list[dict[str, str]]:
    """What a row states of its product, by name or category."""
    subject = row.answers["name"] or row.answers["category"]
    if not subject:
        return []
    return [
        {"subject": subject, "relation": relation, "object": value}
        for key, relation in PRODUCT_RELATIONS[lang].items()
        if (value := row.answers[key])
    ]


def fields(rng: random.Random, split: Split) -> Example:
    """The values of keys that a note may state; the instruction often names them."""
    lang = _language(rng)
    note = make_note(rng, lang, split)
    asked = asked_of(rng, note)
    names = [name.replace("_", " ") for name in asked]
    said = (
        "、".join(names)
        if lang == "zh"
        else ", ".join(names[:-1]) + " and " * (len(names) > 1) + names[-1]
    )
    instruction = rng.choice(FIELDS[lang]).format(k=said)
    return Example("fields", instruction, _sanitised(note.text), compact(asked))


def summarise(rng: random.Random, split: Split) -> Example:
    """A product in one phrase of its facts, or what a story tells of its main subject."""
    lang = _language(rng)
    if rng.random() < 0.5:
        row = make_row(rng, lang, split)
        text, told = row.text, product_summary(row, lang)
        if told is None:
            return summarise(rng, split)
    else:
        story = make_story(rng, lang, split)
        text, told = story.text, _sanitised(summary(story))
    return Example(
        "summarise", rng.choice(SUMMARISE[lang]), _sanitised(text), compact({"summary": told})
    )


def product_summary(row: RenderedRow, lang: str) -> str | None:
    """One phrase of the row's own words: name, looks, brand, origin, quantity."""
    facts = {key: value for key, value in row.answers.items() if value and key != "summary"}
    head = facts.get("name") or facts.get("category")
    if head is None:
        return row.answers["summary"]
    zh = lang == "zh"
    parts = [head]
    parts += [facts[k] for k in ("category", "colour", "material")
              if k in facts and facts[k].lower() not in head.lower()]  # fmt: skip
    if "brand" in facts and facts["brand"] not in head:
        parts.append(f"品牌{facts['brand']}" if zh else f"by {facts['brand']}")
    if "origin" in facts:
        parts.append(f"产自{facts['origin']}" if zh else f"from {facts['origin']}")
    if "quantity" in facts:
        parts.append(facts["quantity"])
    return ("，" if zh else ", ").join(parts) + ("。" if zh else ".")


# ---------------------------------------------------------------- chat


def chat(rng: random.Random, split: Split) -> Example:
    """One chat message that holds everything, answered in plain words (or, at times, JSON)."""
    roll = rng.random()
    if roll < 0.2:
        return _small_talk(rng)
    if roll < 0.35:
        return _conversation(rng, split)
    maker = rng.choice((ask, ask, classify, classify, relate, fields, summarise, _product_question))
    example = maker(rng, split)
    lang = "zh" if lx.HAN.search(example.instruction) else "en"
    message = _joined(rng, example)
    answer = example.answer if rng.random() < 0.25 else plain_answer(example, lang)
    return replace(
        example, task="chat", instruction=message, data=None, answer=answer, kind=example.task
    )


def _product_question(rng: random.Random, split: Split) -> Example:
    lang = _language(rng)
    row = make_row(rng, lang, split)
    stated = [key for key in QUESTIONS if row.answers.get(key)] or ["colour"]
    key = rng.choice(stated) if rng.random() < 0.8 else rng.choice(list(QUESTIONS))
    asked = [q for q in QUESTIONS[key] if bool(lx.HAN.search(q)) == (lang == "zh")] or list(
        QUESTIONS[key]
    )
    return Example("ask", rng.choice(asked), row.text, compact({"answer": row.answers.get(key)}))


def _joined(rng: random.Random, example: Example) -> str:
    instruction, data = example.instruction, example.data or ""
    return rng.choice(
        (f"{instruction}\n\n{data}", f"{instruction}\n{data}", f"{data}\n\n{instruction}",
         f"{data}\n{instruction}", f"{instruction} {data}", f"{data} {instruction}",
         f"{instruction}\nText: {data}")
    )  # fmt: skip


def plain_answer(example: Example, lang: str) -> str:
    """The answer of `example` as a person would write it."""
    value = json.loads(example.answer)
    if example.task == "triples":
        lines = [f"{t['subject']} | {t['relation']} | {t['object']}" for t in value["triples"]]
        return "\n".join(lines) or NOT_SAID[lang]
    if example.task == "fields":
        return "\n".join(f"{key}: {said or '-'}" for key, said in value.items())
    return next(iter(value.values())) or NOT_SAID[lang]


def _small_talk(rng: random.Random) -> Example:
    talk = rng.choice(TALK_ALONE)
    message = rng.choice(talk["asked"])
    if rng.random() < 0.3:
        message = rng.choice((message.lower(), message.rstrip("?.!？。！"), message + "!"))
    return Example("chat", message, None, talk["answer"], kind="talk")


def _conversation(rng: random.Random, split: Split) -> Example:
    """Two or three questions about one text, which the first message holds."""
    lang = _language(rng)
    story = make_story(rng, lang, split)
    text = _sanitised(story.text)
    turns: list[tuple[str, str]] = []
    for at in range(rng.choice((2, 2, 3))):
        question, answer, _ = question_about(rng, story)
        message = _joined(rng, Example("ask", question, text, "")) if at == 0 else question
        turns += [("user", message), ("assistant", answer or NOT_SAID[lang])]
    if rng.random() < 0.2:
        talk = rng.choice(TALK)
        turns[-2:] = [("user", rng.choice(talk["asked"])), ("assistant", talk["answer"])]
    *before, (_, question), (_, answer) = turns
    return Example("chat", question, None, answer, turns=tuple(before), kind="turns")


def _thinking(rng: random.Random, example: Example, lang: str, thought: str) -> Example:
    if rng.random() >= THINK_SHARE:
        return example
    gap = "" if lang == "zh" else " "
    asked = f"{example.instruction}{gap}{THINK_REQUESTS[lang]}"
    return replace(example, instruction=asked, thought=_sanitised(thought))


def _language(rng: random.Random) -> str:
    return "zh" if rng.random() < 0.3 else "en"


def _sanitised(text: str) -> str:
    return text.replace('"', "'").replace("\\", "/").replace("\t", " ").replace("\r", " ")
