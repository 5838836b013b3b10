"""Who wrote a field, who reviewed it, and the labels that laws want of what a model wrote.

China: GB 45438-2025 and the Measures for Labeling AI-Generated Content (both in force since
2025-09-01). A text bears words with "人工智能" or "AI" and "生成" or "合成" at its beginning, its
end or between (the explicit label), and its file an object `AIGC` with the fields Label,
ContentProducer, ProduceID, ReservedCode1, ContentPropagator, PropagateID and ReservedCode2 (the
implicit one; Label "1" says that it is generated). EU: Regulation 2024/1689, Article 50(2), a
machine-readable mark; IPTC's digital source type is used, which Google's feed takes too. The
standard itself could not be looked up, only what was published about it. Not legal advice.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestra.batch.channels.listing import CopyText, Listing
from orchestra.core.job import Field
from orchestra.core.values import CJK, text_of

GENERATED = "1"  # the value of Label: is generated, as opposed to may be or is suspected to be
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
EXPLICIT = {"zh": "（本内容由人工智能生成）", "en": "(AI生成, AI-generated)"}


@dataclass(frozen=True, slots=True)
class Authorship:
    """Who wrote a field: a model or nobody of the kind, which one, and who reviewed it, when."""

    field: str
    source: str
    is_written_by_model: bool
    model: str | None
    reviewer: str | None
    decision: str | None
    at: str | None

    def public(self) -> dict[str, Any]:
        """As it stands in the file of labels."""
        return {
            "field": self.field,
            "source": self.source,
            "written_by_model": self.is_written_by_model,
            "model": self.model,
            "reviewer": self.reviewer,
            "decision": self.decision,
            "at": self.at,
        }


def authorship(name: str, field: Field) -> Authorship:
    """Who wrote the field `name`. A value that a model read off is not written by it."""
    decided = field.decided
    return Authorship(
        field=name,
        source=field.source,
        is_written_by_model=field.source == "derived",
        model=field.model,
        reviewer=decided.by if decided else None,
        decision=decided.action if decided else None,
        at=decided.at if decided else None,
    )


def label_lines(listing: Listing) -> Iterator[dict[str, Any]]:
    """One record for each field that holds a value, with the marks that the settings want."""
    labels = listing.settings.ai_labels
    for name, field in listing.entry.outcome.fields.items():
        if not field.answered and field.decided is None:
            continue
        record: dict[str, Any] = {"id": listing.id, **authorship(name, field).public()}
        if field.source == "derived" and labels.china:
            record["AIGC"] = implicit(listing, text_of(field.value) or "")
        if field.source == "derived" and labels.eu:
            record["digital_source_type"] = SOURCE_TYPE
        yield record


def implicit(listing: Listing, text: str) -> dict[str, str]:
    """The object `AIGC` of a text; its number is the hash of row and text."""
    labels = listing.settings.ai_labels
    number = hashlib.sha256(f"{listing.id}\0{text}".encode()).hexdigest()[:32]
    return {
        "Label": GENERATED,
        "ContentProducer": labels.provider,
        "ProduceID": number,
        "ReservedCode1": "",
        "ContentPropagator": labels.propagator or labels.provider,
        "PropagateID": number,
        "ReservedCode2": "",
    }


def file_label(listing: Listing) -> str | None:
    """The implicit label of a file that holds this listing; None where none is wanted."""
    if not listing.settings.ai_labels.china or not is_written(listing):
        return None
    return json.dumps(implicit(listing, ""), ensure_ascii=False)


def is_written(listing: Listing) -> bool:
    """Whether a model wrote any of the copy that goes out."""
    return any(part.is_written for part in (*listing.copy.values(), *listing.bullets))


def with_label(listing: Listing, description: str) -> str:
    """A plain description with the words that people see, where they are wanted."""
    if not (listing.settings.ai_labels.china and is_written(listing)):
        return description
    space = "" if CJK.search(description) else " "
    return f"{description}{space * bool(description)}{_words(description)}"


def html_label(listing: Listing) -> str:
    """The labels of a description in HTML: words that are seen, marks that programs read.

    The marks stand on the words, so that they go where the text goes; without words they stand on
    an element that shows nothing.
    """
    labels = listing.settings.ai_labels
    if not is_written(listing) or not (labels.china or labels.eu):
        return ""
    written = " ".join(part.text for part in (*listing.copy.values(), *listing.bullets))
    marks = ' class="ai-label"'
    if labels.eu:
        marks += f' data-digital-source-type="{SOURCE_TYPE}"'
    if not labels.china:
        return f"<p{marks} hidden></p>"
    aigc = json.dumps({"AIGC": implicit(listing, written)}, ensure_ascii=False)
    return f'<p{marks} data-aigc="{html.escape(aigc)}">{_words(written)}</p>'


def _words(text: str) -> str:
    return EXPLICIT["zh" if CJK.search(text) else "en"]


def html_copy(listing: Listing) -> str:
    """What was written, as HTML: the description, the bullets and the labels; "" without one."""
    description = listing.copy.get("description", CopyText(""))
    if not description.text:
        return ""
    lines = [line for line in description.text.splitlines() if line.strip()]
    body = "".join(f"<p>{html.escape(line, quote=False)}</p>" for line in lines)
    bullets = "".join(f"<li>{html.escape(part.text, quote=False)}</li>" for part in listing.bullets)
    return body + (f"<ul>{bullets}</ul>" if bullets else "") + html_label(listing)
