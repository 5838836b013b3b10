"""Examples of r1's other tasks are true: spans stand in the text, labels in the prompt."""

import json
import random

import pytest

from workers.training.texts.corpus import make_example
from workers.training.texts.example import Example
from workers.training.texts.labels import labelled
from workers.training.texts.stories import make_story, question_about, triples

COUNT = 400


def made(task, seed=3) -> list[Example]:
    rng = random.Random(seed)
    return [make_example(rng, task, "train") for _ in range(COUNT)]


def values(value) -> list[str]:
    """All strings of an answer, relations left out."""
    if isinstance(value, dict):
        return [s for key, v in value.items() if key != "relation" for s in values(v)]
    if isinstance(value, list):
        return [s for v in value for s in values(v)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("task", ["ask", "triples", "fields"])
def test_every_value_stands_in_the_text(task):
    for example in made(task):
        for value in values(json.loads(example.answer)):
            assert value in (example.data or ""), (value, example)


@pytest.mark.parametrize("task", ["ask", "fields"])
def test_some_of_what_is_asked_is_not_stated(task):
    missing = [None in json.loads(example.answer).values() for example in made(task)]
    assert 0.1 < sum(missing) / COUNT < 0.6


def test_a_label_is_among_those_that_the_instruction_names():
    for example in made("classify"):
        (label,) = json.loads(example.answer).values()
        assert label in example.instruction


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_labels_of_a_text_are_distinct_and_hold_its_own(lang):
    rng = random.Random(1)
    items = [labelled(rng, lang, "train") for _ in range(COUNT)]
    assert all(item.label in item.labels for item in items)
    assert all(len(set(item.labels)) == len(item.labels) for item in items)
    assert {item.kind for item in items} >= {"sentiment", "intent", "topic", "department"}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_story_tells_its_facts_and_names_whoever_a_pronoun_stands_for(lang):
    rng = random.Random(2)
    for _ in range(COUNT):
        story = make_story(rng, lang, "train")
        for triple in triples(story):
            assert triple["subject"] in story.text and triple["object"] in story.text
        named: set[str] = set()
        for told in story.told:
            if told.about and told.about.lower() in told.sentence.lower():
                named.add(told.about)
            assert told.about is None or told.about in named


def test_the_sentence_behind_an_answer_holds_it():
    rng = random.Random(4)
    for _ in range(COUNT):
        story = make_story(rng, "en", "train")
        _, answer, sentence = question_about(rng, story)
        assert (answer is None) == (sentence is None)
        assert sentence is None or sentence in story.text


def test_a_thought_is_asked_for_and_closed_before_the_answer():
    thinking = [example for example in made("ask") if example.thought is not None]
    assert thinking
    for example in thinking:
        assert "Think first." in example.instruction or "先思考。" in example.instruction
        assert example.prompt.endswith("<|assistant|><think>")
        assert example.completion == f"{example.thought}</think>\n\n{example.answer}"


def test_a_summary_of_a_story_quotes_it():
    data = [(e, e.data or "") for e in made("summarise")]
    stories = [e for e, told in data if ":" not in told and "\n" not in told]
    quoted = [json.loads(e.answer)["summary"] in (e.data or "") for e in stories]
    assert sum(quoted) / len(quoted) > 0.3  # the others sum up a product in a phrase of its facts


def test_a_chat_turn_keeps_the_earlier_messages_in_the_prompt():
    turns = [e for e in made("chat") if e.turns]
    assert turns
    for example in turns:
        assert example.prompt.startswith("<|user|>")
        assert all(text in example.prompt for _, text in example.turns)
