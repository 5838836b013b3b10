"""Where the names of an Amazon template stand: below a row of settings and a row of labels.

Its first row begins with `TemplateType=`, or has a cell `settings=…&attributeRow=3&dataRow=4`; the
labels below are in the seller's language, so the row of names is the one that has a SKU's. So it is
in what others made of templates that they downloaded: bizuno.com/downloads (the Amazon interface of
Bizuno, with a template's rows and its page "Using your Inventory File Template") and the plugin
Product Feed Manager for WooCommerce, which writes all three rows. Older templates, as
`TemplateType=Clothing Version=1.4`, have no labels.
"""

from __future__ import annotations

from collections.abc import Sequence

FIRST = "templatetype="
SETTINGS = "settings="
SKUS = ("item_sku", "sku", "contribution_sku#1.value")
MOST_ABOVE = 6


def is_template(cells: Sequence[str]) -> bool:
    """Whether a table that begins with `cells` is a template, empty or filled."""
    told = [cell.strip().lstrip("\ufeff").casefold() for cell in cells]
    is_first = bool(told) and told[0].startswith(FIRST)
    return is_first or any(one.startswith(SETTINGS) and "attributerow=" in one for one in told)


def rows_above(found: Sequence[Sequence[str]]) -> int:
    """How many of the first rows stand above the names of a template; 0 where it is none."""
    if not found or not is_template(found[0]):
        return 0
    for at, cells in enumerate(found[1 : MOST_ABOVE + 1], 1):
        if any(cell.strip().casefold() in SKUS for cell in cells):
            return at
    return 0
