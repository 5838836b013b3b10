"""Texts drawn over the whole of a table, by which a model tells what choices mean there.

Which they are depends on the table alone, so a row's answer does not on when it is run; they are
kept in the batch's book, for the runs that go on with it.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterator

from orchestra.batch.folder import Folder
from orchestra.batch.request import Request
from orchestra.core.card import FleetFile
from orchestra.core.labels import named_choices
from orchestra.core.text import clip, sanitise
from orchestra.routing.introspect import view

KEY = "beside"
MOST, FEWEST = 256, 30
LONGEST = 600  # characters of each


def texts_beside(file: FleetFile, request: Request, folder: Folder) -> tuple[str, ...]:
    """The texts of the table of `request`; none where no model would read a choice by them.

    A table of fewer than FEWEST different texts says nothing of what they have in common.
    """
    settles = any(card.settles for card in file.models)
    if not settles or not request.spec.columns.text or not _has_choices(request):
        return ()
    kept = folder.book.meta(KEY)
    if kept is None:
        kept = json.dumps(_drawn(request), ensure_ascii=False)
        folder.book.set_meta(KEY, kept)
    return tuple(json.loads(kept))


def _has_choices(request: Request) -> bool:
    """Whether an ask of the graph chooses a field's value among names."""
    schemas = [ask.schema_json for ask in view(request.graph).asks.values()]
    return any(named_choices(schema) for schema in schemas if schema is not None)


def _drawn(request: Request) -> list[str]:
    """At most MOST different texts, wherever in the table they stand."""
    kept: dict[bytes, str] = {}
    for text in _texts(request):
        kept[hashlib.sha256(text.encode()).digest()] = text
        if len(kept) >= 4 * MOST:  # the table may be longer than memory
            kept = dict(heapq.nsmallest(MOST, kept.items()))
    drawn = [text for _, text in heapq.nsmallest(MOST, kept.items())]
    return drawn if len(drawn) >= FEWEST else []


def _texts(request: Request) -> Iterator[str]:
    columns, language = request.spec.columns, request.spec.language or "auto"
    for row in request.table.rows():
        if row.error is not None:
            continue
        text = sanitise(columns.job(row, language).text or "").strip()
        if text:
            yield clip(text, LONGEST)
