"""Tell short stories of invented people, firms and places, with every fact they state.

A story is sentences, each of which states one fact (subject, relation, object) or none. It
knows no prompts: `skills` asks about stories.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from workers.synthetic.lexicon import Split
from workers.training.texts.story_words import RELATIONS, fillers, word_of

Fact = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence; `fact` is what it states with the relation's id, `about` its subject."""

    sentence: str
    fact: Fact | None
    about: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """Sentences in order; `main` is who it is about."""

    lang: str
    told: tuple[Statement, ...]
    main: str

    @property
    def text(self) -> str:
        return ("" if self.lang == "zh" else " ").join(t.sentence for t in self.told)

    @property
    def facts(self) -> list[Fact]:
        return [t.fact for t in self.told if t.fact]


def make_story(rng: random.Random, lang: str, split: Split) -> Story:
    """A story of one to three subjects with one to seven facts, some behind a pronoun."""
    subjects = [_subject(rng, lang, split) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
    if len(subjects) == 1 or rng.random() < 0.5:
        same = [s for s in subjects if s[0] == subjects[0][0]]
        subjects = same if len(same) == len(subjects) else subjects
    told: list[Statement] = []
    for kind, name in subjects:
        told += _about(rng, lang, split, kind, name)
    if len(subjects) > 1 and rng.random() < 0.3:
        told = _shuffled_by_name(rng, told)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        told.insert(rng.randint(0, len(told)), Statement(rng.choice(fillers(lang)), None, None))
    told = _pronouns_after_their_names(told)
    return Story(lang, tuple(told), subjects[0][1])


def _subject(rng: random.Random, lang: str, split: Split) -> tuple[str, str]:
    kind = rng.choice(("person", "person", "company", "company", "thing", "city", "event"))
    word = word_of(rng, kind, lang, split)
    return kind, word


def _about(rng: random.Random, lang: str, split: Split, kind: str, name: str) -> list[Statement]:
    possible = [(key, r) for key, r in RELATIONS.items() if r.subject == kind]
    count = min(len(possible), rng.choice((1, 1, 2, 2, 3, 4)))
    pronoun = _pronoun(rng, lang, kind)
    told = []
    for at, (key, relation) in enumerate(rng.sample(possible, count)):
        other = word_of(rng, relation.object, lang, split)
        forms = relation.zh if lang == "zh" else relation.en
        form = rng.choice(forms)
        shown = name
        opens = form.startswith(("{s}", "The {s} ")) and not form.startswith("{s}'s")
        if at and opens and rng.random() < 0.5:
            shown, form = pronoun, form.replace("The {s}", "{s}")
        sentence = form.format(s=shown, o=other)
        if relation.object == "job" and other[0] in "aeiou":
            sentence = sentence.replace(f" a {other}", f" an {other}")
        told.append(Statement(_capital(sentence, shown), (name, key, other), name))
    return told


def _pronoun(rng: random.Random, lang: str, kind: str) -> str:
    if lang == "zh":
        return rng.choice(("他", "她")) if kind == "person" else "它"
    return rng.choice(("She", "He")) if kind == "person" else "It"


def _capital(sentence: str, shown: str) -> str:
    """A thing's name is small inside a sentence and large at its start."""
    return sentence[:1].upper() + sentence[1:] if shown[:1].islower() else sentence


def _shuffled_by_name(rng: random.Random, told: list[Statement]) -> list[Statement]:
    """Sentences of several subjects mixed; those with a pronoun stay behind their name."""
    if any(t.about and t.about not in t.sentence for t in told):
        return told
    return rng.sample(told, len(told))


def _pronouns_after_their_names(told: list[Statement]) -> list[Statement]:
    """Sentences with a pronoun whose name was not told yet are left out."""
    named: set[str] = set()
    kept = []
    for t in told:
        is_named = t.about is None or t.about.lower() in t.sentence.lower()
        if t.about and is_named:
            named.add(t.about)
        if is_named or t.about in named:
            kept.append(t)
    return kept


def question_about(rng: random.Random, story: Story) -> tuple[str, str | None, str | None]:
    """A question on `story`, its answer (a span, or None) and the sentence that holds it."""
    facts = [t for t in story.told if t.fact]
    if facts and rng.random() < 0.78:
        told = rng.choice(facts)
        name, key, other = told.fact or ("", "", "")
        relation = RELATIONS[key]
        reverse = relation.reverse_zh if story.lang == "zh" else relation.reverse_en
        unique = sum(f.fact is not None and f.fact[1:] == (key, other) for f in facts) == 1
        if reverse and unique and rng.random() < 0.3:
            return rng.choice(reverse).format(o=other), _as_written(name, story), told.sentence
        asked = relation.ask_zh if story.lang == "zh" else relation.ask_en
        return rng.choice(asked).format(s=name), other, told.sentence
    return _unanswerable(rng, story), None, None


def _as_written(name: str, story: Story) -> str:
    text = story.text
    if name in text:
        return name
    at = text.lower().index(name.lower())
    return text[at : at + len(name)]


def _unanswerable(rng: random.Random, story: Story) -> str:
    """About someone else, or about what is not told of the subject."""
    known = {(f[0], f[1]) for f in story.facts}
    zh = story.lang == "zh"
    names = [t.about for t in story.told if t.about]
    kinds = {t.about: RELATIONS[t.fact[1]].subject for t in story.told if t.about and t.fact}
    if names and rng.random() < 0.6:
        name = rng.choice(names)
        free = [r for k, r in RELATIONS.items()
                if r.subject == kinds[name] and (name, k) not in known]  # fmt: skip
        if free:
            relation = rng.choice(free)
            return rng.choice(relation.ask_zh if zh else relation.ask_en).format(s=name)
    relation = rng.choice(list(RELATIONS.values()))
    stranger = word_of(rng, relation.subject, story.lang, "train")
    return rng.choice(relation.ask_zh if zh else relation.ask_en).format(s=stranger)


def triples(story: Story) -> list[dict[str, str]]:
    """The story's facts in order, the relation named in its language."""
    found = []
    for name, key, other in story.facts:
        relation = RELATIONS[key]
        label = relation.name_zh if story.lang == "zh" else relation.name
        found.append({"subject": _as_written(name, story), "relation": label, "object": other})
    return found


def summary(story: Story, most: int = 2) -> str:
    """The sentences on the main subject, at most `most`, nothing else; verbatim."""
    own = [t.sentence for t in story.told if t.about == story.main][:most]
    return ("" if story.lang == "zh" else " ").join(own)
