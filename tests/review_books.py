"""Makes the output folder of a batch as it stands after a run, with every kind of thing to review.

Photos are drawn and texts made up, so a book of any size takes seconds and no model.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from graphs.listing import build
from orchestra.batch.folder import Folder
from orchestra.batch.recipe import Recipe
from orchestra.batch.spec import BatchSpec
from orchestra.batch.tables.table import open_table
from orchestra.book.messages import FinishRow
from orchestra.core.errors import DuplicateId, ImageTruncated
from orchestra.core.job import Budget, CallRecord, ErrorRecord, Evidence, Field, Result, Status
from workers.synthetic.drawn import KINDS, RESERVED_SEED, draw_product

ROOT = Path(__file__).parents[1]
COLUMNS = ("sku", "name", "description", "price", "photo")
FIELDS = ("category", "colour", "material", "brand", "origin", "title")
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
# What is the matter with a row, by its place: a cycle of twelve.
FAULTS = ("conflict", "", "doubt", "", "unsure", "", "", "aside", "", "failed", "", "partial")
HEAT = "0001/0135/0279/0144"


def make_batch(folder: Path, rows: int, photos: int = 24, side_px: int = 320) -> Path:
    """Write a table of `rows` products into `folder`, and the book of its batch; where that is.

    The last row but one is hostile, and the last one has the id of the first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table, out = folder / "products.csv", folder / "out"
    values = [_values(number) for number in range(1, rows + 1)]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(values)
    spec = BatchSpec(
        table=table,
        graph=build,
        fleet="mini",
        recipe=Recipe.load(ROOT / "graphs" / "recipes" / "listing.yaml"),
        text_columns=("name", "description"),
        image_column=("photo",),
        id_column="sku",
        table_hash=open_table(table).fingerprint,
    ).named()
    book_folder = Folder.open(out, spec)
    book_folder.open_account(Budget())
    kinds = [(kind, colour) for kind in sorted(KINDS) for colour in KINDS[kind]]
    keys = [
        book_folder.images.put(
            draw_product(*kinds[n % len(kinds)], seed=RESERVED_SEED + n, size=side_px)
        )
        for n in range(photos)
    ]
    with closing(book_folder.book) as book, book.transaction():
        for number, cells in enumerate(values, 1):
            place = (number - 1) % photos
            kind, colour = kinds[place % len(kinds)]
            result = _result(number, rows, cells, keys[place], (kind.lower(), colour))
            book.do(_finished(number, cells[0], result))
    return out


def _finished(number: int, row_id: str, result: Result) -> FinishRow:
    return FinishRow(
        key=f"key{number}",
        ordinal=number,
        row_id=row_id,
        status=result.status,
        record_json=result.model_dump_json(),
        names=tuple(result.fields),
        source=f"text{number}.photo{number}",
    )


def run_again(out: Path, number: int, change: Callable[[Result], Result]) -> None:
    """Put another record in the place of a row's, as a later run of another source does."""
    with closing(Folder.read(out).book) as book:
        row = next(book.rows(after=number - 1, limit=1))
        result = change(Result.model_validate_json(row.record_json))
        book.do(
            FinishRow(
                key=row.key,
                ordinal=number,
                row_id=row.row_id,
                status=result.status,
                record_json=result.model_dump_json(),
                source="another.one",
                again=True,
            )
        )


def _values(number: int) -> tuple[str, ...]:
    word = ("Fresh", "Classic", "Soft", "Bright", "有机", "Light")[number % 6]
    country = ("Italy", "Spain", "Sweden", "Peru", "Kenya")[number % 5]
    name = f"{word} item {number}"
    text = f"A good product, lot {number}. Made in {country}. Brand: Norrsken. Pure cotton."
    return (f"SKU-{number:06}", name, text, f"{number % 90}.90", f"photos/{number}.jpg")


def _result(
    number: int, rows: int, cells: tuple[str, ...], key: str, shown: tuple[str, str]
) -> Result:
    fault = FAULTS[(number - 1) % len(FAULTS)]
    if number == rows and rows > 1:
        told = f"The id 'SKU-000001' of row {number} is used by row 1 already."
        return Result(status="failed", errors=(ErrorRecord.of("table", DuplicateId(told)),))
    if fault == "failed":
        told = "The image file is truncated (12 bytes not processed). Save it again."
        return Result(status="failed", errors=(ErrorRecord.of("intake", ImageTruncated(told)),))
    text = f"name: {cells[1]}\ndescription: {cells[2]}"
    if number == rows - 1:
        text += f" {HOSTILE}"
    fields = _fields(text, cells, key, shown, fault)
    if number == rows - 1:
        fields["brand"] = _read(text, HOSTILE, 0.31)
    status: Status = "review" if fault in ("conflict", "doubt") else "complete"
    errors: tuple[ErrorRecord, ...] = ()
    if fault == "partial":
        status = "partial"
        errors = (ErrorRecord.of("look", ImageTruncated("The second photo is truncated.")),)
    read = CallRecord(node="read", model="r1", instruction="Extract.", data=text)
    look = CallRecord(node="look", model="vl", instruction="Describe.", images=(key,))
    return Result(status=status, fields=fields, errors=errors, calls=(look, read), images=(key,))


def _fields(
    text: str, cells: tuple[str, ...], key: str, shown: tuple[str, str], fault: str
) -> dict[str, Field]:
    kind, colour = shown
    seen = _seen(key, colour, 0.93)
    if fault in ("conflict", "aside"):
        told = "green" if colour != "green" else "red"
        said = Field(
            value=told,
            source="text",
            confidence=0.9,
            model="r1",
            evidence=_evidence(text, "good"),
            alternatives=(seen,),
            contradiction=fault == "conflict",
            note=f"the photo says {colour!r} (0.93) against the text says {told!r} (0.90)",
        )
        seen = said
    elif fault == "doubt":
        seen = seen.model_copy(update={"doubt": "calibrated 0.81 < 0.95 promised 0.95"})
    country = text.partition("Made in ")[2].partition(".")[0]
    return {
        "category": _seen(key, kind, 0.31 if fault == "unsure" else 0.97, (0.2, 0.15, 0.8, 0.9)),
        "colour": seen,
        "material": _read(text, "cotton", 0.99),
        "brand": _read(text, "Norrsken", 0.98),
        "origin": _read(text, country, 0.97),
        "title": Field(value=f"{cells[1]} in {seen.value}", source="derived", confidence=0.9),
    }


def _seen(
    key: str,
    value: str,
    sure: float,
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
) -> Field:
    proof = Evidence(kind="image", image=key, box=box, heat=HEAT)
    return Field(value=value, source="photo", confidence=sure, model="vl", evidence=(proof,))


def _read(text: str, value: str, sure: float) -> Field:
    return Field(
        value=value, source="text", confidence=sure, model="r1", evidence=_evidence(text, value)
    )


def _evidence(text: str, quote: str) -> tuple[Evidence, ...]:
    start = text.find(quote)
    return (Evidence(kind="text", text=quote, start=start, end=start + len(quote)),)
