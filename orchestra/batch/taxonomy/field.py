"""A recipe's field whose values are the categories of a taxonomy, and the fields that each has.

A recipe names files; `with_trees` puts in their place what they hold, so that a recipe that is
loaded needs no file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field as Attribute
from pydantic import ValidationError, field_validator, model_validator

from orchestra.batch.taxonomy.read import read_taxonomy
from orchestra.batch.taxonomy.tree import JOINT, Taxonomy, words_of
from orchestra.core.errors import InvalidTaxonomy
from orchestra.core.job import Word, first_problem

MOST_CATEGORIES = 12_000  # Shopify's whole tree has about 11,000 leaves
MOST_DETAILS = 200  # fields of all categories together: each is one more question of a text
NO_NAME = re.compile(r"\W+")


class DetailRule(Word):
    """A field that a category has: a choice of `values`, each with its synonyms, or read words."""

    type: Literal["choice", "span", "measure"] = "span"
    values: dict[str, tuple[str, ...]] = Attribute(default_factory=dict)
    max_chars: int = Attribute(default=80, ge=1, le=2000)

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, raw: Any) -> Any:
        """`[clay]` are values, `measure` is a type, and `{clay: [陶]}` are values with synonyms."""
        if isinstance(raw, str):
            return {"type": raw}
        if isinstance(raw, list | tuple):
            return {"type": "choice", "values": {str(value): () for value in raw}}
        if isinstance(raw, Mapping) and not {"type", "values", "max_chars"} & set(raw):
            return {"type": "choice", "values": raw}
        return raw

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if (self.type == "choice") != bool(self.values):
            raise ValueError("a choice lists its values, and only a choice does")
        meaning: dict[str, str] = {}
        for value, words in self.terms.items():
            for word in words:
                other = meaning.setdefault(word.casefold(), value)
                if other != value:
                    raise ValueError(f"the word {word!r} means both {other!r} and {value!r}")
        return self

    @property
    def terms(self) -> dict[str, list[str]]:
        """Each value with every word that means it."""
        return {value: [value, *synonyms] for value, synonyms in self.values.items()}

    @property
    def shape(self) -> dict[str, Any]:
        """What is asked of a text."""
        if self.type == "choice":
            return {"x-choice": self.terms}
        if self.type == "measure":
            return {"type": "string", "x-measure": True, "maxLength": self.max_chars}
        return {"anyOf": [{"type": "string", "maxLength": self.max_chars}, {"type": "null"}]}


class CategoryTree(Word):
    """The taxonomy that a field's values come from.

    `file` and `zh` are the tree in English and Chinese, `under` the branches that this shop sells
    of, `synonyms` more words by path or last name. With `details` a second step reads the fields
    of the category that was found: those of the file, and `attributes` by branch, which hold for
    all below. `ids` are the categories' own, by path, once the files are `loaded`.
    """

    file: str
    zh: str = ""
    under: tuple[str, ...] = ()
    synonyms: dict[str, tuple[str, ...]] = Attribute(default_factory=dict)
    details: bool = False
    attributes: dict[str, dict[str, DetailRule]] = Attribute(default_factory=dict)
    version: str = ""
    ids: dict[str, str] = Attribute(default_factory=dict)
    loaded: bool = False

    @field_validator("attributes")
    @classmethod
    def _have_names(
        cls, attributes: dict[str, dict[str, DetailRule]]
    ) -> dict[str, dict[str, DetailRule]]:
        return {
            branch: {field_name(name): rule for name, rule in rules.items()}
            for branch, rules in attributes.items()
        }

    def details_of(self, category: str) -> dict[str, DetailRule]:
        """The fields of a category: its own, and those of what is above it."""
        steps = category.split(JOINT)
        above = [JOINT.join(steps[:depth]) for depth in range(1, len(steps) + 1)]
        found: dict[str, DetailRule] = {}
        for path in above:
            found |= self.attributes.get(path, {})
        return found

    @property
    def all_details(self) -> dict[str, DetailRule]:
        """The fields of any category; of one name in several, with the values of all."""
        found: dict[str, DetailRule] = {}
        for rules in self.attributes.values():
            for name, rule in rules.items():
                before = found.get(name)
                if before is None or before.type != rule.type:
                    found[name] = before or rule
                else:
                    values = {**before.values, **rule.values}
                    found[name] = before.model_copy(update={"values": values})
        return found


def field_name(attribute: str) -> str:
    """An attribute's name as a field's: `Care instructions` is `care_instructions`."""
    return NO_NAME.sub("_", attribute.strip().lower()).strip("_")


def with_trees(raw: Any, folder: Path) -> Any:
    """A recipe's YAML with the values of each field that names a taxonomy; paths are of `folder`.

    Raises `InvalidTaxonomy`.
    """
    if not isinstance(raw, Mapping) or not isinstance(raw.get("fields"), Mapping):
        return raw
    fields = {
        name: _with_tree(str(name), rule, folder)
        if isinstance(rule, Mapping) and _is_to_be_read(rule.get("taxonomy"))
        else rule
        for name, rule in raw["fields"].items()
    }
    return {**raw, "fields": fields}


def _is_to_be_read(taxonomy: Any) -> bool:
    """Whether a taxonomy is named; one of a recipe that was loaded and written out is there."""
    return bool(taxonomy) and not (isinstance(taxonomy, Mapping) and taxonomy.get("loaded"))


def _with_tree(name: str, rule: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    given = rule["taxonomy"]
    try:
        asked = CategoryTree.model_validate({"file": given} if isinstance(given, str) else given)
    except ValidationError as error:
        raise InvalidTaxonomy(
            f"fields.{name}.taxonomy: {first_problem(error, CategoryTree)}. See docs/channels.md."
        ) from error
    if rule.get("values"):
        raise InvalidTaxonomy(
            f"fields.{name} has values and a taxonomy. Keep one; a taxonomy's own words are added "
            "to by its 'synonyms'."
        )
    tree = read_taxonomy(folder / asked.file).under(asked.under)
    if asked.zh:
        tree = tree.with_chinese(read_taxonomy(folder / asked.zh))
    tree = tree.with_synonyms(asked.synonyms)
    leaves = tree.leaves
    if len(leaves) > MOST_CATEGORIES:
        raise InvalidTaxonomy(
            f"fields.{name}.taxonomy has {len(leaves):,} categories without one below them, and at "
            f"most {MOST_CATEGORIES:,} are chosen among. Name the branches that you sell of: "
            "under: [Home & Garden]."
        )
    words = words_of(leaves)
    values = {
        one.name: {"en": one.path[-1], "zh": one.zh, "synonyms": words[one.name]} for one in leaves
    }
    loaded = asked.model_copy(
        update={
            "loaded": True,
            "version": tree.version,
            "ids": {one.name: one.id for one in leaves if one.id},
            "attributes": _attributes(name, asked, tree) if asked.details else {},
        }
    )
    return {**rule, "values": values, "taxonomy": loaded.model_dump(mode="json")}


def _attributes(name: str, asked: CategoryTree, tree: Taxonomy) -> dict[str, dict[str, DetailRule]]:
    """The fields by branch: the file's, of each category its own, and then the recipe's."""
    known = {one.name.casefold(): one.name for one in tree.categories}
    found: dict[str, dict[str, DetailRule]] = {
        one.name: {field_name(each): _detail(each, tree) for each in one.attributes}
        for one in tree.categories
        if one.attributes
    }
    for branch, rules in asked.attributes.items():
        path = known.get(branch.strip().casefold())
        if path is None:
            tree.under([branch])  # raises, with the nearest
        found[path or branch] = {**found.get(path or branch, {}), **rules}
    names = {each for rules in found.values() for each in rules}
    if len(names) > MOST_DETAILS:
        raise InvalidTaxonomy(
            f"fields.{name}.taxonomy has {len(names)} attributes, and at most {MOST_DETAILS} are "
            "asked. Name the branches that you sell of ('under'), or leave 'details' out."
        )
    return found


def _detail(attribute: str, tree: Taxonomy) -> DetailRule:
    values = list(dict.fromkeys(tree.values.get(attribute, ())))
    return DetailRule(type="choice", values={v: () for v in values}) if values else DetailRule()
