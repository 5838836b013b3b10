"""Gives one of a few labels to a whole text, by the chooser of `workers.choice` and labelled texts.

It serves fields whose values need not stand in the text, and tells of which group a text is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from workers.choice.chooser import Chooser
from workers.choice.fitted import FittedOptions
from workers.choice.options import ChoiceOptions
from workers.encoder.encoder import shared_encoder
from workers.tagging.encoded import encoded, encoded_all

NONE = ""  # the label of a text that is known to have none


@dataclass(frozen=True, slots=True, eq=False)
class LabelChooser:
    """Labels that are ready to be asked of texts; NONE is one of them where a text had none."""

    fitted: FittedOptions
    has_none: bool

    @property
    def labels(self) -> list[str]:
        """What it chooses among."""
        return [*([NONE] if self.has_none else []), *self.fitted.options.names]

    def probabilities(self, text: str) -> dict[str, float]:
        """The probability of each label, together 1."""
        (row,) = _chooser().probabilities([encoded(text)], self.fitted).astype(float)
        found = dict(zip(self.fitted.options.names, row.tolist(), strict=True))
        total = sum(found.values())
        if self.has_none:
            return {NONE: max(0.0, 1.0 - total), **found}
        return {name: chance / max(total, 1e-12) for name, chance in found.items()}


def train_chooser(texts: Sequence[str], labels: Sequence[str]) -> LabelChooser:
    """Fit to texts with a label each. Raises MissingExtra without the encoder."""
    names = sorted({label for label in labels if label != NONE})
    examples = [(text, label or None) for text, label in zip(texts, labels, strict=True)]
    chooser = _chooser()
    encoded_all([text for text, _ in examples])  # in large batches
    fitted = chooser.fit(ChoiceOptions.of(names, examples=examples))
    return LabelChooser(fitted, NONE in labels)


@lru_cache(maxsize=1)
def _chooser() -> Chooser:
    return Chooser(shared_encoder(1))
