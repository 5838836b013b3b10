"""Writes the page on which labels are given, and reads back what was downloaded from it.

The page makes no request: styles, script and pictures stand in it, as in the report.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

from jinja2 import Environment
from markupsafe import Markup

from orchestra.batch.tables.gold import NOTHING
from orchestra.core.errors import InvalidTable
from orchestra.core.files.atomic import write_text
from orchestra.label.session import LabelSession, Verdict, text_read
from orchestra.pages.regions import data_uri
from orchestra.pages.templates import inlined, script_hash, templates

COLUMNS = ("id", "field", "verdict", "value")


def write_page(session: LabelSession, path: Path, thumbnail: Callable[[str], bytes | None]) -> None:
    """Write the page of every question to `path`; answers given before are filled in."""
    rows: dict[str, dict[str, Any]] = {}
    for question in session.questions():
        result = session.results[question.row.row_id]
        row = rows.setdefault(
            question.row.row_id,
            {
                "id": question.row.row_id,
                "photos": [
                    data_uri(kept, "jpeg") for key in result.images if (kept := thumbnail(key))
                ],
                "text": text_read(result),
                "why": question.why,
                "questions": [],
            },
        )
        state = question.row.states.get(question.name, "")
        value = question.row.values.get(question.name, "") if state == "corrected" else ""
        row["questions"].append({"asked": question, "state": state, "value": value})
    for row in rows.values():
        row["parts"] = list(marked(row["text"], _spans(row["text"], row["questions"])))
    terms = {name: sorted(set(words.values())) for name, words in session.terms.items()}
    page = _environment().get_template("page.html.j2")
    text = page.render(
        rows=list(rows.values()),
        terms={name: terms[name] for name in session.fields if name in terms},
        title=session.path.name,
        batch=_name_of(session),
        style=_part("page.css"),
        script=_part("page.js"),
        script_hash=script_hash(_part("page.js")),
    )
    write_text(path, text, durable=False)


def read_page(session: LabelSession, path: Path) -> int:
    """Take the answers of a downloaded file into `session`; how many there were.

    Raises `InvalidTable` for a file of another shape, another batch or an unknown verdict.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as cause:
        raise InvalidTable(
            f"{str(path)!r} cannot be read: {cause}. Give the file that the page saved."
        ) from cause
    rows = _rows(text, path)
    questions = {(one.row.row_id, one.name): one for one in session.questions()}
    given: list[tuple[Any, Verdict, str]] = []
    for row in rows:
        question = questions.get((row["id"], row["field"]))
        if question is None:
            raise InvalidTable(
                f"{str(path)!r} answers {row['field']!r} of row {row['id']!r}, which "
                f"{session.path.name!r} does not ask. Give the page's own gold set with --out."
            )
        given.append((question, _verdict(row, path), row["value"]))
    session.answer_all(given)
    return len(given)


def _rows(text: str, path: Path) -> list[dict[str, str]]:
    """The rows of a downloaded file; a cell that is missing is empty."""
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    try:
        columns, rows = tuple(reader.fieldnames or ()), list(reader)
    except csv.Error as cause:
        raise InvalidTable(
            f"{str(path)!r} is damaged near line {reader.line_num}: {cause}. Save it from the "
            "page again."
        ) from cause
    if columns != COLUMNS:
        raise InvalidTable(
            f"{str(path)!r} has the columns {columns!r}, not {', '.join(COLUMNS)}. Give the file "
            "that the page saved; tables with true values go to --gold."
        )
    return rows


def _verdict(row: Mapping[str, str], path: Path) -> Verdict:
    verdict = row["verdict"]
    if verdict not in get_args(Verdict) or (verdict == "corrected" and not row["value"].strip()):
        raise InvalidTable(
            f"{str(path)!r} has the verdict {verdict!r} with the value {row['value']!r} in row "
            f"{row['id']!r}. A verdict is one of {', '.join(get_args(Verdict))}; a correction has "
            f"a value ({NOTHING!r} is written as nothing)."
        )
    return cast(Verdict, verdict)


def _name_of(session: LabelSession) -> str:
    """Tells the page's own memory of one gold set from that of another."""
    ids = "\n".join(row.row_id for row in session.drawn)
    return hashlib.sha256(ids.encode()).hexdigest()[:12]


def _spans(text: str, questions: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Where the answers stand in `text`, in order. Offsets count in the job's own text, which a
    long prompt may have cut, so a span that is not at its place is looked for."""
    found: list[tuple[int, int]] = []
    for entry in questions:
        for proof in entry["asked"].field.evidence:
            if proof.kind != "text" or not proof.text:
                continue
            start = proof.start if proof.start is not None else -1
            if start < 0 or text[start : start + len(proof.text)] != proof.text:
                start = text.find(proof.text)
            if start >= 0:
                found.append((start, start + len(proof.text)))
    return sorted(found)


def marked(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """`text` in parts, each with whether an answer rests on it; spans that overlap are one."""
    at = 0
    for start, end in spans:
        start = max(start, at)
        if end <= start:
            continue
        if start > at:
            yield {"text": text[at:start], "is_evidence": False}
        yield {"text": text[start:end], "is_evidence": True}
        at = end
    if at < len(text):
        yield {"text": text[at:], "is_evidence": False}


@cache
def _environment() -> Environment:
    return templates("orchestra.label", ".")


def _part(name: str) -> Markup:
    return inlined(Path(__file__).with_name(name))
