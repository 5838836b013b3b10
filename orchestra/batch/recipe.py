"""The recipe: what a listing extracts and how it is written, in YAML a merchandiser edits.

It knows no model. It becomes response schemas, merge rules and the words a text may use.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field as Attribute
from pydantic import ValidationError, model_validator

from orchestra.batch.export_settings import ExportSettings
from orchestra.batch.tables.row import output_columns
from orchestra.batch.taxonomy.field import CategoryTree, with_trees
from orchestra.combine.claims import CLAIMS, Claims
from orchestra.combine.ground import Unsayable
from orchestra.combine.instructions import INSTRUCTIONS, OVERRIDING, Instructions
from orchestra.combine.match import MATCH, MatchRules
from orchestra.combine.merge import MergeRules, Side
from orchestra.combine.stated import Kind, Stated
from orchestra.core.errors import InvalidRecipe
from orchestra.core.files.yaml_file import load_yaml
from orchestra.core.job import Word, first_problem
from orchestra.core.schema import Terms, choice_terms
from orchestra.core.values import canonical, shown

Language = Literal["en", "zh"]
WRITTEN = ("title", "description", "bullets")
# A channel may allow 5,000 characters; a bundled model's context holds about this many.
MOST_DESCRIPTION_CHARS = 480
MOST_TITLE_CHARS = 150


class Value(Word):
    """One allowed value: its name in Chinese, in English if not itself, and its synonyms."""

    zh: str = ""
    en: str = ""
    synonyms: tuple[str, ...] = ()


class FieldRule(Word):
    """One field: its type, where it may come from, and its allowed values or length.

    `print` is what is printed on the photo, read by a model that offers `read`. With
    `prefer: image` the photo's value stands where it is sure enough to contradict the text. What
    the first of `columns` that a table has says stands as it is. A choice whose `role` is `origin`
    is the place where the thing is made, not one that it ships from.
    """

    type: Literal["choice", "span", "sentence", "measure"]
    sources: tuple[Literal["photo", "text", "print"], ...] = Attribute(alias="from", min_length=1)
    values: dict[str, Value] = Attribute(default_factory=dict)
    max_chars: int = Attribute(default=80, ge=1, le=2000)
    alike: tuple[tuple[str, ...], ...] = ()
    prefer: Literal["image"] | None = None
    taxonomy: CategoryTree | None = None
    columns: tuple[str, ...] = ()
    role: Literal["origin"] | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if (self.type == "choice") != bool(self.values):
            raise ValueError("a choice lists its values, and only a choice does")
        if self.role is not None and self.type != "choice":
            raise ValueError(f"a role is that of a choice, and this is a {self.type}")
        if self.columns and ("text" not in self.sources or self.type == "choice"):
            raise ValueError("columns hold a span, a sentence or a measure from: [text]")
        if self.prefer == "image" and not {"photo", "print"} & set(self.sources):
            raise ValueError("prefer: image needs a photo to read from; add photo to from")
        if "print" in self.sources and self.type == "sentence":
            raise ValueError("a sentence is read from text, not from print; set from: [text]")
        if "photo" in self.sources and self.type != "choice":
            raise ValueError(f"a {self.type} is read from text; set from: [text]")
        unknown = [name for group in self.alike for name in group if name not in self.values]
        if unknown:
            raise ValueError(f"alike names {unknown[0]!r}, which is not among the values")
        self._check_terms()
        return self

    def _check_terms(self) -> None:
        """A word that meant two values would silently mean one of them."""
        meaning: dict[str, str] = {}
        for value, terms in self.terms.items():
            for term in terms:
                other = meaning.setdefault(term.casefold(), value)
                if other != value:
                    raise ValueError(
                        f"the word {term!r} means both {other!r} and {value!r}; "
                        "leave it in one of them"
                    )

    @cached_property
    def terms(self) -> dict[str, list[str]]:
        """Each value with every word that means it."""
        # A category's own names are among its synonyms where no other has them.
        own = self.taxonomy is None
        return {
            name: [term.strip() for term in (name, value.zh * own, *value.synonyms) if term.strip()]
            for name, value in self.values.items()
        }


class ClaimList(Word):
    """Words that a listing does not say, and why.

    With `review` a text of the table that says one goes to a person.
    """

    reason: str
    words: tuple[str, ...] = Attribute(min_length=1)
    review: bool = True


class InstructionList(Word):
    """Patterns (regular expressions, in any case) of a way to instruct a model, and what it is."""

    reason: str
    patterns: tuple[str, ...] = Attribute(min_length=1)

    @model_validator(mode="after")
    def _patterns_are_some(self) -> Self:
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"the pattern {pattern!r} is none ({error})") from error
        return self


class Length(Word):
    """How long a written part may be."""

    max_chars: int = Attribute(default=150, ge=1)
    max_items: int = Attribute(default=5, ge=1, le=20)


class Writing(Word):
    """What is written and in which words.

    A sentence is an opener, the `subject` fields, a link, and the `predicate` fields; openers and
    links go by the field they lead to. `phrases`
    say how a field's value is put ("from {}"; "{}" allows it bare, and is what a field without
    phrases has); fields in `proper` keep their capitals. `labels` name the fields in bullets. `own`
    names the table's columns that hold a part already, which stands where ours says less.
    """

    own: dict[Literal["title", "description"], tuple[str, ...]] = Attribute(default_factory=dict)
    title: Length = Length(max_chars=150)
    description: Length = Length(max_chars=5000)
    bullets: Length = Length(max_chars=120)
    openers: dict[Language, dict[str, tuple[str, ...]]] = Attribute(default_factory=dict)
    links: dict[Language, dict[str, tuple[str, ...]]] = Attribute(default_factory=dict)
    phrases: dict[Language, dict[str, tuple[str, ...]]] = Attribute(default_factory=dict)
    proper: tuple[str, ...] = ()
    title_order: tuple[str, ...] = ()
    title_always: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    predicate: tuple[str, ...] = ()
    labels: dict[Language, dict[str, str]] = Attribute(default_factory=dict)


class Recipe(Word):
    """A recipe as it stands in YAML. `maps` marks in the photo what decided each of its values.

    What is printed on a photo is read for the fields that name `print`: where the text leaves one
    `open`, or `always`, so that print and text can contradict each other. Of several photos of a
    product the main one is looked at, and up to `photos` in all for what it leaves open. `identity`
    is the field that says what the thing is; a row without one that is `required` goes to review.
    """

    name: str
    version: int
    languages: tuple[Literal["en", "zh", "auto"], ...] = Attribute(default=("en",), min_length=1)
    tone: Literal["plain", "warm"] = "plain"
    text_columns: tuple[str, ...] = ()
    image_columns: tuple[str, ...] = ()
    id_columns: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
    fields: dict[str, FieldRule] = Attribute(min_length=1)
    write: Writing | None = Writing()
    glossary: dict[str, str] = Attribute(default_factory=dict)
    banned_words: tuple[str, ...] = ()
    allowed_words: tuple[str, ...] = ()
    claims: tuple[ClaimList, ...] = ()
    instructions: tuple[InstructionList, ...] | None = None
    maps: bool = False
    read_print: Literal["open", "always"] = "open"
    photos: int = Attribute(default=3, ge=1, le=64)
    prefer: Side = "text"
    identity: str | None = None
    required: tuple[str, ...] = ()
    least_photo_confidence: float = Attribute(default=0.5, ge=0, le=1)
    least_text_confidence: float = Attribute(default=0.4, ge=0, le=1)
    contradiction_confidence: float = Attribute(default=0.8, ge=0, le=1)
    export: ExportSettings = ExportSettings()

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if len(self.languages) > 1 and "auto" in self.languages:
            raise ValueError("languages is either [auto] or a list of en and zh")
        if len(set(self.languages)) < len(self.languages):
            raise ValueError("languages names one of them twice")
        if self.identity is not None and self.identity not in self.fields:
            raise ValueError(f"identity names {self.identity!r}, which is not among the fields")
        missing = [name for name in self.required if name not in self.fields]
        if missing:
            raise ValueError(f"required names {missing[0]!r}, which is not among the fields")
        written = self.written_parts()
        clash = sorted(set(self.fields) & set(written))
        if clash:
            raise ValueError(f"the field {clash[0]!r} has the name of a written part")
        taken = sorted({MATCH, CLAIMS, INSTRUCTIONS} & set(self.fields))
        if taken:
            raise ValueError(f"the field {taken[0]!r} has the name of one that every recipe has")
        columns = output_columns([*self.fields, *written])
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ValueError(
                f"two output columns would be called {twice[0]!r}: each field also writes "
                "<field>_source and <field>_confidence, and each row 'decided' and 'status'"
            )
        locked = sorted(set(self.locked) & set(columns))
        if locked:
            raise ValueError(f"the column {locked[0]!r} is locked, so no field may write it")
        return self

    def written_parts(self) -> list[str]:
        """Names of the fields that are written; with several languages each has its own."""
        if self.write is None:
            return []
        if len(self.languages) == 1:
            return list(WRITTEN)
        return [f"{part}_{language}" for language in self.languages for part in WRITTEN]

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe. Raises `InvalidRecipe` naming the key and the cure."""
        raw = load_yaml(path, what="recipe", error=InvalidRecipe)
        try:
            return cls.model_validate(with_trees(raw, path.parent))
        except ValidationError as error:
            raise InvalidRecipe(
                f"{path} is not a recipe: {first_problem(error, cls)}. See docs/recipe.md."
            ) from error

    @property
    def fingerprint(self) -> str:
        """Hash of what decides the answers: a change of any such part is another job."""
        # What is left out is as it was before these keys were there.
        new: dict[str, Any] = {"export": True}
        for name, default in (("read_print", "open"), ("photos", 3), ("instructions", None)):
            if getattr(self, name) == default:
                new[name] = True
        new["fields"] = {n: {"taxonomy"} for n, rule in self.fields.items() if not rule.taxonomy}
        return hashlib.sha256(self.model_dump_json(exclude=new).encode()).hexdigest()[:16]

    def photo_schema(self) -> dict[str, Any]:
        """JSON schema of what the photo is asked."""
        return _object(
            {
                name: {"enum": [*rule.values, None]}
                for name, rule in self.fields.items()
                if "photo" in rule.sources
            }
        )

    def text_schema(self) -> dict[str, Any]:
        """JSON schema of what the text is asked, still open to the words of each text."""
        return _object(
            {name: _text_shape(r) for name, r in self.fields.items() if "text" in r.sources}
        )

    def print_schema(self) -> dict[str, Any] | None:
        """JSON schema of what is read off the photo's print; None where no field names it."""
        wanted = {name: rule for name, rule in self.fields.items() if "print" in rule.sources}
        return _object({n: _text_shape(rule) for n, rule in wanted.items()}) if wanted else None

    @cached_property
    def details(self) -> tuple[str, CategoryTree] | None:
        """The field whose category has fields of its own, and its tree; None without one."""
        trees = ((name, rule.taxonomy) for name, rule in self.fields.items())
        return next(((n, tree) for n, tree in trees if tree and tree.attributes), None)

    def write_schema(self) -> dict[str, Any]:
        """JSON schema of the written parts."""
        parts = self.write or Writing()
        title = min(parts.title.max_chars, MOST_TITLE_CHARS)
        description = min(parts.description.max_chars, MOST_DESCRIPTION_CHARS)
        bullet = {"type": "string", "maxLength": parts.bullets.max_chars}
        return _object(
            {
                "title": {"type": "string", "maxLength": title},
                "description": {"type": "string", "maxLength": description},
                "bullets": {"type": "array", "items": bullet, "maxItems": parts.bullets.max_items},
            }
        )

    def merge_rules(self) -> MergeRules:
        """How photo and text are joined."""
        return MergeRules(
            prefer=self.prefer,
            least_photo_confidence=self.least_photo_confidence,
            least_text_confidence=self.least_text_confidence,
            contradiction_confidence=self.contradiction_confidence,
            alike={
                name: tuple(frozenset(canonical(value) for value in group) for group in rule.alike)
                for name, rule in self.fields.items()
            },
            sources={name: _sides(rule) for name, rule in self.fields.items()},
            seen=frozenset(name for name, rule in self.fields.items() if rule.prefer == "image"),
            identity=self.identity,
            match=self._match_rules(),
            required=frozenset(self.required),
            terms=self._text_terms(),
            origins=frozenset(name for name, rule in self.fields.items() if rule.role == "origin"),
            columns={name: rule.columns for name, rule in self.fields.items() if rule.columns},
            named_by="name" if "name" in self.fields else None,
            stated=self._stated(),
            claims=tuple(Claims(one.words, one.reason, one.review) for one in self.claims),
            instructions=self.instructing,
        )

    @cached_property
    def instructing(self) -> tuple[Instructions, ...]:
        """The ways to instruct a model that are looked for; without a list, the plainest one."""
        if self.instructions is None:
            return (OVERRIDING,)
        return tuple(Instructions(one.patterns, one.reason) for one in self.instructions)

    def _stated(self) -> Stated:
        """What fields come to that are copied from a text."""
        kinds: dict[str, Kind] = {
            name: rule.type for name, rule in self.fields.items() if rule.type != "choice"
        }
        proper = frozenset(self.write.proper if self.write else ())
        return Stated(kinds, proper, self.unsayable)

    def _text_terms(self) -> dict[str, Terms]:
        """By field that is a choice from text, the words that mean its values."""
        schema = json.dumps(self.text_schema())
        return {
            name: choice_terms(schema, name)
            for name, rule in self.fields.items()
            if rule.type == "choice" and "text" in rule.sources
        }

    def _match_rules(self) -> MatchRules | None:
        """How a photo is compared with the text: by the choice that says what the thing is."""
        rule = self.fields.get(self.identity or "")
        if self.identity is None or rule is None or not {"photo", "text"} <= set(rule.sources):
            return None
        terms = self._text_terms()[self.identity]
        groups = tuple(frozenset(canonical(value) for value in group) for group in rule.alike)
        return MatchRules(self.identity, terms, self.contradiction_confidence, MATCH, groups)

    @cached_property
    def unsayable(self) -> Unsayable:
        """Words that no listing says: those that are banned, and claims."""
        claimed = (word for one in self.claims for word in one.words)
        return Unsayable((*self.banned_words, *claimed), self.allowed_words)

    @cached_property
    def from_chinese(self) -> dict[str, str]:
        """The glossary read backwards."""
        return {zh: en for en, zh in self.glossary.items()}

    @cached_property
    def into_chinese(self) -> dict[str, str]:
        """The glossary with its English side casefolded."""
        return {en.casefold(): zh for en, zh in self.glossary.items()}

    def in_language(self, name: str, value: Any, language: Language) -> str:
        """A field's value as it is written in `language`; unknown terms stay as they are."""
        text = shown(value)
        rule = self.fields.get(name)
        if rule is not None and rule.type == "choice":
            known = rule.values.get(text)
            return text if known is None else (getattr(known, language) or text)
        if language == "zh":
            return self.into_chinese.get(text.casefold(), text)
        return self.from_chinese.get(text, text)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _sides(rule: FieldRule) -> frozenset[str]:
    """The sources of a field as evidence knows them: print stands on the photo."""
    return frozenset("photo" if source == "print" else source for source in rule.sources)


def _text_shape(rule: FieldRule) -> dict[str, Any]:
    if rule.type == "choice":
        is_open = {} if rule.taxonomy is None else {"x-open": True}
        return {"x-choice": rule.terms, **is_open}
    if rule.type in ("sentence", "measure"):
        return {"type": "string", f"x-{rule.type}": True, "maxLength": rule.max_chars}
    string = {"type": "string", "maxLength": rule.max_chars}
    return {"anyOf": [string, {"type": "null"}]}
