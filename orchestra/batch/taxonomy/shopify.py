"""Reads Shopify's taxonomy as JSON: categories with their attributes, and the attributes' values.

The shape is that of `schema/dist/*.cue` in github.com/Shopify/product-taxonomy: `verticals` hold
`categories` (id, name, full_name, parent_id, attributes), and `taxonomy.json` also has
`attributes` with their `values`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Attribute

from orchestra.batch.taxonomy.links import Link, linked
from orchestra.batch.taxonomy.tree import Taxonomy
from orchestra.core.errors import InvalidTaxonomy


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    name: str


class _Attribute(_Named):
    values: tuple[_Named, ...] = ()


class _Category(_Named):
    full_name: str
    parent_id: str | None = None
    attributes: tuple[_Named, ...] = ()


class _Vertical(BaseModel):
    categories: tuple[_Category, ...]


class _File(BaseModel):
    version: str = ""
    verticals: tuple[_Vertical, ...] = Attribute(min_length=1)
    attributes: tuple[_Attribute, ...] = ()


def read_shopify(raw: Mapping[str, Any], where: str) -> Taxonomy:
    """The taxonomy of a `categories.json` or `taxonomy.json`.

    Raises `InvalidTaxonomy` for another shape, a parent that is not there, a circle of parents,
    and an id or name that stands twice.
    """
    try:
        file = _File.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidTaxonomy(
            f"{where} is not Shopify's taxonomy: {place}: {first['msg']} "
            f"(got {first.get('input')!r:.60}). Fetch the file again."
        ) from error
    categories = linked(_links(file), where)
    values = {one.name: tuple(value.name for value in one.values) for one in file.attributes}
    return Taxonomy(categories, values, file.version)


def _links(file: _File) -> Iterator[Link]:
    for vertical in file.verticals:
        for one in vertical.categories:
            attributes = tuple(each.name for each in one.attributes)
            yield Link(one.id, one.name, one.parent_id, attributes=attributes, place=one.id)
