"""Delimited files as programs write them: delimiters, quotes, lines above the header, odd rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestra.batch.tables.reading import ReadAs
from orchestra.batch.tables.table import Table, open_table
from orchestra.core.errors import InvalidTable


def written(folder: Path, text: str, name: str = "p.csv", read_as: ReadAs | None = None) -> Table:
    path = folder / name
    path.write_bytes(text.encode())
    return open_table(path, read_as or ReadAs())


def cells(table: Table) -> list[list[str]]:
    return [list(row.values.values()) for row in table.rows()]


def errors(table: Table) -> dict[int, str]:
    return {row.ordinal: row.error.message for row in table.rows() if row.error}


READ = {
    "sep line": ("sep=;\r\nsku;price\r\n00123;1,99\r\n", [["00123", "1,99"]]),
    "sep line in quotes": ('"sep=;"\nsku;name\n1;a,b\n', [["1", "a,b"]]),
    "sep line after a mark": ("\ufeffsep=,\r\nsku,name\r\n1,a;b\r\n", [["1", "a;b"]]),
    "sep line of tabs": ("sep=\t\nsku\tname\n1\ta,b\n", [["1", "a,b"]]),
    "decimal commas": ("sku;name;price\n1;a, b;1,99\n2;c;0,89\n", [["1", "a, b", "1,99"]]),
    "carets": ("sku^name\n1^Green, from Italy\n2^b\n", [["1", "Green, from Italy"], ["2", "b"]]),
    "tildes": ("sku~name\n1~a|b\n", [["1", "a|b"]]),
    "control characters": ("sku\x01name\n1\x01a;b\n", [["1", "a;b"]]),
    "carets of a text": ("name\n5^2 tiles\nplain\n", [["5^2 tiles"], ["plain"]]),
    "pipes": ("sku|name\n1|Green, from Italy\n", [["1", "Green, from Italy"]]),
    "semicolons, commas in all rows": ("sku;text\n1;a, b, c\n2;d, e\n", [["1", "a, b, c"]]),
    "old Mac line ends": ("sku,name\r1,Apple\r2,Pear\r", [["1", "Apple"], ["2", "Pear"]]),
    "old Mac line ends after a mark": ("\ufeffsku,name\r1,Länge\r", [["1", "Länge"]]),
    "a mark before quotes": ('\ufeff"sku","name"\r\n"1","A"\r\n', [["1", "A"]]),
    "names in all directions": ("sku,name\n1,תפוח 🍌\n2,\u202eanan\n", [["1", "תפוח 🍌"]]),
    "formulas": ("sku,name\n1,=cmd|' /C calc'!A0\n2,-42 B\n", [["1", "=cmd|' /C calc'!A0"]]),
    "dates and zeros": ("sku,day\n007,01.02.2026\n008,2026-03-04\n", [["007", "01.02.2026"]]),
    "all line ends": ('sku,name\r\n1,A\n2,"B\rC"\r', [["1", "A"], ["2", "B\rC"]]),
    "blank lines": ("\n\nsku,name\n\n1,A\n,\n   \n2,B\n\n", [["1", "A"], ["2", "B"]]),
    "end mark of DOS": ("sku,name\r\n1,A\r\n\x1a", [["1", "A"]]),
    "banner": ("Export 2026,,\nShop: X,,\n,,\nsku,name,price\n1,A,2\n", [["1", "A", "2"]]),
    "short banner": ("Product export\n\nsku;name;x\n1;A;2\n2;B;3\n", [["1", "A", "2"]]),
    "remarks": ("#INFO,Version=1,X=2\n#INFO a,b,\nsku,name,x,y\n1,A,2,3\n", [["1", "A", "2", "3"]]),
    "a column of numbers": ("#,sku,name\n1,A1,B\n", [["1", "A1", "B"]]),
    "banner of pairs": ("By:,John,\nDate:,2026,\nsku,name,x\n1,A,2\n", [["1", "A", "2"]]),
    "spaces before quotes": ('sku, name, x\n1, "A, b", "c"\n', [["1", "A, b", "c"]]),
    "backslashes": ('sku,name\n1,"A \\"b\\", c"\n2,d\n', [["1", 'A "b", c']]),
    "lines quoted whole": ('"sku,name"\n"1,A"\n"2,""B, c"""\n', [["1", "A"], ["2", "B, c"]]),
    "rows quoted whole": ('sku,name\n"1,A"\n"2,""B, c"""\n', [["1", "A"], ["2", "B, c"]]),
    "stray quotes": ('sku,name\n1,5" pipe\n2,"5" pipe\n3,"Fresh" A\n', [["1", '5" pipe']]),
    "zeros behind formulas": ('sku,name\n"=""007""",A\n="008",B\n', [["007", "A"], ["008", "B"]]),
    "a mark where files were joined": ("sku,name\n1,A\n\ufeff2,B\n", [["1", "A"], ["2", "B"]]),
    "one column": ('name\nApple\n"Banana, ripe"\n', [["Apple"], ["Banana, ripe"]]),
    "one column with commas": ("name\nBanana, ripe\nApple, green\n", [["Banana, ripe"]]),
    "a name missing": ("sku,name,\n1,A,\n2,B\n", [["1", "A", ""], ["2", "B", ""]]),
    "odd spaces": ("a,b\n1,Granny\vSmith\n2,x\u2028y\x85z\x0c\n", [["1", "Granny\vSmith"]]),
}


@pytest.mark.parametrize("kind", READ)
def test_a_table_is_read_as_it_is_meant(tmp_path: Path, kind: str) -> None:
    text, expected = READ[kind]
    found = written(tmp_path, text)
    assert cells(found)[: len(expected)] == expected
    assert not errors(found)


