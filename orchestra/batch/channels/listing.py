"""A product as every channel sees it: its copy, its attributes, its items, and who wrote what.

What a person decided goes first, then the column or field that the settings name, then the table's
own cell, then what a model read. Copy is the exception: what was written takes the place of the
table's. It knows no channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra.batch.channels import known
from orchestra.batch.columns import Columns
from orchestra.batch.export_settings import ExportSettings
from orchestra.batch.output.rows import OutputRow
from orchestra.batch.recipe import WRITTEN, Recipe
from orchestra.batch.tables.markup import words_of
from orchestra.batch.tables.structured import structured
from orchestra.batch.tables.table import Table
from orchestra.batch.tables.variants import original_rows
from orchestra.core.job import Field
from orchestra.core.values import text_of
from orchestra.images.addresses import split_addresses

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
AMOUNT = re.compile(r"\d+(?:[.,]\d+)?")
OPTIONS = 3  # of a Shopify product
YES = ("1", "yes", "true", "continue", "notify")


@dataclass(frozen=True, slots=True)
class CopyText:
    """A value with the field that it is from; None where it is the table's own.

    `is_declared` says of the table's own that it calls it generative AI's.
    """

    text: str
    field: Field | None = None
    is_declared: bool = False

    @property
    def is_written(self) -> bool:
        """Whether a model wrote it, rather than read it or a person write it."""
        return self.is_declared or (self.field is not None and self.field.source == "derived")


NOTHING = CopyText("")


@dataclass(frozen=True, slots=True)
class SoldItem:
    """One thing to buy: its row of the table, its options by name, and its own attributes."""

    row: Mapping[str, str]
    options: Mapping[str, str]
    values: Mapping[str, str]

    def value(self, name: str) -> str:
        """Its own attribute, or the option of that name; "" without either."""
        words = known.OPTIONS.get(name, ())
        chosen = (value for option, value in self.options.items() if option.casefold() in words)
        return self.values.get(name, "") or next(chosen, "")


@dataclass(frozen=True, slots=True)
class Listing:
    """One product; `rows` are its rows of the table, each with every column of the file.

    Row number `own` is the product's own, the others are its variants' or hold photos. `by_person`
    are the attributes that a person gave, so that they stand above the table's.
    """

    entry: OutputRow
    rows: Sequence[Mapping[str, str]]
    own: int
    format: str
    items: Sequence[SoldItem]
    photos: tuple[str, ...]
    copy: Mapping[str, CopyText]
    bullets: tuple[CopyText, ...]
    values: Mapping[str, str]
    by_person: frozenset[str]
    settings: ExportSettings

    @property
    def id(self) -> str:
        """The row's id."""
        return self.entry.row_id

    @property
    def group(self) -> str:
        """What its items have in common, where there are several; the table's own first."""
        if self.values.get("group"):
            return self.values["group"]
        return (self.values.get("handle") or self.id) if len(self.items) > 1 else ""

    def text(self, name: str, item: SoldItem | None = None) -> str:
        """The attribute `name` of an item, or of the product; "" where nothing says it."""
        constant = self.settings.constants.get(name)
        if constant is not None:
            return constant
        mapped = self._mapped(name, item)
        if mapped:
            return mapped
        if name in self.copy:
            return self.copy[name].text
        return (item.value(name) if item is not None else "") or self.values.get(name, "")

    def _mapped(self, name: str, item: SoldItem | None) -> str:
        """What the column or field holds that the settings name for the attribute."""
        column = self.settings.columns.get(name)
        if column is None:
            return ""
        own = item.row.get(column, "") if item is not None else ""
        field = self.entry.outcome.fields.get(column)
        read = (text_of(field.value) or "") if field is not None else ""
        return own or self.entry.row.values.get(column, "") or read

    def item_id(self, item: SoldItem) -> str:
        """The item's own id: its SKU; of a product without variants else the row's id."""
        own = self.text("sku", item)
        if own or len(self.items) == 1:
            return own or self.id
        return f"{self.id}-{self.items.index(item) + 1}"

    def plain(self, name: str, item: SoldItem | None = None) -> str:
        """The attribute as plain text; HTML of the table becomes a line a block."""
        text = self.text(name, item)
        part = self.copy.get(name)
        return text if part is not None and part.text == text else words_of(text)

    def link(self, item: SoldItem) -> str:
        """The address of the product's page."""
        return self.text("link", item) or self._filled(self.settings.link, item.row, self.id)

    def addresses(self, item: SoldItem | None = None) -> tuple[str, ...]:
        """The addresses of its photos, the item's own first; local paths as the settings say."""
        own = _split([item.values.get("photo", "")]) if item is not None else ()
        said = self.settings.constants.get("photo", "")  # a shop's placeholder
        found = dict.fromkeys((*own, *self.photos) or _split([said]))
        return tuple(map(self.public, found))

    def public(self, photo: str) -> str:
        """The address of a photo; one with a local path has that of the settings."""
        is_public = photo.startswith(("http://", "https://", "//"))
        if is_public or not photo or not self.settings.photos:
            return photo
        row = self.entry.row.values
        return self._filled(self.settings.photos, {**row, "photo": photo}, self.id)

    def _filled(self, pattern: str, row: Mapping[str, str], row_id: str) -> str:
        cells = {**self.entry.row.values, **row, "id": row_id, **{"handle": self.text("handle")}}
        if any(not cells.get(name) for name in PLACEHOLDER.findall(pattern)):
            return ""
        return PLACEHOLDER.sub(lambda found: cells[found[1]], pattern)

    def price(self, item: SoldItem, name: str = "price") -> str:
        """A price with its currency ("79.99 USD"), as far as they are known."""
        value = self.text(name, item).strip()
        currency = self.settings.currency
        if currency is None or not AMOUNT.fullmatch(value):
            return value
        return f"{value.replace(',', '.')} {currency}"

    def availability(self, item: SoldItem) -> str:
        """in_stock, out_of_stock, preorder or backorder; "" where the table does not say."""
        said = self.text("availability", item).strip().lower().replace(" ", "_")
        if said:
            return said
        stands = self.text("in_stock", item).strip().lower()
        if stands:
            return "in_stock" if stands in YES else "out_of_stock"
        quantity = self.text("quantity", item).strip()
        if not re.fullmatch(r"-?\d+(\.0+)?", quantity):
            return ""
        if float(quantity) > 0:
            return "in_stock"
        on = self.text("backorders", item).strip().lower() in YES
        return "backorder" if on else "out_of_stock"


