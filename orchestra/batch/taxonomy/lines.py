"""Reads taxonomies of one category a line: Shopify's, Google's, and bare paths.

Shopify: `gid://shopify/TaxonomyCategory/aa-1 : Apparel & Accessories > Clothing`
(github.com/Shopify/product-taxonomy, `dist/en/categories.txt`). Google:
`1604 - Apparel & Accessories > Clothing` (taxonomy-with-ids.en-US.txt, see
support.google.com/merchants/answer/6324436); its file without ids is bare paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from orchestra.batch.taxonomy.tree import Category, Taxonomy, checked
from orchestra.core.errors import InvalidTaxonomy

SHOPIFY = re.compile(r"(?P<id>gid://shopify/TaxonomyCategory/\S+)\s+:\s+(?P<path>.+)")
GOOGLE = re.compile(r"(?P<id>\d+)\s+-\s+(?P<path>.+)")
BARE = re.compile(r"(?P<id>)(?P<path>[^<{]+)")
FORMS = {"Shopify": SHOPIFY, "Google": GOOGLE, "paths": BARE}
LIKE = {
    "Shopify": "gid://shopify/TaxonomyCategory/aa : Apparel & Accessories",
    "Google": "166 - Apparel & Accessories",
    "paths": "Apparel & Accessories > Clothing",
}
VERSION = re.compile(r"#.*?(?:Version|Categories)\s*:\s*(?P<version>\S+)")
STEP = re.compile(r"\s*>\s*")


def read_lines(lines: Iterable[str], where: str) -> Taxonomy:
    """The taxonomy of a text file; its first category decides the form of all.

    Raises `InvalidTaxonomy` with the line for one of another form, a name or id that stands twice,
    and a category whose parent the file does not name.
    """
    version, form = "", None
    found: list[Category] = []
    for number, written in enumerate(lines, 1):
        line = written.strip().lstrip("\ufeff")
        if not line or line.startswith("#"):
            said = VERSION.match(line)
            version = version or (said["version"] if said else "")
            continue
        form = form or _form_of(line)
        match = FORMS[form].fullmatch(line)
        if match is None:
            raise InvalidTaxonomy(
                f"{where}, line {number}: {line[:60]!r} is no category of this file, whose lines "
                f"are like {LIKE[form]!r}. Fetch the file again, or mend the line."
            )
        steps = tuple(STEP.split(match["path"].strip()))
        found.append(Category(steps, match["id"], place=f"line {number}"))
    if form == "paths":
        found = list(_with_parents(found))
    return Taxonomy(checked(found, where, whole=True), version=version)


def _form_of(line: str) -> str:
    return next((name for name, form in FORMS.items() if form.fullmatch(line)), "paths")


def _with_parents(found: Iterable[Category]) -> Iterator[Category]:
    """Bare paths need not name what stands above them; it is there all the same."""
    listed = list(found)
    known = {one.path for one in listed}
    for one in listed:
        for depth in range(1, len(one.path)):
            above = one.path[:depth]
            if above not in known:
                known.add(above)
                yield Category(above, place=one.place)
        yield one
