"""Asks for labels in a terminal, one field at a time; it knows no file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestra.core.job import Field
from orchestra.core.values import text_of
from orchestra.label.session import LabelQuestion, LabelSession

Read = Callable[[str], str]
Write = Callable[[str], None]
HELP = "Enter or a: right   c VALUE: correct   n: there is none   s: skip   b: back   q: quit"
MOST_CHARS = 600


def ask_all(
    session: LabelSession, read: Read, write: Write, places: Callable[[str], str | None]
) -> bool:
    """Ask what is still open; True when nothing is. `places` tells where a photo's file is.

    `read` is given a prompt, and raises EOFError or KeyboardInterrupt to end.
    """
    questions = session.questions()
    at, last_row = session.open_at, ""
    write(HELP)
    while at < len(questions):
        question = questions[at]
        if question.row.row_id != last_row:
            last_row = question.row.row_id
            for line in _row_lines(session, question, places):
                write(line)
        write("")
        for line in _field_lines(question):
            write(line)
        try:
            given = read(f"[{at + 1}/{len(questions)}] ")
        except (EOFError, KeyboardInterrupt):
            return False
        step = _take(session, question, given.strip(), write)
        if step is None:
            return False
        at = max(0, at + step)
    return True


def _take(session: LabelSession, question: LabelQuestion, given: str, write: Write) -> int | None:
    """Keep what was typed; how many questions to go on by, None to quit."""
    command, _, rest = given.partition(" ")
    value = rest.strip()
    if command in ("q", "quit"):
        return None
    if command in ("b", "back"):
        return -1
    if command in ("", "a", "accept") and not value:
        session.answer(question, "accepted")
    elif command in ("n", "none") and not value:
        session.answer(question, "nothing")
    elif command in ("s", "skip") and not value:
        session.answer(question, "skipped")
    elif command in ("c", "correct") and value:
        session.answer(question, "corrected", value)
        kept = question.row.values[question.name]
        if not session.is_listed(question.name, kept):
            write(f"kept as {kept!r}, which the recipe does not list; b goes back")
    else:
        write(f"{given!r} is no answer. {HELP}")
        return 0
    return 1


def _row_lines(
    session: LabelSession, question: LabelQuestion, places: Callable[[str], str | None]
) -> Sequence[str]:
    result = session.results[question.row.row_id]
    texts = dict.fromkeys(call.data for call in result.calls if call.data and not call.images)
    lines = ["", f"row {question.row.row_id}"]
    lines += [f"why    {question.why}"] * bool(question.why)
    lines += [f"photo  {place}" for key in result.images if (place := places(key))]
    lines += [f"text   {_cut(text)}" for text in list(texts)[:1]]
    return lines


def _field_lines(question: LabelQuestion) -> Sequence[str]:
    field, lines = question.field, [f"{question.name}: {_value(question.field)}"]
    if field.note:
        lines.append(f"  note: {field.note}")
    said = (one.text for one in field.evidence if one.kind == "text")
    lines += [
        f"  said by the text: {'as a whole' if text is None else repr(text)}" for text in said
    ]
    regions = [one.box for one in field.evidence if one.kind == "image" and one.box is not None]
    lines += [f"  seen in the photo at {_box(box)}" for box in regions]
    lines += [f"  other reading: {_value(other)}" for other in field.alternatives]
    if question.name in question.row.states:
        kept = question.row.values.get(question.name, "-")
        lines.append(f"  answered before: {question.row.states[question.name]} {kept}")
    return lines


def _value(field: Field) -> str:
    if not field.answered:
        return "(left open)"
    sure = "confidence unknown" if field.confidence is None else f"{field.confidence:.2f}"
    return f"{text_of(field.value)}  [{field.source}, {sure}, {field.model}]"


def _box(box: tuple[float, float, float, float]) -> str:
    if box == (0.0, 0.0, 1.0, 1.0):
        return "(the whole of it)"
    return "left {:.0%}, top {:.0%}, right {:.0%}, bottom {:.0%}".format(*box)


def _cut(text: str) -> str:
    plain = text.replace("\n", "\n       ")
    return plain if len(plain) <= MOST_CHARS else f"{plain[:MOST_CHARS]}..."
