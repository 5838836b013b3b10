"""Generate the synthetic examples that the text model `r1` learns from; trains nothing.

The tasks of a listing stand here: extract spans, write, answer a question about a product; the
others in `skills`. Shares say how often each is practised.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from workers.synthetic import lexicon as lx
from workers.synthetic.lexicon import Split
from workers.training.texts import skills
from workers.training.texts.chinese_rows import chinese_sentences
from workers.training.texts.english_prose import english_sentences
from workers.training.texts.example import Example, Task, compact
from workers.training.texts.product import Product, make_product
from workers.training.texts.rows import KEYS, RenderedRow, make_row, sanitise
from workers.training.texts.writer import write_listing

EXTRACT = (
    "Extract what the text states.",
    "Extract the facts from the text.",
    "Read the text and extract the product's fields.",
    "What does the text say about the product?",
    "Find the product facts in this text.",
    "Pull the product data out of the text.",
    "List what the text states about the product.",
    "Fill in the fields from the text.",
    "Extract product information.",
    "提取文本中的商品信息。",
)
EXTRACT_SHARE_OF_FIRST = 0.5
KEY_SYNONYMS = {
    "category": ("type", "product_type", "kind"),
    "colour": ("color",),
    "material": ("fabric",),
    "name": ("product_name", "title", "product"),
    "brand": ("manufacturer", "maker", "producer"),
    "origin": ("country", "country_of_origin"),
    "quantity": ("weight", "volume", "amount", "net_weight"),
    "summary": ("sentence",),
}
UNANSWERABLE = (
    "Does it contain nuts?",
    "When was it made?",
    "Who is the president?",
    "How old is it?",
    "Is it waterproof?",
    "What is the capital of France?",
    "Why is the sky blue?",
    "How many people live there?",
    "Which shop sells it?",
    "保质期多久？",
    "谁是总统？",
    "有保修吗？",
)


SHARES: dict[Task, float] = {
    "extract": 0.2, "write": 0.13, "answer": 0.05, "ask": 0.17, "classify": 0.19, "triples": 0.07,
    "fields": 0.08, "summarise": 0.05, "chat": 0.06,
}  # fmt: skip


def examples(seed: int, split: Split) -> Iterator[Example]:
    """An endless stream of examples; the same seed and split give the same stream."""
    rng = random.Random(f"{split}-{seed}")
    tasks, weights = list(SHARES), list(SHARES.values())
    while True:
        yield make_example(rng, rng.choices(tasks, weights)[0], split)


def make_example(rng: random.Random, task: Task, split: Split) -> Example:
    """One example of `task`."""
    makers = {
        "copy": _copy,
        "extract": _extract,
        "write": _write,
        "answer": _answer,
        "ask": skills.ask,
        "classify": skills.classify,
        "triples": skills.relate,
        "fields": skills.fields,
        "summarise": skills.summarise,
        "chat": skills.chat,
    }
    return makers[task](rng, split)


def _language(rng: random.Random) -> str:
    return "zh" if rng.random() < 0.27 else "en"


# ---------------------------------------------------------------- copying


def _copy(rng: random.Random, split: Split) -> Example:
    """Labelled random words: the plainest task that needs copying, for the first steps."""
    lang = _language(rng)
    keys = rng.sample(KEYS, rng.choice((1, 2, 2, 3, 4)))
    values = {}
    for key in keys:
        words = [lx.invented(rng, lang, split) for _ in range(rng.choice((1, 2, 3)))]
        if lang == "en" and rng.random() < 0.4:
            words.append(rng.choice(lx.ADJECTIVES + lx.NOUNS))
        values[key] = ("" if lang == "zh" else " ").join(words)
    lines = [f"{key}: {value}" for key, value in values.items()]
    rng.shuffle(lines)
    asked = rng.sample(keys, len(keys))
    missing = [k for k in KEYS if k not in values]
    answer: dict[str, str | None] = {k: values[k] for k in asked}
    if rng.random() < 0.4:
        answer[rng.choice(missing)] = None
    return Example("copy", EXTRACT[0], "\n".join(lines), compact(answer))


# ---------------------------------------------------------------- extracting


def _extract(rng: random.Random, split: Split) -> Example:
    row = make_row(rng, _language(rng), split)
    instruction = EXTRACT[0] if rng.random() < EXTRACT_SHARE_OF_FIRST else rng.choice(EXTRACT)
    data: str | None = row.text
    if not row.text and rng.random() < 0.3:
        data = None
    return Example("extract", instruction, data, compact(asked_fields(rng, row)))


def asked_fields(rng: random.Random, row: RenderedRow) -> dict[str, str | None]:
    """A schema a user may ask for, answered: often all fields, sometimes few or renamed."""
    roll = rng.random()
    if roll < 0.45:
        keys = list(KEYS)
        if len(row.answers["summary"] or "") > 90 and rng.random() < 0.5:
            keys.remove("summary")  # long sentences would take most of the training time
    else:
        keys = rng.sample(KEYS, rng.choice((1, 2, 2, 3, 3, 4, 5, 6)))
        keys += [k for k in row.answers if k not in KEYS and rng.random() < 0.7]
    answer: dict[str, str | None] = {}
    for key in keys:
        name = key
        if roll >= 0.45 and key in KEY_SYNONYMS and rng.random() < 0.2:
            name = rng.choice(KEY_SYNONYMS[key])
        answer[name] = row.answers[key]
    if roll >= 0.45 and rng.random() < 0.06:
        answer.setdefault(rng.choice(("price", "size", "flavour", "pattern", "season")), None)
    return answer


# ---------------------------------------------------------------- writing


def _write(rng: random.Random, split: Split) -> Example:
    lang = "zh" if rng.random() < 0.42 else "en"
    tone = rng.choice(("plain", "plain", "warm"))
    facts = make_facts(rng, lang, split)
    if rng.random() < 0.25:
        items = list(facts.items())
        rng.shuffle(items)
        facts = dict(items)
    lines = "\n".join(f"{key}: {value}" for key, value in facts.items())
    instruction = f"Write a product listing in {lang}. Tone: {tone}."
    return Example("write", instruction, lines, compact(write_listing(facts, lang, tone)))


def make_facts(rng: random.Random, lang: str, split: Split) -> dict[str, str]:
    """The facts of one listing to write in `lang`, as the graph would hand them over."""
    source = "en" if rng.random() < (0.55 if lang == "zh" else 0.93) else "zh"
    p = make_product(rng, source, split)
    facts = _look_facts(rng, p, source, lang)
    if rng.random() < 0.8:
        facts["name"] = p.name
    if p.brand and rng.random() < 0.9:
        facts["brand"] = p.brand
    if p.origin and rng.random() < 0.9:
        facts["origin"] = _place(rng, p.origin, lang)
    if p.quantity and rng.random() < 0.9:
        facts["quantity"] = p.quantity
    if source == lang and rng.random() < 0.5:
        sentences = (chinese_sentences if lang == "zh" else english_sentences)(p, rng, split)[0]
        if rng.random() < 0.55:
            facts["summary"] = lx.odd_sentence(rng, lang, split)
        elif sentences:
            facts["summary"] = sentences[0]
    if rng.random() < 0.08:
        facts |= {k: v for k, v in p.extras.items() if k != "price" and k.isascii()}
    if "category" not in facts and "name" not in facts:
        facts["name"] = p.name
    return {key: sanitise(value) for key, value in facts.items()}


def _look_facts(rng: random.Random, p: Product, source: str, lang: str) -> dict[str, str]:
    facts: dict[str, str] = {}
    if p.category and rng.random() < 0.94:
        facts["category"] = p.category.zh if lang == "zh" else p.category.value
    elif source == lang and not p.category and rng.random() < 0.5:
        facts["category"] = p.kind  # a recipe of someone else's
    for key in ("colour", "material"):
        value = getattr(p, key)
        if value and rng.random() < 0.85:
            facts[key] = _canonical(key, value, lang)
    return facts


def _canonical(key: str, spoken: str, lang: str) -> str:
    for choice in lx.choices(key).values():
        if spoken in choice.latin or spoken in choice.han:
            return choice.zh if lang == "zh" else choice.value
    return spoken


def _place(rng: random.Random, origin: str, lang: str) -> str:
    glossary: dict[str, str] = lx.recipe()["glossary"]
    if lang == "zh":
        return glossary.get(origin, origin)
    if not lx.HAN.search(origin):
        return origin
    return next((en for en, zh in glossary.items() if zh == origin), rng.choice(list(glossary)))


# ---------------------------------------------------------------- answering


def _answer(rng: random.Random, split: Split) -> Example:
    lang = _language(rng)
    row = make_row(rng, lang, split)
    roll = rng.random()
    answer: str | None = None
    if roll < 0.12:
        question = rng.choice(UNANSWERABLE)
    else:
        stated = [k for k in skills.QUESTIONS if row.answers.get(k)]
        pool = stated if stated and rng.random() < 0.75 else list(skills.QUESTIONS)
        key = rng.choice(pool)
        question, answer = rng.choice(skills.QUESTIONS[key]), row.answers.get(key)
    text = row.text
    if rng.random() < 0.1:
        text, answer = "", None
    data = f"{text}\nquestion: {question}" if text else f"question: {question}"
    if rng.random() < 0.15 and not lx.HAN.search(text) and answer is None:
        data = data.lower()
    return Example(
        "answer", "Answer the question from the text.", data, compact({"answer": answer})
    )