class Listings:
    """Makes listings of a batch's rows."""

    def __init__(
        self, table: Table, columns: Columns, recipe: Recipe | None, settings: ExportSettings
    ) -> None:
        """`recipe` names the written parts of each language; None where the graph has none."""
        self._table, self._columns, self._settings = table, columns, settings
        self._recipe = recipe
        self._suffix = written_suffix(recipe, settings)
        self._trees = {
            name: rule.taxonomy.ids
            for name, rule in (recipe.fields.items() if recipe else ())
            if rule.taxonomy is not None
        }
        self.format = table.format.name
        product, variant = {
            "shopify": (known.SHOPIFY_PRODUCT, known.SHOPIFY_VARIANT),
            "woocommerce": (known.WOOCOMMERCE_PRODUCT, known.WOOCOMMERCE_VARIANT),
        }.get(self.format, (known.PLAIN, known.PLAIN))
        folded: dict[str, str] = {}
        for column in table.header:
            folded.setdefault(column.casefold(), column)
        self._product = _columns_of(product, folded)
        self._variant = _columns_of(variant, folded)

    def __call__(self, entry: OutputRow) -> Listing:
        """The listing of one row."""
        header = self._table.header
        rows = original_rows(entry.row.values, header)
        own = rows.index({name: entry.row.values.get(name, "") for name in header})
        fields = entry.outcome.fields
        copy = {name: self._written(entry, name) for name in WRITTEN[:2]}
        bullets = fields.get(f"bullets{self._suffix}")
        lines = bullets.value if bullets is not None else ()
        listed = lines if isinstance(lines, list | tuple) else [lines] if lines else []
        return Listing(
            entry=entry,
            rows=rows,
            own=own,
            format=self.format,
            items=self._items(rows, own),
            photos=_split(self._columns.job(entry.row, "auto").images),
            copy={name: part for name, part in copy.items() if part.text},
            bullets=tuple(CopyText(str(line), bullets) for line in listed),
            values=self._values(rows[own], fields),
            by_person=frozenset(name for name, field in _read_off(fields) if _is_persons(field)),
            settings=self._settings,
        )

    def _written(self, entry: OutputRow, name: str) -> CopyText:
        """A written part, or the table's own words where none was written."""
        field = entry.outcome.fields.get(f"{name}{self._suffix}")
        if field is not None and field.answered and field.value:
            copy = CopyText(text_of(field.value) or "", field)
            if not self._is_the_tables(copy, entry, name):
                return copy
        cell = entry.row.values.get(f"structured_{name}", "")
        if self.format == "google" and cell:
            text, is_ai = structured(cell)
            return CopyText(text, is_declared=is_ai)
        return NOTHING

    def _is_the_tables(self, copy: CopyText, entry: OutputRow, name: str) -> bool:
        """Whether it is what the table's own cell says: then the cell stands, with its markup.

        A cell that is longer than what may be written was cut; it stands whole where nothing of it
        may not be said.
        """
        if copy.field is None or copy.field.source != "text":
            return False
        own = words_of(_read(entry.row.values, self._product).get(name, ""))
        said, all_of_it = _squeezed(copy.text), _squeezed(own)
        if said == all_of_it or self._recipe is None:
            return said == all_of_it
        most = self._recipe.write_schema()["properties"][name]["maxLength"]
        was_cut = len(own) > most and all_of_it.startswith(said)
        return was_cut and self._recipe.unsayable.first(own) is None

    def _values(self, row: Mapping[str, str], fields: Mapping[str, Field]) -> dict[str, str]:
        """The product's attributes: a person's, else the table's, else what was read."""
        found = _read(row, self._product)
        for name, field in _read_off(fields):
            if field.answered and (_is_persons(field) or not found.get(name)):
                found[name] = text_of(field.value) or ""
        for name, ids in self._trees.items():
            chosen = ids.get(str(fields[name].value)) if name in fields else None
            if chosen:
                found.setdefault("category_id", chosen)
        return found

    def _items(self, rows: Sequence[Mapping[str, str]], own: int) -> list[SoldItem]:
        if self.format == "shopify":
            return self._shopify_items(rows, own)
        if self.format != "woocommerce":
            return [SoldItem(rows[own], {}, _read(rows[own], self._variant))]
        variations = [row for at, row in enumerate(rows) if at != own] or [rows[own]]
        return [
            SoldItem(row, _woocommerce_options(row), _read(row, self._variant))
            for row in variations
        ]

    def _shopify_items(self, rows: Sequence[Mapping[str, str]], own: int) -> list[SoldItem]:
        """Rows with an option or a variant's cell; the others hold photos alone."""
        first = {name.casefold(): value for name, value in rows[own].items()}
        names = [first.get(f"option{n} name", "") for n in range(1, OPTIONS + 1)]
        items: list[SoldItem] = []
        for at, row in enumerate(rows):
            folded = {name.casefold(): value for name, value in row.items()}
            chosen = [folded.get(f"option{n} value", "") for n in range(1, OPTIONS + 1)]
            values = _read(row, self._variant)
            if at != own and not any(chosen) and not values.keys() - {"photo"}:
                continue
            options = {n: v for n, v in zip(names, chosen, strict=True) if n and v}
            if options == {"Title": "Default Title"}:
                options = {}
            items.append(SoldItem(row, options, _reduced(values)))
        return items


