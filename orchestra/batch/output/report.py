"""Writes the report of a batch as an HTML page; it knows no model and no graph.

A small table's page is one self-contained file, which makes no request: styles, script and
pictures stand in it. The rows of a larger table lie in a folder beside the page, from which it
loads those that are looked at. The content security policy allows nothing else, and product text
is escaped by the template. Memory is bounded, whatever the table's size.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from orchestra.batch.duplicates.groups import NONE_FOUND, Groups
from orchestra.batch.output.report_digest import Digest
from orchestra.batch.output.report_pages import FOLDER, PAGE_ROWS, drop_sets, entry_of, pages
from orchestra.batch.output.report_view import view_row
from orchestra.batch.output.report_words import said, word, words_json
from orchestra.batch.output.rows import REJECTED, OutputRow
from orchestra.batch.output.summary import promise_lines
from orchestra.batch.output.thumbnails import link_of
from orchestra.batch.parked import WAITING
from orchestra.batch.plan.batch_plan import money
from orchestra.core.card import Card
from orchestra.core.files.atomic import atomic_file
from orchestra.core.values import duration
from orchestra.pages.templates import inlined, script_hash, templates

TABLE, CARD = "products.csv", "report_card.html.j2"
STATUSES = ("complete", "review", "partial", WAITING, "failed", REJECTED)
INLINE_ROWS = 300  # a page with more is slow to open, and its rows lie beside it
MOST_ROWS = 100_000  # beyond, an index of them is too much for a browser
MOST_ERRORS = 100  # in the list of errors; each row has its own as well


def write_report(
    path: Path,
    *,
    title: str,
    summary: Mapping[str, Any],
    rows: Iterable[OutputRow],
    models: Sequence[Card],
    thumbnail: Callable[[str], bytes | None],
    kin: Groups = NONE_FOUND,
    inline_rows: int = INLINE_ROWS,
    most_rows: int = MOST_ROWS,
) -> None:
    """Write the page to `path`, replacing it whole or not at all.

    `summary` is the content of summary.json. `rows` is read once; those without a result are left
    out. `models` say what they can and cannot do. `thumbnail` maps a content hash to a small
    picture (JPEG, PNG, WebP or GIF bytes), or None when there is none. `kin` are the duplicates
    among the rows. More than `inline_rows` rows lie in the folder `report_files` beside the page,
    as do their pictures; beyond `most_rows` those that need a person are shown, and the page says
    how many are missing.

    Raises `DiskFull`, or `OSError` when the files cannot be written for another reason.
    """
    done = (row for row in rows if row.result is not None)
    first = list(islice(done, inline_rows + 1))
    about = {"title": title, "summary": summary, "models": models}
    if len(first) <= inline_rows:
        _write_whole(path, about, first, thumbnail, kin)
    else:
        _write_beside(path, about, chain(first, done), thumbnail, kin, most_rows)


def _write_whole(
    path: Path,
    about: Mapping[str, Any],
    rows: Sequence[OutputRow],
    thumbnail: Callable[[str], bytes | None],
    kin: Groups,
) -> None:
    """One file, with a card for each row in the table's order."""
    digest = Digest()
    reasons = {row.row.ordinal: digest.add(row) for row in rows}
    views = (view_row(row, thumbnail, kin=kin.of(row.row.ordinal)) for row in rows)
    errors = list(islice(_errors(rows), MOST_ERRORS))
    told = {"cards": views, "reasons": reasons, "shown": len(rows), "beside": None}
    _write_page(path, {**about, **told, "digest": digest, "errors": errors, "kin": kin})
    drop_sets(path.parent / FOLDER)


def _write_beside(
    path: Path,
    about: Mapping[str, Any],
    rows: Iterable[OutputRow],
    thumbnail: Callable[[str], bytes | None],
    kin: Groups,
    most_rows: int,
) -> None:
    """A page with its rows in a folder of its own, so that an earlier page keeps its own."""
    digest, errors, numbers = Digest(), list[dict[str, Any]](), dict[str, int]()
    card: Callable[..., str] = vars(_environment().get_template(CARD).module)["card"]
    token = secrets.token_hex(6)
    name = f"set-{token}"
    try:
        with pages(path.parent, most_rows) as kept:
            for row in rows:
                why = [numbers.setdefault(one, len(numbers)) for one in digest.add(row)]
                errors += islice(_errors([row]), max(0, MOST_ERRORS - len(errors)))
                if not kept.takes(row):
                    continue
                view = view_row(row, thumbnail, link=_linked, kin=kin.of(row.row.ordinal))
                kept.add(row, entry_of(view, why), card(view, ()))
            kept.write(path.parent / FOLDER / name, list(numbers))
        told = {"cards": (), "reasons": {}, "shown": len(kept), "beside": f"{FOLDER}/{name}"}
        _write_page(path, {**about, **told, "digest": digest, "errors": errors, "kin": kin})
    except BaseException:
        drop_sets(path.parent / FOLDER, only=token)
        raise
    drop_sets(path.parent / FOLDER, but=token)


def _write_page(path: Path, told: Mapping[str, Any]) -> None:
    summary = told["summary"]
    promise = summary["promise"]
    stream = (
        _environment()
        .get_template("report.html.j2")
        .stream(
            **told,
            statuses=STATUSES,
            table=TABLE,
            page_rows=PAGE_ROWS,
            pending=summary["rows"] - sum(summary[status] for status in STATUSES),
            promised=promise_lines(promise, summary["rows"]) if promise else [],
        )
    )
    stream.enable_buffering(64)
    with atomic_file(path, durable=False) as file:
        file.writelines(chunk.encode("utf-8") for chunk in stream)


def _linked(key: str, content: bytes, kind: str) -> str:
    return f"{FOLDER}/{link_of(key)}"


def _errors(rows: Iterable[OutputRow]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for error in row.outcome.errors:
            yield {"ordinal": row.row.ordinal, "row_id": row.row_id, "error": error}


@cache
def _environment() -> Environment:
    environment = templates("orchestra.batch.output", ".", figure=figure, lines=lines_of)
    environment.globals.update(
        asset=_asset, script_hash=script_hash, w=word, wa=said, words_json=words_json
    )
    return environment


def _asset(name: str) -> Markup:
    return inlined(Path(__file__).with_name(name))


def figure(value: float, name: str) -> str:
    """A figure of a plan, `spend_usd`, `seconds` or a share, as people read it."""
    if name == "seconds":
        return duration(value)
    return money(value) if name.endswith("_usd") else f"{value:.1%}"


def lines_of(text: str) -> list[str]:
    """The items of a list that was written as text, without their bullets."""
    return [bare for line in text.splitlines() if (bare := line.strip(" -•*\t"))]
