"""OpenAI's product feed, as JSON lines, CSV or TSV, each also gzipped: one row for each variant.

Rules: developers.openai.com/commerce/specs/file-upload/products and .../specs/feed (looked up
November 2026; the pages begin with flags and basic data, of which the parts shown are kept):
`item_id` 100 characters, `title` 150, `description` 5,000 in plain text, `brand` 70, `mpn` 70,
`gtin` 8 to 14 digits, a price with its ISO 4217 code, lower-case words, `true` and `false` for
booleans, ISO 3166-1 codes of countries; a product that is eligible for checkout is eligible for
search and names its seller's privacy policy and terms. Required beside these: url, image_url,
availability, seller_name, seller_url, return_policy, target_countries and store_country. `group_id`
joins variants, `variant_dict` tells them apart. The whole page could not be read, so other optional
fields are not written.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from typing import IO, Any, ClassVar, cast

from orchestra.batch.channels.ai_labels import with_label
from orchestra.batch.channels.channel import Channel, Line, Writer
from orchestra.batch.channels.delimited import CsvWriter, plain_cell
from orchestra.batch.channels.listing import Listing, SoldItem
from orchestra.batch.channels.rules import Fault, Rule, faults_of

SELLER = "Set export: {{seller: {{{}: …}}}}."
AVAILABLE = {"preorder": "pre_order"}  # OpenAI's word for Google's
RULES = (
    Rule("is_eligible_search", required=True, one_of=("true", "false")),
    Rule("is_eligible_checkout", required=True, one_of=("true", "false")),
    Rule("item_id", required=True, most=100, cure="Give each product an id of its own."),
    Rule("title", required=True, most=150),
    Rule("description", required=True, most=5000),
    Rule("url", required=True, kind="url", cure="Set export: {link: 'https://…/{id}'}."),
    Rule("brand", required=True, most=70),
    Rule("image_url", required=True, kind="url", cure="Give the product a photo."),
    Rule("additional_image_urls", kind="url"),
    Rule("price", required=True, kind="price"),
    Rule("sale_price", kind="price"),
    Rule(
        "availability",
        required=True,
        one_of=("in_stock", "out_of_stock", "pre_order", "backorder", "unknown"),
        cure="Give it a column, or set export: {constants: {availability: in_stock}}.",
    ),
    Rule("availability_date", kind="date"),
    Rule("gtin", kind="gtin"),
    Rule("mpn", most=70),
    Rule("condition", one_of=("new", "refurbished", "used")),
    Rule("age_group", one_of=("newborn", "infant", "toddler", "kids", "adult")),
    Rule("material", most=100),
    Rule("seller_name", required=True, cure=SELLER.format("name")),
    Rule("seller_url", required=True, kind="url", cure=SELLER.format("url")),
    Rule("seller_privacy_policy", kind="url"),
    Rule("seller_tos", kind="url"),
    Rule("return_policy", required=True, kind="url", cure=SELLER.format("return_policy")),
    Rule("target_countries", required=True, kind="country", cure="Set export: {countries: [US]}."),
    Rule("store_country", required=True, kind="country", cure="Set export: {store_country: US}."),
)
COLUMNS = (
    "is_eligible_search",
    "is_eligible_checkout",
    "item_id",
    "gtin",
    "mpn",
    "title",
    "description",
    "url",
    "condition",
    "product_category",
    "brand",
    "material",
    "age_group",
    "gender",
    "color",
    "size",
    "image_url",
    "additional_image_urls",
    "price",
    "sale_price",
    "availability",
    "availability_date",
    "group_id",
    "listing_has_variations",
    "variant_dict",
    "seller_name",
    "seller_url",
    "seller_privacy_policy",
    "seller_tos",
    "return_policy",
    "target_countries",
    "store_country",
)


# What columns were called in the feed's first form.
OLDER = (
    "id",
    "link",
    "image_link",
    "additional_image_link",
    "enable_search",
    "enable_checkout",
    "item_group_id",
)


class OpenAi(Channel):
    """OpenAI's product feed."""

    name: ClassVar[str] = "openai"
    suffixes: ClassVar[tuple[str, ...]] = (
        ".jsonl",
        ".csv",
        ".tsv",
        ".jsonl.gz",
        ".csv.gz",
        ".tsv.gz",
    )
    key: ClassVar[str | None] = "item_id"

    @property
    def _others(self) -> tuple[str, ...]:
        """Columns of a feed of OpenAI's that we do not fill: they go back as they came."""
        if self.table.format.name != "openai":
            return ()
        return tuple(name for name in self.table.header if name not in (*COLUMNS, *OLDER))

    def lines(self, listing: Listing) -> list[Line]:
        """A row for each thing to buy."""
        lines: list[Line] = []
        for item in listing.items:
            line = {**_item(listing, item), **{n: _value(item.row[n]) for n in self._others}}
            lines.append({n: v for n, v in line.items() if v not in ("", [], {}, None)})
        return lines

    def faults(self, listing: Listing, lines: Sequence[Line]) -> list[Fault]:
        """What breaks a rule, alone or with another attribute."""
        found: list[Fault] = []
        for line in lines:
            item = str(line.get("item_id", ""))
            found += faults_of(item, {n: _words(v) for n, v in line.items()}, RULES)
            if line.get("is_eligible_checkout"):
                if not line.get("is_eligible_search"):
                    limit = "it must be false where is_eligible_search is"
                    cure = "Set export: {constants: {is_eligible_search: 'true'}}."
                    found.append(Fault("is_eligible_checkout", "true", limit, cure, item))
                for name, key in (
                    ("seller_privacy_policy", "privacy_policy"),
                    ("seller_tos", "terms"),
                ):
                    if not line.get(name):
                        limit = "it is required beside is_eligible_checkout"
                        found.append(Fault(name, "", limit, SELLER.format(key), item))
            waits = line.get("availability") in ("pre_order", "backorder")
            if waits and not line.get("availability_date"):
                limit = f"a date is required beside {line['availability']!r}"
                found.append(Fault("availability_date", "", limit, "Give it a column.", item))
        return found

    def writer(self, file: IO[bytes], suffix: str) -> Writer:
        """JSON lines, or a table."""
        return _Feed(file, suffix, (*COLUMNS, *self._others))


