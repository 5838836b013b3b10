"""What a listing may say: the facts of a product, in a language, and the words around them.

Not a graph: the functions by which `graphs.listing` holds its writer to the facts, before the
writing (patterns) and after it (a check that also covers models that ignore patterns).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from graphs.compose import Sentences, description_pattern, title_pattern
from graphs.rubric import faults, is_foreign, joined, sayable
from orchestra import Recipe
from orchestra.batch.recipe import FieldRule, Language, Writing
from orchestra.combine.ground import SENTENCE_END, Support, ground_text, unsupported
from orchestra.combine.own import own_value
from orchestra.core.job import Field
from orchestra.core.text import find_span
from orchestra.core.values import CJK

# Names stay as they are in every language; other words in the wrong one are left out.
ARTICLE = re.compile(r"\b(?P<article>[Aa]n?) (?P<next>\w)")
MOST_NAME_CHARS = 150
KEPT_IN_ANY_LANGUAGE = frozenset({"name", "brand", "quantity"})

# `check_field` drops what the facts do not support, so a server need not know the pattern.
GROUNDED = {"x-grounded": True}

Part = Literal["title", "description"]
Facts = Mapping[str, tuple[str, Field]]


def known_facts(recipe: Recipe, fields: Mapping[str, Field], language: Language) -> Facts:
    """Facts fit to be written: answered, not contradicted, and in the language asked for."""
    facts: dict[str, tuple[str, Field]] = {}
    # A photo that contradicts the text may be of another product: nothing else is taken from it.
    wrong_photo = any(field.contradiction for field in fields.values())
    for name in recipe.fields:
        field = fields.get(name)
        if field is None or not field.answered or field.contradiction:
            continue
        if wrong_photo and field.source == "photo":
            continue
        value = recipe.in_language(name, field.value, language)
        if recipe.fields[name].columns:
            value = sayable(value, recipe.unsayable, MOST_NAME_CHARS, is_title=True)
        if not value:
            continue
        foreign = bool(CJK.search(value)) != (language == "zh")
        if not foreign or name in KEPT_IN_ANY_LANGUAGE:
            facts[name] = (value, field)
    return facts


def check_field(recipe: Recipe, field: Field, facts: Facts, language: Language) -> Field:
    """`field` without unsupported sentences or bullets; an abstention when nothing is left."""
    if not field.answered:
        return field
    support = Support.of([value for value, _ in facts.values()], _own_words(recipe, language))
    if isinstance(field.value, list):
        kept_items = [item for item in dict.fromkeys(field.value) if _stands(item, support, recipe)]
        dropped = [f"{item!r}: not supported" for item in field.value if item not in kept_items]
        kept: Any = kept_items
    else:
        kept, dropped = ground_text(field.value, support, recipe.unsayable)
        kept = _tidy(kept, [value for value, _ in facts.values()], language)
    if not kept:
        return Field(note="the inputs do not support what was written: " + "; ".join(dropped))
    text = " ".join(kept) if isinstance(kept, list) else kept
    used = [entry for value, entry in facts.values() if value.casefold() in text.casefold()]
    evidence = tuple(item for entry in used for item in entry.evidence)
    note = "dropped " + "; ".join(dropped) if dropped else field.note
    return field.model_copy(update={"value": kept, "evidence": evidence, "note": note})


def published(
    recipe: Recipe,
    part: Part,
    ours: Field,
    words: str,
    facts: Facts,
    language: Language,
    title: str,
) -> Field:
    """What stands as `part`: what was written, or the table's own text where ours is poorer.

    `words` is the text of the job, `title` that of the listing, for its description. Where neither
    is fit to be published the field abstains, and says why.
    """
    columns = recipe.write.own if recipe.write else {}
    most = recipe.write_schema()["properties"][part]["maxLength"]
    own = own_value(words, columns.get(part, ()))
    if part == "description" and (named := own_value(words, columns.get("title", ()))):
        title = f"{title} {named.text}"
    source = ""
    if own is not None and own.text and not is_foreign(own.text, language):
        source = sayable(own.text, recipe.unsayable, most, is_title=part == "title")
    written = _as_spelt(ours.value if isinstance(ours.value, str) else "", source)
    banned = recipe.unsayable
    wrong = faults(written, language, source=source, title=title, banned=banned)
    if written and not wrong and written != source:
        return ours.model_copy(update={"value": written})
    why = ours.note or "nothing was written"
    if written:
        why = f"what was written is poorer: {wrong[0]}" if wrong else "nothing better was written"
    sources_own = (
        faults(source, language, title=title, banned=banned, is_own=True) if source else []
    )
    if own is None or not source or sources_own:
        if sources_own:
            why = f"{why}; the table's own text will not do: {sources_own[0]}"
        return Field(note=why, model=ours.model, prompt_hash=ours.prompt_hash)
    told = [
        value
        for name, (value, _) in facts.items()
        if name not in KEPT_IN_ANY_LANGUAGE and value.casefold() not in title.casefold()
    ]
    value = joined(source, written, told) if part == "description" else source
    if value == source:
        return Field(
            value=value,
            source="text",
            confidence=1.0,
            evidence=(own,),
            note=f"the table's own; {why}",
        )
    note = "the table's own, with what it leaves out"
    return ours.model_copy(update={"value": value, "evidence": (own, *ours.evidence), "note": note})


def _as_spelt(text: str, source: str) -> str:
    """`text` with the capitals of `source`, where it holds that whole."""
    start = text.casefold().find(source.casefold()) if source else -1
    is_whole = start >= 0 and len(text.casefold()) == len(text)
    return text[:start] + source + text[start + len(source) :] if is_whole else text


def _tidy(text: str, facts: list[str], language: Language) -> str:
    """`text` without sentences that say nothing new, and with the articles English wants."""
    told: set[str] = set()
    kept: list[str] = []
    for sentence in SENTENCE_END.split(text):
        says = {fact for fact in facts if fact.casefold() in sentence.casefold()}
        if sentence.strip() and (says - told or not says):
            is_quoted = sentence.strip() in facts
            kept.append(sentence if is_quoted else ARTICLE.sub(_article, sentence))
        told |= says
    return ("" if language == "zh" else " ").join(kept)


def _article(found: re.Match[str]) -> str:
    vowel = found["next"].lower() in "aeiou"
    article = "an" if vowel else "a"
    return f"{article.capitalize() if found['article'][0] == 'A' else article} {found['next']}"


def _own_words(recipe: Recipe, language: Language) -> list[str]:
    """Words that the recipe itself puts into a listing."""
    if recipe.write is None:
        return []
    phrases = recipe.write.phrases.get(language, {})
    return [
        *(word for words in recipe.write.openers.get(language, {}).values() for word in words),
        *(word for words in recipe.write.links.get(language, {}).values() for word in words),
        *recipe.write.labels.get(language, {}).values(),
        *(phrase.replace("{}", " ") for wording in phrases.values() for phrase in wording),
    ]


def _stands(item: str, support: Support, recipe: Recipe) -> bool:
    is_banned = recipe.unsayable.first(item) is not None
    return bool(item.strip()) and not is_banned and not unsupported(item, support)


def shape_of(recipe: Recipe, facts: Mapping[str, str], language: Language) -> Mapping[str, Any]:
    """The recipe's write schema narrowed to `facts`: what cannot be said of them is ruled out."""
    schema = recipe.write_schema()
    writing = recipe.write
    if writing is None or not facts:
        return schema
    quotes = [value for name, value in facts.items() if recipe.fields[name].type == "sentence"]
    said = {name: value for name, value in facts.items() if value not in quotes}
    distinct = _without_repeats(recipe, said)
    wording = writing.phrases.get(language, {})
    sentences = Sentences(
        subject=_chosen(distinct, writing.subject),
        predicate=_chosen(_spoken(recipe, said, language), writing.predicate),
        wording=wording,
        openers=writing.openers.get(language, {}),
        links=writing.links.get(language, {}),
        quotes=quotes,
        told=frozenset(said) - frozenset(distinct),
    )
    titled = _chosen(distinct, writing.title_order)
    parts = dict(schema["properties"])
    if sentences.subject or sentences.predicate or quotes:
        pattern = description_pattern(sentences, chinese=language == "zh")
        parts["description"] = {**parts["description"], **GROUNDED, "pattern": pattern}
    # A value longer than the whole title would leave nothing that fits both bounds.
    longest = parts["title"]["maxLength"]
    if fitting := [value for value in titled.values() or facts.values() if len(value) <= longest]:
        always = _that_fit(
            [titled[name] for name in writing.title_always if name in titled], longest
        )
        pattern = title_pattern(fitting, always)
        parts["title"] = {**parts["title"], **GROUNDED, "pattern": pattern}
    parts["bullets"] = _bullets_shape(parts["bullets"], bullets_of(recipe, said, language))
    return {**schema, "properties": parts}