def _split(cells: Iterable[str]) -> tuple[str, ...]:
    """The addresses that cells name, each once."""
    return tuple(dict.fromkeys(one for cell in cells for one in split_addresses(cell)))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _reduced(values: Mapping[str, str]) -> Mapping[str, str]:
    """A variant's prices as other shops tell them: Shopify compares a reduced one with the usual.

    There is no usual price where it is not the higher one.
    """
    usual, now = (values.get(name, "") for name in ("compare_price", "price"))
    if not (_is_amount(usual) and _is_amount(now) and float(usual) > float(now)):
        return values
    return {**values, "price": usual, "sale_price": now}


def _is_amount(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def _read_off(fields: Mapping[str, Field]) -> Iterator[tuple[str, Field]]:
    """The fields that hold what an attribute wants, by attribute."""
    for name, candidates in known.FIELDS.items():
        field = next((fields[one] for one in candidates if one in fields), None)
        if field is not None:
            yield name, field


def _is_persons(field: Field) -> bool:
    return field.source == "person"


def written_suffix(recipe: Recipe | None, settings: ExportSettings) -> str:
    """The ending of the written parts that go out: of several languages the settings' or first."""
    if recipe is None or len(recipe.languages) == 1:
        return ""
    return f"_{settings.language or recipe.languages[0]}"


def _columns_of(names: known.Names, folded: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found = {
        attribute: tuple(folded[name] for name in listed if name in folded)
        for attribute, listed in names.items()
    }
    return {attribute: columns for attribute, columns in found.items() if columns}


def _read(row: Mapping[str, str], columns: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    read = {
        name: next((row[column].strip() for column in listed if row.get(column, "").strip()), "")
        for name, listed in columns.items()
    }
    return {name: value for name, value in read.items() if value}


def _woocommerce_options(row: Mapping[str, str]) -> dict[str, str]:
    """A variation's options: `Attribute 1 name` with `Attribute 1 value(s)`, and so on."""
    folded = {name.casefold(): value.strip() for name, value in row.items()}
    found: dict[str, str] = {}
    for n in range(1, len(folded)):
        name = folded.get(f"attribute {n} name")
        if name is None:
            break
        value = folded.get(f"attribute {n} value(s)", "")
        if name and value:
            found[name] = value
    return found
