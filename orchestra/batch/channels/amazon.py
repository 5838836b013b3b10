"""Amazon's flat file: field names of inventory templates, and the rules of titles and bullets.

Rules, looked up November 2026. Titles: sellercentral-europe.amazon.com/help/hub/reference/
external/201100890 (200 characters with spaces; none of ! $ ? _ { } ^ ¬ ¦ unless the brand has it;
no promotional phrases) and Amazon's announcement of January 2025 (no word more than twice, but
prepositions, articles and conjunctions). Bullets: Amazon's announcement of 2024-08-15, as
shipaim.com and goatconsulting.com report it (special characters, emoji, placeholders, guarantees
and claims such as "eco-friendly"); five at most, plain text, a capital first. 10 to 255 characters
each is given as it is known: the page itself could not be read, and reports differ (250, 500).
Detail pages: sellercentral.amazon.com/gp/help/external/200390640 (no HTML, addresses, phone
numbers, prices). Fields: the "Data Definitions" of Amazon's templates (brand_name 50 characters,
a product id with its type). A template's first rows differ by category: one that was downloaded is
filled (`amazon_template`), or these rows are pasted under its names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import IO, ClassVar

from orchestra.batch.channels.ai_labels import with_label
from orchestra.batch.channels.amazon_template import AmazonTemplate
from orchestra.batch.channels.channel import Channel, Line, Writer
from orchestra.batch.channels.delimited import TsvWriter, plain_cell
from orchestra.batch.channels.listing import Listing, SoldItem
from orchestra.batch.channels.rules import Fault, Rule, faults_of

BULLETS = 5
PHOTOS = 8
SHORTEST_BULLET = 10
TITLE_CHARACTERS = "!$?_{}^¬¦"
BULLET_CHARACTERS = "™®€…†‡¢£¥©±~"
EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f]")
TAG = re.compile(r"<[a-z/!][^>]*>", re.IGNORECASE)
CONTACT = re.compile(r"https?://|www\.|[\w.+-]+@[\w-]+\.\w+|\+?\d[\d ()-]{8,}\d", re.IGNORECASE)
ASIN = re.compile(r"\bB0[0-9A-Z]{8}\b")
PROMOTION = ("free shipping", "100% quality guaranteed", "best seller", "hot item")
PHRASES = (
    "not applicable",
    "n/a",
    "not eligible",
    "yet to decide",
    "to be decided",
    "tbd",
    "copy pending",
    "full refund",
    "if not satisfied",
    "unconditional guarantee",
    "money back guarantee",
    "eco-friendly",
    "environmentally friendly",
    "anti-microbial",
    "antimicrobial",
    "anti-bacterial",
    "antibacterial",
    "made from bamboo",
    "contains bamboo",
    "made from soy",
    "contains soy",
)
# Words of English that a title may hold more than twice.
SMALL = frozenset(
    "a an the and or nor but for of in on at by to with from into over under as is".split()  # noqa: SIM905
)
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
MOST_TIMES = 2
RULES = (
    Rule("item_sku", required=True, most=40, cure="Give each product an id of its own."),
    Rule("item_name", required=True, most=200),
    Rule("brand_name", required=True, most=50, cure="Give it a column; of no brand: Generic."),
    Rule("external_product_id", kind="gtin"),
    Rule("external_product_id_type", one_of=("UPC", "EAN", "GTIN", "GCID")),
    Rule(
        "feed_product_type",
        required=True,
        cure="Set export: {constants: {feed_product_type: …}} to the template's own word.",
    ),
    Rule("product_description", most=2000),
    Rule("main_image_url", required=True, kind="url", cure="Give the product a photo."),
    *(Rule(f"other_image_url{n}", kind="url") for n in range(1, PHOTOS + 1)),
    *(Rule(f"bullet_point{n}", most=255) for n in range(1, BULLETS + 1)),
    Rule("standard_price", kind="number"),
    Rule("quantity", kind="number"),
)
TYPES = {8: "EAN", 12: "UPC", 13: "EAN", 14: "GTIN"}
COLUMNS = (
    "feed_product_type",
    "item_sku",
    "brand_name",
    "item_name",
    "external_product_id",
    "external_product_id_type",
    "item_type",
    "standard_price",
    "quantity",
    "product_description",
    *(f"bullet_point{n}" for n in range(1, BULLETS + 1)),
    "main_image_url",
    *(f"other_image_url{n}" for n in range(1, PHOTOS + 1)),
    "parent_child",
    "parent_sku",
    "relationship_type",
    "variation_theme",
    "color_name",
    "size_name",
    "material_type",
)


class Amazon(Channel):
    """Amazon's flat file.

    With a `template` its columns are filled: also those that this file has no rule for, from a
    column or constant of their name. `unplaced` are columns that it lacks and that were filled.
    """

    name: ClassVar[str] = "amazon"
    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".tsv")
    key: ClassVar[str | None] = "item_sku"
    template: AmazonTemplate | None = None
    unplaced: frozenset[str] = frozenset()

    def lines(self, listing: Listing) -> list[Line]:
        """A row for each thing to buy; of variants also one for the parent."""
        made = self._lines(listing)
        if self.template is not None:
            filled = {name for line in made for name in line}
            self.unplaced |= filled - set(self.template.names)
        return made

    def _lines(self, listing: Listing) -> list[Line]:
        own = () if self.template is None else set(self.template.names) - {"", *COLUMNS}
        if len(listing.items) == 1:
            return [_row(listing, listing.items[0], own)]
        theme = _theme(listing)
        shown = _row(listing, listing.items[0], own)
        parent = {
            **{name: value for name, value in shown.items() if name not in PER_ITEM},
            "item_sku": listing.group,
            "parent_child": "parent",
            "variation_theme": theme,
        }
        children = [
            {
                **_row(listing, item, own),
                "parent_child": "child",
                "parent_sku": listing.group,
                "relationship_type": "Variation",
                "variation_theme": theme,
            }
            for item in listing.items
        ]
        return [parent, *children]

    def faults(self, listing: Listing, lines: Sequence[Line]) -> list[Fault]:
        """What breaks a rule, of the words too."""
        found: list[Fault] = []
        for line in lines:
            item = str(line.get("item_sku", ""))
            found += faults_of(item, line, RULES)
            found += _title_faults(
                str(line.get("item_name", "")), str(line.get("brand_name")), item
            )
            for n in range(1, BULLETS + 1):
                found += _bullet_faults(
                    f"bullet_point{n}", str(line.get(f"bullet_point{n}", "")), item
                )
            description = str(line.get("product_description", ""))
            found += _page_faults("product_description", description, item)
        return found

    def writer(self, file: IO[bytes], suffix: str) -> Writer:
        """Cells between tabs."""
        if self.template is None:
            return TsvWriter(file, COLUMNS, lambda _, value: plain_cell(value))
        head, names = self.template.head, self.template.names
        return TsvWriter(file, names, lambda _, value: plain_cell(value), head)


PER_ITEM = frozenset(
    {
        "external_product_id",
        "external_product_id_type",
        "standard_price",
        "quantity",
        "color_name",
        "size_name",
    }
)


def _row(listing: Listing, item: SoldItem, own: Collection[str]) -> dict[str, str]:
    photos = listing.addresses(item)
    gtin = listing.text("gtin", item)
    line = {
        "feed_product_type": listing.text("feed_product_type", item),
        "item_sku": listing.item_id(item),
        "brand_name": listing.text("brand", item),
        "item_name": listing.plain("title", item),
        "external_product_id": gtin,
        "external_product_id_type": TYPES.get(len(gtin), "GTIN") if gtin else "",
        "item_type": listing.text("item_type", item),
        "standard_price": listing.text("price", item).split(" ")[0],
        "quantity": listing.text("quantity", item),
        "product_description": with_label(listing, listing.plain("description", item)),
        "main_image_url": photos[0] if photos else "",
        "color_name": listing.text("colour", item),
        "size_name": listing.text("size", item),
        "material_type": listing.text("material", item),
    }
    line |= {name: listing.text(name, item) for name in own}
    line |= {f"bullet_point{n}": p.text for n, p in enumerate(listing.bullets[:BULLETS], 1)}
    line |= {f"other_image_url{n}": photo for n, photo in enumerate(photos[1 : PHOTOS + 1], 1)}
    return {name: value for name, value in line.items() if value}


def _theme(listing: Listing) -> str:
    """What tells the variants apart, as Amazon calls it."""
    told = [
        label
        for label, name in (("Color", "colour"), ("Size", "size"))
        if len({listing.text(name, item) for item in listing.items}) > 1
    ]
    return "".join(reversed(told)) or "Style"


def _title_faults(title: str, brand: str, item: str) -> Iterator[Fault]:
    rest = title.replace(brand, "") if brand else title
    for character in dict.fromkeys(rest):
        if character in TITLE_CHARACTERS:
            limit = f"the character {character!r} is not taken in titles, but in a brand's name"
            yield Fault("item_name", title, limit, "Leave it out.", item)
    for phrase in PROMOTION:
        if phrase in title.lower():
            limit = f"the promotional phrase {phrase!r} is not taken"
            yield Fault("item_name", title, limit, "Leave it out.", item)
    counted = Counter(word.casefold() for word in WORD.findall(title))
    for word, times in counted.items():
        if times > MOST_TIMES and word not in SMALL:
            limit = f"a word is taken twice at most, and {word!r} stands {times} times"
            yield Fault("item_name", title, limit, "Say it less often.", item)
    yield from _page_faults("item_name", title, item)


def _bullet_faults(name: str, bullet: str, item: str) -> Iterator[Fault]:
    if not bullet:
        return
    if len(bullet) < SHORTEST_BULLET:
        limit = f"at least {SHORTEST_BULLET} characters are taken"
        yield Fault(name, bullet, limit, "Say more, or leave it out.", item)
    if bullet[0].islower():
        yield Fault(name, bullet, "a capital first is taken", "Begin with a capital.", item)
    for character in dict.fromkeys(bullet):
        if character in BULLET_CHARACTERS or EMOJI.match(character):
            limit = f"the character {character!r} is not taken in bullets"
            yield Fault(name, bullet, limit, "Leave it out.", item)
    for phrase in PHRASES:
        if re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", bullet, re.IGNORECASE):
            limit = f"the phrase {phrase!r} is not taken"
            yield Fault(name, bullet, limit, "Leave it out.", item)
    if ASIN.search(bullet):
        yield Fault(name, bullet, "no ASIN is taken", "Leave it out.", item)
    yield from _page_faults(name, bullet, item)


def _page_faults(name: str, text: str, item: str) -> Iterator[Fault]:
    """What no part of a detail page may hold."""
    if TAG.search(text):
        yield Fault(name, text, "no HTML is taken", "Write plain text.", item)
    found = CONTACT.search(text)
    if found:
        limit = f"no address, e-mail or phone number is taken, and {found[0]!r} looks like one"
        yield Fault(name, text, limit, "Leave it out.", item)