def _that_fit(values: Sequence[str], most_chars: int) -> list[str]:
    """The first of `values` that fit in one title, with a comma and a space between."""
    kept: list[str] = []
    for value in values:
        if len(", ".join([*kept, value])) > most_chars:
            break
        kept.append(value)
    return kept


def with_left_out(recipe: Recipe, field: Field, facts: Facts, language: Language) -> Field:
    """The bullets `field` with a line for each labelled fact that the writer left out.

    A bullet is a fact behind its label, so what is missing can be added as it stands. What the
    writer chose comes first, and the recipe's bounds hold.
    """
    bounds = recipe.write_schema()["properties"]["bullets"]
    labels = recipe.write.labels.get(language, {}) if recipe.write else {}
    written = list(field.value) if isinstance(field.value, list) else []
    said = "\n".join(written).casefold()
    missing = {
        name: facts[name][0]
        for name in labels
        if name in facts and facts[name][0].casefold() not in said
    }
    lines = bullets_of(recipe, missing, language) if missing else []
    fitting = [line for line in lines if len(line) <= bounds["items"]["maxLength"]]
    value = [*written, *fitting][: max(len(written), bounds["maxItems"])]
    if not value:
        return field
    return field.model_copy(update={"value": value, "source": "derived", "note": None})


def _bullets_shape(shape: Mapping[str, Any], lines: list[str]) -> dict[str, Any]:
    """Bullets chosen among `lines` within the recipe's bounds; without lines there are none."""
    fitting = [line for line in lines if len(line) <= shape["items"]["maxLength"]]
    if not fitting:
        return {**shape, "maxItems": 0}
    most = min(len(fitting), shape["maxItems"])
    return {**shape, "items": {"enum": fitting}, "maxItems": most}


