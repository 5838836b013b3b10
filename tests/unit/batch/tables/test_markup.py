"""What a cell says: HTML by a parser, filler and labels left out, signs of no markup kept."""

from __future__ import annotations

import pytest

from orchestra.batch.columns import Columns
from orchestra.batch.tables.markup import words_of
from orchestra.batch.tables.row import Row

SAYS = {
    "<p>Green &amp; ripe&nbsp;pear.<br>Weight: 180&#160;g</p><ul><li>Colour: green</li></ul>": (
        "Green & ripe pear.\nWeight: 180 g\nColour: green"
    ),
    '<div style="color:red"><span class="cotton-box">Ripe</span> pear</div>': "Ripe pear",
    "<style>p{color:red}</style><script>let red = 1</script>Pear<!-- cotton -->": "Pear",
    '<img alt="red cotton" src="red.jpg"><p title="red">Pear</p>': "Pear",
    "<table><tr><th>Size</th><td>M</td></tr><tr><td>Fit</td><td>slim</td></tr></table>": (
        "Size M\nFit slim"
    ),
    "M&amp;M&#39;s": "M&M's",
    "a, b &amp;nbsp; c": "a, b c",
    "&lt;p&gt;Soft &lt;b&gt;pear&lt;/b&gt;&lt;/p&gt;": "Soft pear",
    "<p>Ripe &lt;yellow&gt;</p>": "Ripe <yellow>",
    "<p>unclosed <b>bold": "unclosed bold",
    "a < b, <3 and x<y>z": "a < b, <3 and x<y>z",
    "Tom & Jerry; AT&T": "Tom & Jerry; AT&T",
    "32\" TV, 5' x 7'": "32\" TV, 5' x 7'",
    "two\nlines\r\n  of text": "two lines of text",
    "soft\u00adhy\u200bphen": "softhyphen",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit. A green apple.": "A green apple.",
    "Lorem ipsum is a brand of pens and paper": "Lorem ipsum is a brand of pens and paper",
    "Free shipping on orders over 50 USD! A shirt. 30-day money-back guarantee.": "A shirt.",
    "<p>Red shirt</p><p><a>Add to cart</a></p><p>Free returns</p>": "Red shirt",
    "红色衬衫。全场包邮。七天无理由退货！": "红色衬衫。",
    "Free shipping, made in Sweden.": "Free shipping, made in Sweden.",
    "A bag to carry, with more to read. 1.5 kg": "A bag to carry, with more to read. 1.5 kg",
    "Description: green": "green",
    "Description": "",
    "Descriptions vary": "Descriptions vary",
    "描述说明": "描述说明",
    "n/a": "",
    "-": "",
    "TBD": "",
    "No description available.": "",
    "Default Title": "",
    "暂无描述": "",
    "None of these": "None of these",
    "<p>&nbsp;</p>": "",
}


@pytest.mark.parametrize("cell", SAYS)
def test_a_cell_says(cell: str) -> None:
    assert words_of(cell, "description") == SAYS[cell]


def test_a_job_has_no_markup_and_no_line_that_says_nothing() -> None:
    columns = Columns(("Title", "Body (HTML)", "note"), (), None)
    row = Row(1, {"Title": "Title: Pear", "Body (HTML)": '<p>Ripe</p><p>32"</p>', "note": "n/a"})
    assert columns.job(row, "en").text == 'Title: Pear\ndescription: Ripe\n32"'


def test_markup_that_never_ends_is_read_quickly() -> None:
    assert words_of("<div>" * 50_000 + "pear") == "pear"
    assert words_of("<" * 50_000 + "x").count("<") == 50_000
    assert words_of("&amp;" * 50_000 + "x").count("&") == 50_000
