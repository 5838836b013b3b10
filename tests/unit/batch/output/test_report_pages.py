"""A report whose rows lie beside its page: every row is in it, the worst first."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from orchestra.batch.duplicates.finder import Finder
from orchestra.batch.output.report_words import LANGUAGES, WORDS
from orchestra.core.errors import DiskFull
from orchestra.core.job import ErrorRecord, Evidence, Field
from tests.unit.batch.output.test_report import HOSTILE, Reader, jpeg, page, row

TEMPLATES = Path("orchestra/batch/output")


def held(path: Path) -> Any:
    """What a file beside the page hands over."""
    found = re.fullmatch(r'orchestraReport\("([\w-]+)","([\w+/=]+)"\)\n', path.read_text("utf-8"))
    assert found is not None and found[1] == path.stem
    return json.loads(zlib.decompress(base64.b64decode(found[2]), -15))


def files(tmp_path: Path) -> Path:
    (only,) = (tmp_path / "report_files").glob("set-*")
    return only


def doubtful(wrong: float) -> dict[str, Field]:
    told = f"the photo looks like 'Jeans' (0.{int(wrong * 100)}), the text sells 'Shirt'"
    return {"photo_match": Field(value="no", source="both", confidence=wrong, doubt=told)}


def test_every_row_is_in_a_page_beside_and_the_likeliest_fault_comes_first(tmp_path: Path) -> None:
    rows = [row(n) for n in range(1, 111)]
    rows += [row(n, "review", fields=doubtful(n / 200)) for n in range(111, 121)]
    rows.append(row(121, "failed"))
    root = page(tmp_path, rows, inline_rows=10)
    assert not root.all("article")
    index = held(files(tmp_path) / "index.js")
    pages = [held(files(tmp_path) / f"rows-{n}.js") for n in range(3)]
    assert [len(cards) for cards in pages] == [50, 50, 21]
    order = [entry[0] for entry in index["rows"]]
    assert order[:12] == [121, *range(120, 110, -1), 1]
    assert sorted(order) == list(range(1, 122))
    cards = [card for cards in pages for card in cards]
    for entry, card in zip(index["rows"], cards, strict=True):
        reader = Reader()
        reader.feed(card)
        article = reader.stack[0].one("article")
        assert article.attributes["data-ordinal"] == str(entry[0])
        assert article.one("span", class_="id").one("code").text == entry[1]


def test_rows_are_found_by_id_value_and_reason(tmp_path: Path) -> None:
    wrong = {"colour": Field(value="Teal", source="text")} | doubtful(0.75)
    rows = [row(n, "review", fields=wrong) for n in range(1, 9)]
    page(tmp_path, rows, inline_rows=2)
    index = held(files(tmp_path) / "index.js")
    assert index["reasons"] == ["photo_match: the photo looks like … (…), the text sells …"]
    ordinal, row_id, name, status, *_, reasons, _, words = index["rows"][0]
    assert (row_id, name, status, reasons) == (f"P{ordinal}", f"Product {ordinal}", "review", [0])
    assert "teal" in words


def test_groups_of_duplicates_stand_on_the_cards_and_in_the_index(tmp_path: Path) -> None:
    rows = [row(n, text=f"apple number{'x' * (n % 3)}") for n in range(1, 4)]
    finder = Finder(lambda _: None)
    for one in rows:
        finder.add(one.row.ordinal, one.row_id, ["Apple"], ())
    root = page(tmp_path, rows, inline_rows=1, kin=finder.groups())
    assert [entry[9] for entry in held(files(tmp_path) / "index.js")["rows"]] == [
        ["duplicate:1"]
    ] * 3
    assert "3 rows say the same products more than once (groups: 1)" in root.text
    assert 'data-group="duplicate:1"' in held(files(tmp_path) / "rows-0.js")[1]


def test_a_table_beyond_the_limit_keeps_rows_that_need_a_person_and_says_so(tmp_path: Path) -> None:
    statuses = ["complete"] * 6 + ["review", "failed", "partial", "complete"]
    rows = [row(ordinal, status) for ordinal, status in enumerate(statuses)]
    root = page(tmp_path, rows, inline_rows=2, most_rows=5)
    shown = [entry[0] for entry in held(files(tmp_path) / "index.js")["rows"]]
    assert (set(shown[:3]), shown[3:]) == ({6, 7, 8}, [0, 1])
    line = root.all("p", class_="cut")[0].text
    assert line.startswith("5 of 10 rows are shown")
    assert "other 5 are not on this page; products.csv has every row" in line


def test_hostile_text_in_a_file_beside_never_becomes_markup(tmp_path: Path) -> None:
    hostile = Field(value=HOSTILE, source="text", confidence=0.5, note=HOSTILE, model=HOSTILE)
    errors = (ErrorRecord(stage=HOSTILE, type=HOSTILE, message=HOSTILE),)
    made = row(1, "review", HOSTILE, fields={"name": hostile}, errors=errors, notes=(HOSTILE,))
    root = page(tmp_path, [made, row(2)], inline_rows=1, title=HOSTILE)
    assert len(root.all("script")) == 1
    text = (files(tmp_path) / "rows-0.js").read_text("utf-8")
    assert "<" not in text
    reader = Reader()
    reader.feed(held(files(tmp_path) / "rows-0.js")[0])
    card = reader.stack[0]
    assert not card.all("script") and not card.all("img")
    assert not [node for node in card.walk() if any(a.startswith("on") for a in node.attributes)]
    assert HOSTILE in card.text


def test_photos_of_a_large_table_are_linked_and_asked_for_where_rows_are_shown(
    tmp_path: Path,
) -> None:
    asked: list[str] = []

    def picture(key: str) -> bytes:
        asked.append(key)
        return jpeg()

    seen = Evidence(kind="image", image="ab9", box=(0, 0, 0.5, 0.5))
    fields = {"category": Field(value="shirt", source="photo", evidence=(seen,))}
    rows = [row(1, "review", images=("ab9",), fields=fields), row(2, images=("cd7",))]
    root = page(tmp_path, rows, inline_rows=1, most_rows=1, thumbnail=picture)
    card = held(files(tmp_path) / "rows-0.js")[0]
    assert 'href="report_files/photos/ab/ab9.jpg"' in card and "data:" not in card
    assert asked == ["ab9"]
    policy = next(m for m in root.all("meta") if "http-equiv" in m.attributes)
    assert "https:" not in policy.attributes["content"]


def test_another_report_takes_the_place_of_the_rows_and_a_failed_one_does_not(
    tmp_path: Path,
) -> None:
    rows = [row(n, images=("a",)) for n in range(4)]
    page(tmp_path, rows, inline_rows=1)
    first, before = files(tmp_path), (tmp_path / "report.html").read_bytes()

    def no_space(key: str) -> bytes | None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFull, match="report's rows"):
        page(tmp_path, rows, inline_rows=1, thumbnail=no_space)
    assert files(tmp_path) == first
    assert (tmp_path / "report.html").read_bytes() == before
    page(tmp_path, rows, inline_rows=1)
    assert files(tmp_path) != first
    page(tmp_path, rows[:1])
    assert not list((tmp_path / "report_files").glob("set-*"))


def test_every_word_of_the_page_is_there_in_both_languages_with_the_same_values() -> None:
    for pair in WORDS.values():
        english, chinese = (sorted(re.findall(r"\{\w+\}", text)) for text in pair)
        assert english == chinese
        assert all(text.strip() for text in pair)
    assert len(LANGUAGES) == 2
    used: set[str] = set()
    for path in TEMPLATES.glob("report*.j2"):
        used |= set(re.findall(r"""\bw\(["'](\w+)["'][,)]""", path.read_text("utf-8")))
    used |= set(re.findall(r'\btold\("(\w+)"', (TEMPLATES / "report.js").read_text("utf-8")))
    assert len(used) > 40
    assert used <= set(WORDS)