def _chosen(facts: Mapping[str, str], order: tuple[str, ...]) -> dict[str, str]:
    return {name: facts[name] for name in order if name in facts}


def _without_repeats(recipe: Recipe, facts: Mapping[str, str]) -> dict[str, str]:
    """Facts that the product's name does not say already."""
    name = facts.get("name")
    if name is None:
        return dict(facts)
    return {
        field: value
        for field, value in facts.items()
        if field == "name" or not _is_said(recipe.fields[field], value, name)
    }


def _spoken(recipe: Recipe, facts: Mapping[str, str], language: Language) -> dict[str, str]:
    """Facts as a sentence says them: common nouns small, no adjective that the noun holds."""
    noun = facts.get("category", "")
    spoken = {}
    for name, value in facts.items():
        rule = recipe.fields[name]
        if name != "category" and rule.type == "choice" and _is_said(rule, value, noun):
            continue
        is_name = rule.type != "choice" or name in (recipe.write or Writing()).proper
        spoken[name] = value if is_name or language == "zh" else value.lower()
    return spoken


def _is_said(rule: FieldRule, value: str, name: str) -> bool:
    meanings = next((terms for terms in rule.terms.values() if value in terms), [value])
    readable = [term for term in meanings if bool(CJK.search(term)) == bool(CJK.search(value))]
    return any(find_span(term, name) for term in readable)


def bullets_of(recipe: Recipe, facts: Mapping[str, str], language: Language) -> list[str]:
    """Each fact that the recipe labels, behind its label."""
    writing = recipe.write
    labels = writing.labels.get(language, {}) if writing else {}
    colon = "：" if language == "zh" else ": "
    lines = [f"{label}{colon}{facts[name]}" for name, label in labels.items() if name in facts]
    return lines
