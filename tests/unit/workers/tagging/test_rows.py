"""Where tokens and values of a text stand."""

from __future__ import annotations

from workers.tagging.gazetteer import Gazetteer
from workers.tagging.rows import tagged_row
from workers.tagging.strings import Strings
from workers.tagging.tokens import shape, tokens_of


def test_numbers_units_marks_and_chinese_characters_are_tokens_of_their_own() -> None:
    words = [token.text for token in tokens_of("12.5oz/340g 红色 Men's")]
    assert words == ["12.5", "oz", "/", "340", "g", "红", "色", "Men", "'", "s"]
    assert all("a 红b"[t.start : t.end] == t.text for t in tokens_of("a 红b"))
    assert tokens_of(" ") == []
    assert shape("SK0331") == "XX99"


def test_a_value_stands_at_its_first_place_with_own_borders() -> None:
    row = tagged_row("Jerseys and a Jersey", values={"kind": ["Jersey"], "size": [], "x": ["no"]})
    assert row.spans == {"kind": [(3, 3)]}
    assert tagged_row("Jerseys", values={"kind": ["Jersey"]}).spans == {"kind": [(0, 0)]}


def test_what_is_known_of_values_leaves_the_row_asked_about_out() -> None:
    rows = [tagged_row("Red mug", values={"colour": ["Red"]}),
            tagged_row("Red cup", values={"colour": ["Red"]}),
            tagged_row("Teal cup", values={"colour": ["Teal"]})]  # fmt: skip
    words = Gazetteer(rows)
    assert any(f.startswith("gz:colour") for f in words.features(rows[0], known=True)[0])
    assert not any(f.startswith("gz:colour") for f in words.features(rows[2], known=True)[0])
    strings = Strings(rows)
    assert strings.count("colour", "Teal", None) == 1 and strings.count("colour", "Teal", 2) == 0
    assert strings.known("colour", 2) == ["Red"]
