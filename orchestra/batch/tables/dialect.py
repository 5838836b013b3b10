"""Finds out how delimited text is written: delimiter, quotes, and the line of the header. Pure."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from orchestra.batch.tables.formats import ALL
from orchestra.batch.tables.records import NO_DELIMITER, Dialect, Record, records
from orchestra.batch.tables.template import rows_above

DELIMITERS = ",;\t|"
RARE = "^~¦\x01"  # of old systems; only where each row has as many as the first
NAMES = {
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
    "|": "pipes",
    "^": "carets",
    "~": "tildes",
    "¦": "broken bars",
    "\x01": r"control characters (\x01)",
    NO_DELIMITER: "nothing",
}
SAMPLE_RECORDS, SAMPLE_CHARS = 200, 1 << 18
MOST_BANNERS = 20
SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=(.)"?[,;\t| ]*[\r\n]*', re.IGNORECASE)
REMARK = re.compile(r"#\s*[^\W\d_]{2}")  # "#INFO,Version=1", not a column "#" of numbers
NUMBER = re.compile(r"[^\w]*[\d.,:/ -]+%?[^\w]*")
WORDS = """
id sku name title description price text image photo picture url link brand vendor category type
colour color size weight stock quantity qty ean gtin upc barcode mpn code number product item
article artikel artikelnummer nummer bezeichnung beschreibung preis nom prix marque nombre precio
descripcion descripción 编号 名称 描述 价格 图片 品牌 商品名称 商品描述 品番 商品名 価格
"""
HEADER_WORDS = frozenset(WORDS.split()) | frozenset(
    name
    for one in ALL.values()
    for names in (*one.marks, one.text, one.images, one.ids)
    for name in names
)


@dataclass(frozen=True, slots=True)
class TextLayout:
    """How a file is laid out: its dialect, records before the header, and whether its first line
    only names the delimiter."""

    dialect: Dialect
    banners: tuple[str, ...] = ()
    has_separator_line: bool = False


def layout_of(sample: str, *, prefers_tabs: bool, delimiter: str | None = None) -> TextLayout:
    """The layout of a file that begins with `sample`, of whole lines."""
    named = SEPARATOR_LINE.match(sample)
    if named:
        sample = sample[named.end() :]
        delimiter = delimiter or named[1]
    found = _dialect(sample, prefers_tabs, delimiter)
    banners = banners_of([record.cells for record in _read(sample, found)])
    return TextLayout(found, banners, has_separator_line=named is not None)


@dataclass(frozen=True, slots=True)
class _Trial:
    """How well a dialect does: records as wide as most, and those whose quotes break its rules."""

    agreeing: float
    width: int
    broken: int


def _dialect(sample: str, prefers_tabs: bool, delimiter: str | None) -> Dialect:
    order = "\t,;|" if prefers_tabs else DELIMITERS
    signs = delimiter or order
    tried = [(Dialect(sign), _try(sample, Dialect(sign))) for sign in signs]
    # Only where no other delimiter makes a table may text between commas be one column.
    best, trial = max(tried, key=lambda pair: (pair[1].agreeing, pair[1].width))
    if trial.width < 2 and (wrapped := _wrapped(sample, prefers_tabs, delimiter)):
        return wrapped
    if delimiter is None and trial.width < 2:
        rare = [Dialect(sign) for sign in RARE if sign in sample]
        return next((one for one in rare if _is_even(_try(sample, one))), Dialect(NO_DELIMITER))
    return _quoted(sample, best, trial)


def _is_even(trial: _Trial) -> bool:
    return trial.width > 1 and trial.agreeing == 1 and not trial.broken


def _wrapped(sample: str, prefers_tabs: bool, delimiter: str | None) -> Dialect | None:
    """The dialect of lines that are each quoted whole; None where they are not."""
    found = _read(sample, Dialect(NO_DELIMITER))
    if not found or not all(record.raw.startswith('"') for record in found):
        return None
    inner = "".join(f"{record.cells[0]}\n" for record in found)
    if inner == sample or all(record.raw.strip() == record.cells[0] for record in found):
        return None
    dialect = _dialect(inner, prefers_tabs, delimiter)
    return None if dialect.delimiter == NO_DELIMITER else Dialect(dialect.delimiter, wrapped=True)


def _quoted(sample: str, plain: Dialect, trial: _Trial) -> Dialect:
    """The dialect with what its quotes mean."""
    sign = plain.delimiter
    others: list[Dialect] = []
    if f'{sign} "' in sample:
        others.append(Dialect(sign, spaced=True))
    if '\\"' in sample:
        others.append(Dialect(sign, "escaped"))
    if sign in "\t|" and trial.broken:
        others.append(Dialect(sign, "nothing"))
    best = plain
    for other in others:
        result = _try(sample, other)
        if (result.broken, -result.agreeing) < (trial.broken, -trial.agreeing):
            best, trial = other, result
    return best


def _read(sample: str, dialect: Dialect) -> list[Record]:
    return list(islice(records(io.StringIO(sample, newline=""), dialect), SAMPLE_RECORDS))


def _try(sample: str, dialect: Dialect) -> _Trial:
    found = _read(sample, dialect)
    filled = [record for record in found if any(map(str.strip, record.cells))]
    if not filled:
        return _Trial(0.0, 0, 0)
    widths = [len(record.cells) for record in filled]
    broken = sum(record.is_mended or record.error is not None for record in filled)
    header = widths[len(banners_of([record.cells for record in filled]))]
    width = Counter(widths).most_common(1)[0][0] if header == 1 else header
    if header == 1:
        return _Trial(0.0, 1, broken)
    return _Trial(sum(one == width for one in widths) / len(widths), width, broken)


def banners_of(found: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What stands above the header: remarks, and lines of a cell or two, before one of names that
    are known."""
    above: list[str] = []
    filled = [cells for cells in found if any(map(str.strip, cells))]
    if count := rows_above(filled):  # of a template its labels would pass for the header
        return tuple(_line(cells) for cells in filled[:count]) if count + 1 < len(filled) else ()
    for at, cells in enumerate(filled[: MOST_BANNERS + 1]):
        if _is_header(cells):
            is_last = at + 1 == len(filled)
            return tuple(above) if above and not is_last else ()
        if not _is_banner(cells):
            return ()
        above.append(_line(cells))
    return ()


def _line(cells: Sequence[str]) -> str:
    return " ".join(cell.strip() for cell in cells if cell.strip())


def _is_header(cells: Sequence[str]) -> bool:
    names = [cell.strip().casefold() for cell in cells]
    filled = [name for name in names if name]
    return (
        len(filled) >= 2
        and len(filled) * 2 > len(names)
        and any(name in HEADER_WORDS for name in filled)
        and not any(NUMBER.fullmatch(name) for name in filled)
    )


def _is_banner(cells: Sequence[str]) -> bool:
    filled = [at for at, cell in enumerate(cells) if cell.strip()]
    names = [cells[at].strip().casefold() for at in filled]
    is_pair = len(filled) == 2 and (len(cells) > 3 or names[0].endswith(":"))
    is_short = len(filled) == 1 or is_pair
    if names and REMARK.match(names[0]):
        return True
    return is_short and filled[0] == 0 and not any(name in HEADER_WORDS for name in names)