class _Feed(Writer):
    """A feed of one of the forms, gzipped where its name says so."""

    def __init__(self, file: IO[bytes], suffix: str, columns: Sequence[str]) -> None:
        form = suffix.removesuffix(".gz")
        self._zipped = None
        if suffix != form:
            self._zipped = gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="")
        target = cast(IO[bytes], self._zipped or file)
        if form == ".jsonl":
            self._inner: Writer = _JsonLines(target, columns)
        else:
            self._inner = CsvWriter(
                target, columns, cell=_cell, delimiter="\t" if form == ".tsv" else ","
            )

    def add(self, lines: Sequence[Line]) -> None:
        """Write the rows of one product."""
        self._inner.add(lines)

    def end(self) -> None:
        """End the archive."""
        self._inner.end()
        if self._zipped is not None:
            self._zipped.close()

    def abandon(self) -> None:
        """Let go of the inner writer too."""
        self._inner.abandon()


class _JsonLines(Writer):
    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        self._file, self._columns = file, columns

    def add(self, lines: Sequence[Line]) -> None:
        """Write one object a line."""
        for line in lines:
            ordered = {name: line[name] for name in self._columns if name in line}
            text = json.dumps(ordered, ensure_ascii=False)
            self._file.write((text + "\n").encode("utf-8", "replace"))


def _cell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else plain_cell(value)


def _value(cell: str) -> Any:
    """A cell of a table as JSON had it."""
    if cell in ("true", "false"):
        return cell == "true"
    if cell[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _words(value: Any) -> str | Sequence[str]:
    return list(map(str, value)) if isinstance(value, list | tuple) else plain_cell(value)


def _item(listing: Listing, item: SoldItem) -> dict[str, Any]:
    settings, photos = listing.settings, listing.addresses(item)
    availability = listing.availability(item)
    several = len(listing.items) > 1 or bool(listing.group)
    return {
        "is_eligible_search": _flag(listing, "is_eligible_search", True),
        "is_eligible_checkout": _flag(listing, "is_eligible_checkout", False),
        "item_id": listing.item_id(item),
        "gtin": listing.text("gtin", item),
        "mpn": listing.text("mpn", item),
        "title": listing.plain("title", item),
        "description": with_label(listing, listing.plain("description", item)),
        "url": listing.link(item),
        "condition": listing.text("condition", item).lower(),
        "product_category": listing.text("category", item),
        "brand": listing.text("brand", item),
        "material": listing.text("material", item),
        "age_group": listing.text("age_group", item).lower(),
        "gender": listing.text("gender", item).lower(),
        "color": listing.text("colour", item),
        "size": listing.text("size", item),
        "image_url": photos[0] if photos else "",
        "additional_image_urls": list(photos[1:]),
        "price": listing.price(item),
        "sale_price": listing.price(item, "sale_price"),
        "availability": AVAILABLE.get(availability, availability),
        "availability_date": listing.text("availability_date", item),
        "group_id": listing.group,
        "listing_has_variations": several,
        "variant_dict": dict(item.options) if several else {},
        "seller_name": settings.seller.name,
        "seller_url": settings.seller.url,
        "seller_privacy_policy": settings.seller.privacy_policy,
        "seller_tos": settings.seller.terms,
        "return_policy": settings.seller.return_policy,
        "target_countries": list(settings.countries),
        "store_country": settings.store_country or "",
    }


def _flag(listing: Listing, name: str, default: bool) -> bool:
    said = listing.text(name).strip().lower()
    return said == "true" if said else default
