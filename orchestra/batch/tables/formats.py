"""The exports that shops and channels have: which columns make one, and what each column is for.

A format is recognised by its columns alone. It is data: how rows of one product are joined is
`grouped`'s business, and what a job reads is decided in `batch.columns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestra.core.errors import InvalidTable

FormatName = Literal["plain", "shopify", "woocommerce", "google", "openai", "amazon", "photos"]
OPTIONS, VARIANTS = "options", "variants"


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of export. Names are compared without regard to case.

    A table is of it that has one column of each tuple in `marks`. `text`, `images` and `ids` are
    the columns that serve, in the order in which they are read. `key` are the columns whose value
    the rows of one product share.
    """

    name: FormatName
    label: str
    marks: tuple[tuple[str, ...], ...] = ()
    text: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    key: tuple[str, ...] = ()

    def fits(self, columns: Iterable[str]) -> bool:
        """Whether a table with `columns` is of this format."""
        there = {name.casefold() for name in columns}
        return bool(self.marks) and all(there.intersection(names) for names in self.marks)

    @property
    def is_grouped(self) -> bool:
        """Whether several rows may be one product."""
        return self.name in ("shopify", "woocommerce")


PLAIN = Format("plain", "a plain table")
PHOTOS = Format("photos", "a folder of photos", images=("photo",), ids=("id",))
SHOPIFY = Format(
    "shopify",
    "a Shopify export",
    marks=(
        ("handle", "url handle"),
        ("title",),
        (
            "body (html)",
            "image src",
            "product image url",
            "variant sku",
            "variant price",
            "option1 name",
            "option1 value",
            "body_html",
        ),
    ),
    text=("title", "body (html)", "body_html", "description", "vendor", "type", OPTIONS),
    images=(
        "image src",
        "product image url",
        "variant image",
        "variant image url",
        "images",
    ),
    ids=("handle", "url handle"),
    key=("handle", "url handle"),
)
WOOCOMMERCE = Format(
    "woocommerce",
    "a WooCommerce export",
    marks=(
        ("name",),
        ("sku", "id"),
        ("type", "parent"),
        (
            "short description",
            "regular price",
            "images",
            "parent",
            "is featured?",
            "visibility in catalog",
            "tax status",
            "attribute 1 name",
        ),
    ),
    text=("name", "short description", "description", "brands", OPTIONS),
    images=("images",),
    ids=("id", "sku"),
    key=("parent",),
)
OPENAI = Format(
    "openai",
    "an OpenAI product feed",
    marks=(
        ("id", "item_id"),
        ("title",),
        ("description",),
        ("enable_search", "is_eligible_search", "enable_checkout", "is_eligible_checkout"),
    ),
    text=("title", "description", "brand", "color", "material", "size"),
    images=("image_link", "image_url", "additional_image_link", "additional_image_urls"),
    ids=("id", "item_id"),
)
GOOGLE = Format(
    "google",
    "a Google Merchant feed",
    marks=(
        ("id",),
        ("title", "structured_title", "structured title"),
        ("image_link", "image link", "availability", "google_product_category"),
    ),
    text=(
        "title",
        "structured_title",
        "description",
        "structured_description",
        "brand",
        "color",
        "material",
        "pattern",
        "size",
    ),
    images=(
        "image_link",
        "image link",
        "additional_image_link",
        "additional image link",
        "lifestyle_image_link",
    ),
    ids=("id",),
)
AMAZON = Format(
    "amazon",
    "an Amazon flat file",
    marks=(
        ("item_sku",),
        ("item_name",),
        ("feed_product_type", "brand_name", "external_product_id", "main_image_url"),
    ),
    text=(
        "item_name",
        "product_description",
        *(f"bullet_point{n}" for n in range(1, 6)),
        "brand_name",
        "color_name",
        "material_type",
        "size_name",
    ),
    images=("main_image_url", *(f"other_image_url{n}" for n in range(1, 9))),
    ids=("item_sku",),
)
FORMATS = (SHOPIFY, OPENAI, GOOGLE, WOOCOMMERCE, AMAZON)  # the first that fits
ALL: dict[str, Format] = {one.name: one for one in (PLAIN, *FORMATS, PHOTOS)}


def recognise(columns: Sequence[str], name: str | None = None) -> Format:
    """The format of a table with `columns`, or the one that is called `name`.

    Raises InvalidTable for a name that is none, and for one whose columns the table lacks.
    """
    if name is None:
        return next((one for one in FORMATS if one.fits(columns)), PLAIN)
    found = ALL.get(name)
    if found is None:
        raise InvalidTable(f"There is no format {name!r}; there are {', '.join(ALL)}.")
    there = {column.casefold() for column in columns}
    if found.is_grouped and not there.intersection((*found.key, *found.ids)):
        raise InvalidTable(
            f"The table is read as {found.label}, and has no column "
            f"{' or '.join(map(repr, found.key))} to join its rows by. Name another --format."
        )
    return found
