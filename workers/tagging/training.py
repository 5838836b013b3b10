"""The trainer of `orchestra finetune` for fields: labelled rows in, a folder with a reader out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from orchestra.finetune.labelled import LabelledRow
from orchestra.finetune.reading import LearntFields
from workers.tagging.reader import train_reader
from workers.tagging.rows import tagged_row
from workers.tagging.store import save

Say = Callable[[str], None]


def train(rows: Sequence[LabelledRow], out: Path, seed: int, say: Say) -> LearntFields:
    """Train on `rows` and write the reader to `out`. Raises `InvalidTable`."""
    tagged = [tagged_row(row.text, row.group, row.values) for row in rows]
    reader = train_reader(tagged, say, seed=seed)
    save(reader, out)
    tagger = reader.tagger
    return LearntFields(
        spans=tuple(sorted(tagger.spans.single)) if tagger is not None else (),
        choices={name: tuple(label for label in chooser.labels if label)
                 for name, chooser in reader.choosers.items()},
        lists=tuple(sorted(tagger.lists)) if tagger is not None else (),
    )  # fmt: skip
