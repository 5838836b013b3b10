"""The report page, read as a browser would read it: elements, attributes and visible text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestra.batch.output.report import write_report
from orchestra.batch.output.rows import OutputRow
from orchestra.batch.tables.row import Row
from orchestra.core.card import Card, Hosting, Limits, Price, Profile
from orchestra.core.errors import DiskFull
from orchestra.core.job import CallRecord, ErrorRecord, Evidence, Field, Question, Result
from orchestra.core.values import dollars, duration
from orchestra.pages.templates import share

VOID = {"meta", "link", "input", "br", "img", "rect", "use", "image"}
INLINE = {"a", "b", "code", "i", "mark", "output", "span", "strong"}
HOSTILE = "<script>alert('x')</script> \"quoted\" </style><img src=x onerror=alert(1)>"
CARD = Card(
    name="r1",
    role="text",
    about="A small model.",
    capabilities=("text",),
    price=Price(as_of=date(2026, 1, 2), usd_per_cpu_second=Decimal("0.00001")),
    profile=Profile(origin="measured"),
    hosting=Hosting(memory_gib=1, worker="a:B"),
    limits=Limits(context_tokens=8192),
    can="Read.",
    cannot="See.",
    scores=("colour: 98% of 600",),
)


@dataclass
class Node:
    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    def all(self, tag: str = "", **wanted: str) -> list[Node]:
        """Descendants by tag and by words that an attribute holds (`class_` for class)."""
        return [node for node in self.walk() if node.fits(tag, wanted)]

    def one(self, tag: str = "", **wanted: str) -> Node:
        found = self.all(tag, **wanted)
        assert len(found) == 1, f"{len(found)} of {tag} {wanted}"
        return found[0]

    def fits(self, tag: str, wanted: dict[str, str]) -> bool:
        return (not tag or self.tag == tag) and all(
            set(words.split()) <= set(self.attributes.get(name.rstrip("_"), "").split())
            for name, words in wanted.items()
        )

    def walk(self) -> Iterator[Node]:
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child.walk()

    @property
    def text(self) -> str:
        return re.sub(r"[ \n]+", " ", "".join(self.strings())).strip()

    def strings(self) -> Iterator[str]:
        """Text in order; a block stands apart from what surrounds it."""
        edge = "" if self.tag in INLINE else " "
        yield edge
        for child in self.children:
            if isinstance(child, str):
                yield child
            else:
                yield from child.strings()
        yield edge


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.stack[-1].children.append(node)
        if tag not in VOID:
            self.stack.append(node)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
            self.stack.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(data)


def jpeg(width: int = 40, height: int = 20) -> bytes:
    out = BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "JPEG")
    return out.getvalue()


def row(ordinal: int = 0, status: str = "complete", text: str = "", **result: Any) -> OutputRow:
    values = {"id": f"P{ordinal}", "name": f"Product {ordinal}", "description": text}
    return OutputRow(Row(ordinal, values), f"P{ordinal}", Result(status=status, **result))  # type: ignore[arg-type]


def page(tmp_path: Path, rows: list[OutputRow], **changes: Any) -> Node:
    summary = {
        "rows": len(rows),
        **{s: sum(r.status == s for r in rows) for s in ("complete", "review")},
        **{s: sum(r.status == s for r in rows) for s in ("partial", "waiting", "failed")},
        "rejected": 0,
        "decided": 0,
        "contradictions": 0,
        "reused": 0,
        "cached": 0,
        "quote": None,
        "cost_usd": "0.001234",
        "presumed_usd": 0,
        "overrun_usd": 0,
        "overruns": [],
        "seconds": 75.0,
        "promise": None,
        "plan_mix": {"look=vl read=r1": len(rows)},
    } | changes.pop("summary", {})
    options: dict[str, Any] = {
        "title": "Spring",
        "summary": summary,
        "models": [CARD],
        "thumbnail": lambda _: None,
    }
    write_report(tmp_path / "report.html", rows=iter(rows), **(options | changes))
    reader = Reader()
    reader.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(reader.stack) == 1, "every element is closed"
    return reader.stack[0]


def span(text: str, quote: str) -> Evidence:
    start = text.index(quote)
    return Evidence(kind="text", text=quote, start=start, end=start + len(quote))


def test_header_holds_title_numbers_and_models(tmp_path: Path) -> None:
    calls = (CallRecord(node="look", model="vl", instruction="?"),)
    root = page(tmp_path, [row(calls=calls), row(1, "failed")], title="春季 <b>")
    head = root.one("header", class_="top")
    assert head.one("h1").text == "春季 <b>"
    numbers = {div.one("dt").text: div.one("dd").text for div in head.one("dl").all("div")}
    assert numbers["rows"] == "2"
    assert numbers["complete"] == "1"
    assert numbers["failed"] == "1"
    assert numbers["spend"] == "$0.001234"
    assert numbers["time"] == "1 min 15 s"
    assert "vl on 1 rows" in head.text


def test_hostile_product_text_is_shown_and_never_becomes_markup(tmp_path: Path) -> None:
    hostile = Field(value=HOSTILE, source="text", confidence=0.5, note=HOSTILE, model=HOSTILE)
    fields = {"name": hostile, "title": hostile.model_copy(update={"source": "derived"})}
    errors = (ErrorRecord(stage=HOSTILE, type=HOSTILE, message=HOSTILE),)
    plain = page(tmp_path, [row()])
    root = page(
        tmp_path, [row(text=HOSTILE, fields=fields, errors=errors, notes=(HOSTILE,))], title=HOSTILE
    )
    assert len(root.all("script")) == len(plain.all("script")) == 1
    assert not root.all("img")
    assert not [node for node in root.walk() if any(a.startswith("on") for a in node.attributes)]
    assert HOSTILE in root.one("article").text


def test_an_address_in_the_table_is_shown_without_what_opens_it(tmp_path: Path) -> None:
    text = page(tmp_path, [row(text="https://ann:pw1@h/a.jpg?sig=abcdef&w=3")]).one("article").text
    assert "https://h/a.jpg?sig=…&w=3" in text and "pw1" not in text and "abcdef" not in text


def test_page_makes_no_request_and_runs_only_its_own_script(tmp_path: Path) -> None:
    root = page(tmp_path, [row(images=("a",))], thumbnail=lambda _: jpeg())
    for node in root.walk():
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert node.attributes.get(name, "#").startswith(("#", "data:")), node.attributes
    assert not re.search(r"url\(|@import|https?:", root.one("style").text)
    script = "".join(str(part) for part in root.one("script").children)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(m for m in root.all("meta") if "http-equiv" in m.attributes)
    assert f"script-src 'sha256-{digest}'" in policy.attributes["content"]
    assert "default-src 'none'" in policy.attributes["content"]


def test_field_shows_value_source_and_confidence_and_opens_its_span(tmp_path: Path) -> None:
    data = "name: Product 0\ndescription: a red shirt"
    colour = Field(
        value="red", source="text", confidence=0.934, evidence=(span(data, "red"),), model="r1",
        prompt_hash="abcdef0123456789",
    )  # fmt: skip
    calls = (CallRecord(node="read", model="r1", instruction="?", data=data),)
    root = page(tmp_path, [row(text="a red shirt", fields={"colour": colour}, calls=calls)])
    shown = root.one("details", class_="field")
    assert shown.one("span", class_="value").text == "red"
    assert shown.one("span", class_="badge text").text == "text"
    assert "0.93" in shown.one("span", class_="sure").text
    assert shown.one("mark").text == "red"
    assert shown.one("blockquote").text == data.replace("\n", " ")
    assert "model r1 · prompt abcdef012345" in shown.text


def test_span_that_does_not_fit_the_text_is_found_by_its_words(tmp_path: Path) -> None:
    stray = Evidence(kind="text", text="shirt", start=900, end=905)
    fields = {"category": Field(value="shirt", source="text", evidence=(stray,))}
    root = page(tmp_path, [row(text="a red shirt", fields=fields)])
    assert root.one("mark").text == "shirt"
    assert "a red shirt" in root.one("blockquote").text


def test_long_text_is_cut_around_the_evidence(tmp_path: Path) -> None:
    text = "x " * 3000 + "linen" + " y" * 3000
    fields = {"material": Field(value="linen", source="text", evidence=(span(text, "linen"),))}
    root = page(tmp_path, [row(text=text, fields=fields)])
    assert len(root.one("blockquote").text) < 600
    assert root.one("mark").text == "linen"


def test_photo_is_embedded_once_and_evidence_points_to_it_with_its_box(tmp_path: Path) -> None:
    part = Evidence(kind="image", image="a", box=(0.25, 0.5, 0.75, 1.0))
    whole = Evidence(kind="image", image="a", box=(0, 0, 1, 1))
    fields = {
        "category": Field(value="shirt", source="photo", evidence=(part,)),
        "colour": Field(value="red", source="photo", evidence=(whole,)),
    }
    root = page(tmp_path, [row(images=("a",), fields=fields)], thumbnail=lambda _: jpeg(40, 20))
    picture = root.one("image")
    content = base64.b64decode(picture.attributes["href"].removeprefix("data:image/jpeg;base64,"))
    assert content == jpeg(40, 20)
    first, second = root.all("svg", class_="seen")
    assert first.one("use").attributes["href"] == "#" + picture.attributes["id"]
    box = first.one("rect", class_="box").attributes
    assert [float(box[name]) for name in ("x", "y", "width", "height")] == [10, 10, 20, 10]
    assert second.all("use")
    assert not second.all("rect")


def test_a_map_lies_over_the_photo_as_a_picture_of_a_few_bytes(tmp_path: Path) -> None:
    rows = "/".join("0123456789" for _ in range(10))
    seen = Evidence(kind="image", image="a", box=(0.25, 0.5, 0.75, 1.0), heat=rows)
    plain = Evidence(kind="image", image="a", box=(0, 0, 1, 1))
    fields = {
        "category": Field(value="shirt", source="photo", evidence=(seen,)),
        "colour": Field(value="red", source="photo", evidence=(plain,)),
    }
    root = page(tmp_path, [row(images=("a",), fields=fields)], thumbnail=lambda _: jpeg(40, 20))
    first, second = root.all("svg", class_="seen")
    heat = first.one("image", class_="heat").attributes
    assert (heat["width"], heat["height"], heat["preserveaspectratio"]) == ("40", "20", "none")
    assert len(heat["href"]) < 600
    content = base64.b64decode(heat["href"].removeprefix("data:image/png;base64,"))
    with Image.open(BytesIO(content)) as picture:
        assert picture.size == (10, 10)
        low, high = (picture.getchannel("A").getpixel((x, 0)) for x in (0, 9))
    assert (low, high) == (0, 170)
    assert not second.all("image")


def test_words_that_were_read_stand_under_the_photo(tmp_path: Path) -> None:
    seen = Evidence(kind="image", image="a", box=(0, 0, 0.5, 0.5), text="net 1 L <b>")
    fields = {"quantity": Field(value="1 L", source="photo", evidence=(seen,))}
    root = page(tmp_path, [row(images=("a",), fields=fields)], thumbnail=lambda _: jpeg(40, 20))
    assert root.one("figcaption").one("mark").text == "net 1 L <b>"


@pytest.mark.parametrize("content", [None, b"not a picture"])
def test_photo_without_a_usable_thumbnail_leaves_a_place(
    tmp_path: Path, content: bytes | None
) -> None:
    root = page(tmp_path, [row(images=("a",))], thumbnail=lambda _: content)
    assert root.one("div", class_="thumb empty").text == "no photo"


@pytest.mark.parametrize("prefer", ["photo", "text"])
def test_contradiction_shows_both_sides_with_their_confidence(tmp_path: Path, prefer: str) -> None:
    photo = Field(value="orange", source="photo", confidence=0.93)
    text = Field(value="red", source="text", confidence=0.99)
    kept, other = (photo, text) if prefer == "photo" else (text, photo)
    colour = kept.model_copy(update={"contradiction": True, "alternatives": (other,)})
    root = page(tmp_path, [row(status="review", fields={"colour": colour})])
    clash = root.one("section", class_="clash")
    assert "colour: photo and text disagree" in clash.text
    photo_side, text_side = clash.all("summary")
    assert photo_side.text.startswith("photo says orange")
    assert "0.93" in photo_side.text
    assert text_side.text.startswith("text says red")
    assert "0.99" in text_side.text
    assert not root.all("details", class_="field"), "a contradiction is not shown as settled"


def test_written_listing_is_previewed_by_language(tmp_path: Path) -> None:
    fields = {
        "title_en": Field(value="Red shirt", source="derived"),
        "bullets_en": Field(value=["Colour: red", "Cotton, soft"], source="derived"),
        "title_zh": Field(value="红色衬衫", source="derived"),
    }
    english, chinese = page(tmp_path, [row(fields=fields)]).all("section", class_="listing")
    assert english.one("h3").text == "Red shirt"
    assert [item.text for item in english.all("li")] == ["Colour: red", "Cotton, soft"]
    assert chinese.one("h3").text == "红色衬衫"
    assert chinese.attributes["lang"] == "zh-Hans"


def test_order_by_confidence_looks_at_answered_fields_only(tmp_path: Path) -> None:
    fields = {
        "colour": Field(value="red", source="text", confidence=0.8),
        "origin": Field(value="Spain", source="text", confidence=0.6),
        "brand": Field(confidence=0.1, note="the text names no brand"),
    }
    card = page(tmp_path, [row(fields=fields)]).one("article")
    assert float(card.attributes["data-sure"]) == 0.6


def test_abstained_field_is_listed_with_its_reason(tmp_path: Path) -> None:
    fields = {"brand": Field(note="the text names no brand")}
    blank = page(tmp_path, [row(fields=fields)]).one("details", class_="blank")
    assert blank.one("summary").text == "Left blank: brand"
    assert blank.one("dd").text == "the text names no brand"


def test_error_stands_in_its_card_and_in_the_list_of_errors(tmp_path: Path) -> None:
    errors = (ErrorRecord(stage="intake", type="ImageNotFound", message="No file. Add it."),)
    root = page(tmp_path, [row(), row(1, "partial", errors=errors)])
    card = root.one("article", id="row-1")
    assert card.one("div", class_="error").text == "ImageNotFound in intake No file. Add it."
    assert card.one("div", class_="thumb empty").text == "photo not usable"
    listed = root.one("section", class_="errors")
    assert listed.one("a").attributes["href"] == "#row-1"
    assert "ImageNotFound 1" in listed.text
    assert "No file. Add it." in listed.one("table").text


def test_cost_time_and_reuse_stand_on_the_card(tmp_path: Path) -> None:
    calls = (CallRecord(node="look", model="vl", instruction="?", images=("a",), reused=True),)
    made = row(7, calls=calls, cost_usd=Decimal("0.000012"), seconds=0.61)
    card = page(tmp_path, [made]).one("article")
    assert card.one("footer").text == "row 7 vl $0.000012 0.61 s"
    assert card.one("span", class_="tag").text == "photo reused"


def test_model_notes_say_what_models_can_and_cannot_do(tmp_path: Path) -> None:
    section = page(tmp_path, [row()]).one("section", class_="models")
    assert "can Read. cannot See." in section.text
    assert "colour: 98% of 600" in section.text


def test_an_object_is_shown_in_words_with_the_evidence_of_each_leaf(tmp_path: Path) -> None:
    proofs = [("name", "Acme", 9), ("country", "Italy", 17)]
    evidence = tuple(
        Evidence(kind="text", text=text, start=at, end=at + len(text), leaf=leaf)
        for leaf, text, at in proofs
    )
    value = {"name": "Acme", "country": "Italy", "since": None}
    fields = {"maker": Field(value=value, source="text", evidence=evidence)}
    root = page(tmp_path, [row(text="Shirt by Acme of Italy", fields=fields)])
    assert "name: Acme, country: Italy" in root.text
    assert [quote.text for quote in root.all("mark")] == ["Acme", "Italy"]
    quiet = [node.text for node in root.all("p", class_="quiet")]
    assert "name" in quiet and "country" in quiet


def test_table_order_is_kept_when_every_row_is_shown(tmp_path: Path) -> None:
    rows = [row(0), row(1, "failed"), row(2), row(3, "review")]
    root = page(tmp_path, rows)
    assert [card.attributes["id"] for card in root.all("article")] == [
        "row-0", "row-1", "row-2", "row-3"
    ]  # fmt: skip
    assert "not on this page" not in root.one("main").text


def test_rows_that_wait_for_a_resume_are_counted(tmp_path: Path) -> None:
    root = page(tmp_path, [row()], summary={"rows": 9})
    assert "8 of 9 rows are not done yet" in root.all("p", class_="cut")[0].text
    assert "8 not run" in root.one("div", class_="bar").attributes["aria-label"]


def test_a_row_that_waits_for_a_person_shows_what_it_asks(tmp_path: Path) -> None:
    asked = (Question(id="a", value={"is it": HOSTILE}, node="person"), Question(node="again"))
    root = page(tmp_path, [row(status="waiting", questions=asked)])
    first, second = root.all("div", class_="asks")
    assert "in person" in first.text and "is it" in first.text and "onerror" in first.text
    assert "waits to be told to go on" in second.text
    assert "1 of 1 rows wait for a person" in root.all("p", class_="cut")[0].text
    assert root.all("script")[0].text == page(tmp_path, [row()]).all("script")[0].text


def test_what_a_policy_promises_of_the_rows_stands_at_the_top(tmp_path: Path) -> None:
    counts = {"category": {"promised": 1, "in_doubt": 0, "unknown": 0}}
    promise = {"quality": 0.85, "rows_let_through": 1, "rows_in_doubt": 0, "fields": counts}
    told = page(tmp_path, [row()], summary={"promise": promise}).text
    assert "promised: at least 85% of the answers right, in category" in told
    assert "By the policy" not in page(tmp_path, [row()]).one("main").text


def test_page_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    page(tmp_path, [row()])
    before = (tmp_path / "report.html").read_bytes()

    def no_space(image: str) -> bytes | None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFull, match=r"report\.html"):
        page(tmp_path, [row(images=("a",))], thumbnail=no_space)
    assert (tmp_path / "report.html").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_controls_are_labelled_and_evidence_is_reached_by_keyboard(tmp_path: Path) -> None:
    fields = {"colour": Field(value="red", source="text")}
    root = page(tmp_path, [row(fields=fields)])
    for control in root.all("input") + root.all("select"):
        assert control.attributes["aria-label"]
    assert all(button.text for button in root.all("button"))
    firsts = [next(c for c in d.children if isinstance(c, Node)).tag for d in root.all("details")]
    assert set(firsts) == {"summary"}


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        ("0", "$0"), ("0.0000001", "< $0.000001"), ("0.000120", "$0.00012"), ("0.5", "$0.5"),
        ("1234.5", "$1,234.50"),
    ],
)  # fmt: skip
def test_costs_keep_the_digits_that_matter(cost: str, shown: str) -> None:
    assert dollars(Decimal(cost)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.844, "0.84 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7440, "2 h 04 min")],
)
def test_times_are_written_for_people(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("probability", "shown"), [(1.0, "1.00"), (0.9999, "0.99"), (0.29, "0.29"), (0.004, "0.00")]
)
def test_only_certainty_is_shown_as_one(probability: float, shown: str) -> None:
    assert share(probability) == shown
