"""Synthetic examples are true: answers stand in the data, listings hold given facts only."""

import json
import random
import re
from itertools import islice

import pytest

from workers.synthetic import lexicon as lx
from workers.training.texts.corpus import examples, make_example
from workers.training.texts.rows import first_mention, make_row
from workers.training.texts.writer import write_listing

COUNT = 400


def rows(lang: str):
    rng = random.Random(3)
    return [make_row(rng, lang, "train") for _ in range(COUNT)]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_extracted_value_stands_in_the_text(lang):
    for row in rows(lang):
        for key, value in row.answers.items():
            assert value is None or (value and value in row.text), (key, value, row.text)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_rows_state_and_withhold_every_field(lang):
    for key in ("category", "colour", "material", "name", "brand", "origin", "quantity", "summary"):
        share = sum(row.answers[key] is not None for row in rows(lang)) / COUNT
        assert 0.05 < share < 0.97, key


def test_data_holds_no_character_that_the_engine_replaces():
    for row in rows("en") + rows("zh"):
        assert not re.search(r'["\\\t\r]', row.text)


@pytest.mark.parametrize("task", ["copy", "extract", "write", "answer"])
def test_answers_are_compact_json_objects(task):
    rng = random.Random(5)
    for _ in range(COUNT):
        answer = make_example(rng, task, "train").answer
        parsed = json.loads(answer)
        assert json.dumps(parsed, ensure_ascii=False, separators=(",", ":")) == answer


def test_the_same_seed_gives_the_same_examples():
    assert list(islice(examples(7, "train"), 50)) == list(islice(examples(7, "train"), 50))
    assert list(islice(examples(7, "train"), 50)) != list(islice(examples(8, "train"), 50))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_invented_names_of_the_two_splits_never_meet(lang):
    rng = random.Random(1)
    trained = {lx.invented(rng, lang, "train").lower() for _ in range(2000)}
    heldout = {lx.invented(rng, lang, "heldout").lower() for _ in range(500)}
    assert not trained & heldout


def test_a_longer_name_hides_the_category_inside_it():
    milk = lx.choices("category")["Milk"]
    assert first_mention("Fresh soy milk, better than Milk", milk) == "Milk"
    assert first_mention("Fresh soy milk", milk) is None


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", text.lower()))


def own_words(language: str) -> list[str]:
    """What the recipe itself may put into a listing."""
    write = lx.recipe()["write"]
    phrases = [phrase for wording in write["phrases"][language].values() for phrase in wording]
    return [
        *(word for words in write["openers"][language].values() for word in words),
        *(word for words in write["links"].get(language, {}).values() for word in words),
        *write["labels"][language].values(),
        *(phrase.replace("{}", " ").strip() for phrase in phrases),
        {"en": "Category", "zh": "类别"}[language],
    ]


def test_english_listings_use_only_facts_and_connectives():
    rng = random.Random(11)
    connectives = words_of(" ".join(own_words("en")))
    written = 0
    while written < COUNT:
        example = make_example(rng, "write", "train")
        if " in en" not in example.instruction:
            continue
        written += 1
        unexplained = words_of(example.answer) - words_of(example.data or "") - connectives
        assert unexplained <= {"title", "description", "bullets"}, example


def test_chinese_listings_use_only_facts_and_connectives():
    rng = random.Random(12)
    phrases = sorted(own_words("zh"), key=len, reverse=True)
    written = 0
    while written < COUNT:
        example = make_example(rng, "write", "train")
        if " in zh" not in example.instruction:
            continue
        written += 1
        facts = [line.split(": ", 1)[-1] for line in (example.data or "").split("\n")]
        text = "".join(_flat(json.loads(example.answer)))
        for known in [*sorted(facts, key=len, reverse=True), *phrases]:
            text = text.replace(known, " ")
        assert not re.search(r"[\u4e00-\u9fff]", text), (text, example)


def _flat(listing: dict) -> list[str]:
    return [listing["title"], " ", listing["description"], " ", *listing["bullets"]]


@pytest.mark.parametrize(
    ("facts", "lang", "tone", "title", "description"),
    [
        (
            {"category": "Apple", "name": "Granny Smith", "colour": "green", "origin": "Italy",
             "quantity": "ca 180g"},
            "en", "plain",
            "Granny Smith Apple, ca 180g", "Granny Smith is a green apple from Italy.",
        ),
        (
            {"category": "Milk", "name": "Arla Standard Milk", "brand": "ARLA KO"},
            "en", "warm",
            "Arla Standard Milk", "Meet Arla Standard Milk.",
        ),
        (
            {"category": "Carrots", "origin": "Sweden"},
            "en", "plain",
            "Carrots", "Carrots from Sweden.",
        ),
        (
            {"category": "shirt", "colour": "red", "material": "cotton", "name": "红色纯棉衬衫"},
            "en", "plain",
            "Red cotton shirt", "This is a red cotton shirt.",
        ),
        (
            {"category": "苹果", "name": "Granny Smith", "origin": "意大利"},
            "zh", "plain",
            "Granny Smith 苹果", "Granny Smith 苹果，产自意大利。",
        ),
        (
            {"category": "衬衫", "colour": "红色", "material": "棉", "name": "Red cotton shirt"},
            "zh", "warm",
            "红色棉衬衫", "为您带来红色棉衬衫。",
        ),
    ],
)  # fmt: skip
def test_reference_listings_read_as_a_shop_would_write(facts, lang, tone, title, description):
    listing = write_listing(facts, lang, tone)
    assert listing["title"] == title
    assert listing["description"] == description


def test_a_summary_stands_verbatim_in_the_description():
    facts = {"category": "Lime", "origin": "Brazil", "summary": "Lime has a sour taste."}
    listing = write_listing(facts, "en", "plain")
    assert listing["description"] == "Lime has a sour taste. It comes from Brazil."