def test_quotes_mean_nothing_in_a_feed(tmp_path: Path) -> None:
    rows = '1\t"Fresh" apples\t12" box\n2\tB\t"Ripe\n3\tC\tx\n4\tD\tJuicy" pear\n'
    found = written(tmp_path, "id\ttitle\tdescription\n" + rows, "feed.txt")
    assert [row[1:] for row in cells(found)] == [
        ['"Fresh" apples', '12" box'],
        ["B", '"Ripe'],
        ["C", "x"],
        ["D", 'Juicy" pear'],
    ]
    assert "quotes mean nothing" in found.told[0]


def test_quotes_that_first_mean_nothing_far_into_a_feed_swallow_no_row(tmp_path: Path) -> None:
    many = "".join(f"{n}\tA\tb\n" for n in range(1_000))
    rows = 'x\t"Fresh\tpear\ny\tB"\tc\nz\tC\td\n'
    found = written(tmp_path, "id\ttitle\tdescription\n" + many + rows, "feed.tsv")
    assert cells(found)[1_000:] == [["x", '"Fresh', "pear"], ["y", 'B"', "c"], ["z", "C", "d"]]
    assert not errors(found)


def test_quotes_of_excel_between_tabs_are_quotes(tmp_path: Path) -> None:
    found = written(tmp_path, 'id\ttitle\n1\t"He said ""hi""\nand left"\n2\tB\n', "unicode.txt")
    assert cells(found) == [["1", 'He said "hi"\nand left'], ["2", "B"]]


@pytest.mark.parametrize(
    ("rows", "damaged", "ids"),
    [
        ('1,A,"Green\n2,B,Ripe\n3,C,Pear"\n4,D,Plum\n', [1], ["1", "2", "3", "4"]),
        ('1,A,"Green\n2,B,"Ripe"\n3,C,Pear\n4,D,"Plum"\n', [1], ["1", "2", "3", "4"]),
        ("1,A,Green\napple from Italy\n2,B,x\n", [2], ["1", "apple from Italy", "2"]),
        ("1,A\n2,B,x\n", [1], ["1", "2"]),
        ("1,A,b,c\n2,B,x\n", [1], ["1", "2"]),
        ("1,A,x\nsku,name,description\n2,B,x\n", [2], ["1", "sku", "2"]),
    ],
    ids=["swallowed", "swallowed to a quote", "a line broken in two", "short", "long", "header"],
)
def test_odd_rows_are_errors_of_their_own(
    tmp_path: Path, rows: str, damaged: list[int], ids: list[str]
) -> None:
    found = written(tmp_path, "sku,name,description\n" + rows)
    assert list(errors(found)) == damaged
    assert [row[0] for row in cells(found)] == ids
    assert re.search(r"line \d", errors(found)[damaged[0]])


def test_a_quoted_text_of_lines_is_one_cell(tmp_path: Path) -> None:
    text = 'sku,description\n1,"Sizes:\nS, M\nL, XL\n\n* crisp"\n2,"a ""b""\n"\n'
    found = written(tmp_path, text)
    assert [row[1] for row in cells(found)] == ["Sizes:\nS, M\nL, XL\n\n* crisp", 'a "b"\n']


def test_unicode_text_of_excel_is_read(tmp_path: Path) -> None:
    path = tmp_path / "unicode.csv"
    path.write_bytes(b"\xff\xfe" + "sku\tname\r\n1\tبرتقال 🍏\r\n".encode("utf-16-le"))
    assert cells(open_table(path)) == [["1", "برتقال 🍏"]]


def test_a_name_that_stands_twice_is_numbered(tmp_path: Path) -> None:
    found = written(tmp_path, "sku,Meta: x,Meta: x,Meta: x\n1,a,b,c\n")
    assert found.columns == ("sku", "Meta: x", "Meta: x (2)", "Meta: x (3)")
    assert found.written == ("sku", "Meta: x", "Meta: x", "Meta: x")
    assert cells(found) == [["1", "a", "b", "c"]]


def test_names_lose_what_nobody_sees(tmp_path: Path) -> None:
    found = written(tmp_path, '\ufeff\ufeffsku,"Name\n(EN)", Description\u200b \n1,A,b\n')
    assert found.columns == ("sku", "Name (EN)", "Description")


def test_what_stands_above_the_header_is_told(tmp_path: Path) -> None:
    found = written(tmp_path, "Product export,,\nsku,name,price\n1,A,2\n")
    assert "left out above the header: 'Product export'" in found.told


@pytest.mark.parametrize("given", [";", "semicolon"])
def test_a_delimiter_that_is_named_is_taken(tmp_path: Path, given: str) -> None:
    text = "a,b;c\n1,2;3\n"
    assert written(tmp_path, text).columns == ("a", "b;c")
    assert written(tmp_path, text, read_as=ReadAs(delimiter=given)).columns == ("a,b", "c")


@pytest.mark.parametrize("given", ["", "ab", "\n", '"'])
def test_a_delimiter_is_one_character(given: str) -> None:
    with pytest.raises(ValueError, match="not one character"):
        ReadAs(delimiter=given)


def test_a_table_of_twenty_thousand_columns_is_read(tmp_path: Path) -> None:
    names = ["sku", "name", *(f"attr{n}" for n in range(20_000))]
    found = written(tmp_path, ",".join(names) + "\n" + ",".join(["1"] * 20_002) + "\n")
    assert len(found.columns) == 20_002
    assert len(cells(found)[0]) == 20_002


def test_a_header_alone_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match=r"header \(sku, name\) and no rows"):
        written(tmp_path, "\ufeffsku,name\r\n")
