"""Write short notes (orders, job offers, invitations) with named fields; knows no prompts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from workers.synthetic import lexicon as lx
from workers.synthetic.lexicon import Split
from workers.training.texts.story_words import word_of
from workers.training.texts.wordlists import words

Fields = dict[str, str | None]

# A clause states the keys in its braces.
CLAUSES: dict[str, list[str]] = words("tasks")["note_clauses"]
NAMES: dict[str, list[str]] = words("tasks")["note_keys"]
SPOKEN_ZH: dict[str, str] = words("tasks")["note_keys_zh"]
STREETS = ("Street", "Road", "Lane", "gatan", "vägen", "strasse")


@dataclass(frozen=True, slots=True)
class Note:
    """The text of a note and its fields, those it does not state left out."""

    lang: str
    text: str
    fields: Fields


def make_note(rng: random.Random, lang: str, split: Split) -> Note:
    """A note of one to five clauses; a key is stated once at most."""
    pool = list(CLAUSES[lang])
    rng.shuffle(pool)
    wanted, clauses, values = rng.choice((1, 2, 3, 3, 4, 5)), [], {}
    for clause in pool:
        keys = [key for key in NAMES if f"{{{key}}}" in clause]
        if any(key in values for key in keys):
            continue
        values |= {key: _value(rng, key, lang, split) for key in keys}
        clauses.append(clause.format(**values))
        if len(clauses) == wanted:
            break
    if rng.random() < 0.3:
        clauses.append(lx.odd_sentence(rng, lang, split))
        rng.shuffle(clauses)
    gap = "" if lang == "zh" else rng.choice((" ", " ", "\n"))
    return Note(lang, gap.join(clauses), values)


def _value(rng: random.Random, key: str, lang: str, split: Split) -> str:
    plain = {"product": "thing", "date": "day"}
    if key in ("person", "city", "date", "time", "price", "company", "job", "event", "product"):
        return word_of(rng, plain.get(key, key), lang, split)
    n = rng.randint(2, 99)
    digits = "".join(rng.choices("0123456789", k=rng.choice((4, 5, 6, 8))))
    if key == "phone":
        return rng.choice(
            (f"0{digits[:3]}-{digits}", f"+46 {n} {digits}", f"1{digits}{digits[:3]}")
        )
    if key == "order":
        return rng.choice((digits, f"A-{digits}", f"#{digits}", f"SO{digits}"))
    if key == "email":
        name, host = (lx.invented(rng, "en", split).lower() for _ in range(2))
        return f"{name}@{host}.{rng.choice(('com', 'se', 'cn', 'org'))}"
    if key == "address":
        word = lx.invented(rng, lang, split)
        return f"{word}路{n}号" if lang == "zh" else f"{word} {rng.choice(STREETS)} {n}"
    return (
        f"{n}{rng.choice(('件', '个', '箱'))}"
        if lang == "zh"
        else rng.choice((str(n), f"{n} kg", f"{n} boxes"))
    )


def asked_of(rng: random.Random, note: Note) -> Fields:
    """Some keys, stated and not, as a user may name them, with their values."""
    stated = [key for key in NAMES if key in note.fields]
    rest = [key for key in NAMES if key not in note.fields]
    keys = rng.sample(stated, rng.randint(1, len(stated))) + rng.sample(
        rest, rng.choice((0, 0, 1, 2))
    )
    rng.shuffle(keys)
    asked: Fields = {}
    for key in keys:
        name = key if rng.random() < 0.7 else rng.choice(NAMES[key])
        if note.lang == "zh" and rng.random() < 0.4:
            name = SPOKEN_ZH[key]
        asked[name] = note.fields.get(key)
    return asked
