"""How many answers are exactly right, field by field, with 95% intervals; it knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestra.core.stats import wilson

WHOLE = "(whole answer)"


@dataclass(frozen=True, slots=True)
class FieldScore:
    """One field: `right` of `asked` values are exactly the true ones."""

    field: str
    right: int
    asked: int

    @property
    def share(self) -> float:
        """The share that is right."""
        return self.right / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Wilson interval of the share."""
        return wilson(self.right, self.asked) or (0.0, 1.0)

    def as_json(self) -> dict[str, Any]:
        """As it stands in finetune.json."""
        return {"right": self.right, "asked": self.asked, "share": round(self.share, 4),
                "interval": [round(bound, 4) for bound in self.interval]}  # fmt: skip


def score(truths: Sequence[Any], answers: Sequence[Any]) -> list[FieldScore]:
    """Each field of the true answers, and last the whole of them; None is no answer at all."""
    right: dict[str, list[bool]] = {}
    whole: list[bool] = []
    for truth, answer in zip(truths, answers, strict=True):
        if isinstance(truth, dict):
            given = answer if isinstance(answer, dict) else {}
            hits = [name in given and _same(given[name], truth[name]) for name in truth]
            for name, hit in zip(truth, hits, strict=True):
                right.setdefault(name, []).append(hit)
            whole.append(all(hits))
        else:
            whole.append(_same(answer, truth))
    scores = [FieldScore(name, sum(hits), len(hits)) for name, hits in right.items()]
    return [*scores, FieldScore(WHOLE, sum(whole), len(whole))]


def _same(given: Any, true: Any) -> bool:
    if isinstance(given, bool) or isinstance(true, bool):
        return given is true
    if isinstance(given, str) and isinstance(true, str):
        return given.strip() == true.strip()
    return given == true
