"""How fields and results are told to people: in a line or three, and as a table of a notebook.

It is given a `Field` or a `Result` and reads it; `orchestra.core.job` has both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from orchestra.core.values import dollars, duration, shown
from orchestra.core.view.notebook import Row, folded_away, head, line, table, view

MOST_CHARS, VALUE_CHARS, NOTE_CHARS = 160, 60, 100
SOURCES = {"both": "photo + text", "none": ""}
WHOLE = (0.0, 0.0, 1.0, 1.0)
FIELDS = ("field", "value", "source", "sure", "rests on")


def field_line(field: Any) -> str:
    """A field in one line: its value, where it comes from, and what to know of it."""
    if not field.answered:
        return f"no answer: {clipped(field.note or 'nothing was said', NOTE_CHARS)}"
    sure = "" if field.confidence is None else f" {field.confidence:.2f}"
    known = f"{SOURCES.get(field.source, field.source)}{sure}"
    if field.contradiction:
        others = " and ".join(repr(other.value) for other in field.alternatives)
        known += f", CONTRADICTS {clipped(others, VALUE_CHARS)}"
    if field.doubt:
        known += f", for review: {clipped(field.doubt, NOTE_CHARS)}"
    return f"{clipped(repr(field.value), VALUE_CHARS)} ({known})"


def result_lines(result: Any) -> str:
    """A result in up to three lines: how it ended, what it says, what went wrong or is asked."""
    lines = [f"Result({', '.join(_facts(result))})"]
    said = [f"{name}={field_line(field)}" for name, field in result.fields.items()]
    if not said and result.answer is not None:
        said = [repr(result.answer)]
    if said:
        lines.append(f"  {clipped('; '.join(said), MOST_CHARS)}")
    asked = [f"asks {clipped(repr(one.value), NOTE_CHARS)}" for one in result.questions]
    wrong = [f"{one.stage}: {one.type}: {one.message}" for one in result.errors]
    if asked or wrong:
        more = f" (and {len(asked + wrong) - 1} more)" if len(asked + wrong) > 1 else ""
        lines.append(f"  {clipped((asked + wrong)[0], MOST_CHARS)}{more}")
    return "\n".join(lines)


def result_html(result: Any) -> str:
    """A result as a notebook shows it."""
    facts = list(_facts(result))
    answer = None
    if result.answer is not None and "answer" not in result.fields:
        answer = Markup('<p class="say">{}</p>').format(result.answer)
    rows = [row for name, field in result.fields.items() for row in _rows(name, field)]
    return view(
        head("Result", facts[1:], result.status),
        answer,
        table(FIELDS, rows, numbers=(3,)) if rows else None,
        *(line("asks", shown(one.value)) for one in result.questions),
        *(line(one.stage, Markup('<span class="clash">{}</span> {}').format(one.type, one.message))
          for one in result.errors),
        *(line("note", note) for note in result.notes),
        folded_away("calls", map(_call_row, result.calls)),
    )  # fmt: skip


def _facts(result: Any) -> Iterator[str]:
    yield result.status
    yield dollars(result.cost_usd)
    yield duration(result.seconds)
    if result.calls:
        models = dict.fromkeys(call.model for call in result.calls)
        yield f"{len(result.calls)} call{'s' * (len(result.calls) > 1)} of {' and '.join(models)}"
    if result.contradictions:
        yield f"{result.contradictions} contradiction{'s' * (result.contradictions > 1)}"


def _rows(name: str, field: Any) -> Iterator[Row]:
    """A field, and of a contradiction its other readings."""
    if not field.answered:
        note = Markup('<span class="quiet">{}</span>').format(field.note or "nothing was said")
        yield name, Markup('<span class="quiet">no answer</span>'), "", "", note
        return
    yield (name, *_cells(field), _proofs(field))
    if field.contradiction:
        for other in field.alternatives:
            label = Markup('<span class="clash">contradicts</span>')
            yield (label, *_cells(other), _proofs(other, with_note=False))


def _cells(field: Any) -> Row:
    sure = "" if field.confidence is None else f"{field.confidence:.2f}"
    source = str(field.source)
    return shown(field.value, "; "), SOURCES.get(source, source), sure


def _proofs(field: Any, *, with_note: bool = True) -> Markup:
    parts = [_proof(proof) for proof in field.evidence]
    notes = (field.doubt and f"for review: {field.doubt}", field.note if with_note else None)
    parts += [Markup('<span class="quiet">{}</span>').format(note) for note in notes if note]
    return Markup("<br>").join(parts)


def _proof(proof: Any) -> Markup:
    leaf = Markup('<span class="quiet">{}</span> ').format(proof.leaf) if proof.leaf else ""
    if proof.kind == "image":
        left, top, right, bottom = proof.box or WHOLE
        part = "photo"
        if (left, top, right, bottom) != WHOLE:
            part = f"photo, x {left:.0%} to {right:.0%}, y {top:.0%} to {bottom:.0%}"
        shown_part = Markup('{}<span title="{}">{}</span>').format(leaf, proof.image or "", part)
        if not proof.text:
            return shown_part
        return Markup("{}: <mark>{}</mark>").format(shown_part, proof.text)
    if proof.text is None:
        return Markup("{}the whole text").format(leaf)
    form = Markup('{}<mark title="characters {} to {}">{}</mark>')
    return form.format(leaf, proof.start, proof.end, proof.text)


def _call_row(call: Any) -> Row:
    work = f"{call.input_tokens} tokens in, {call.output_tokens} out"
    return call.node, call.model, work, dollars(call.cost_usd), duration(call.seconds)


def clipped(text: str, most: int) -> str:
    """`text` on one line, cut with an ellipsis."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def counts(numbers: Mapping[str, int]) -> str:
    """`34 complete, 2 failed`: what there is of each."""
    return ", ".join(f"{count} {name}" for name, count in numbers.items() if count) or "none"
