"""What a fine-tuned vision model knows: its base's kinds of photo, and those of the user's rows.

It knows a base in memory and its lessons, not how they were learnt. Shapes: N photos, E embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from orchestra.finetune.order import Say
from orchestra.finetune.rows import TrainingRow
from workers.finetune.base import Base
from workers.finetune.lessons import Lesson
from workers.vision.domain import FILE, Domain, fit_small_world

LEAST_PHOTOS = 20  # of fewer, too little is known to call another photo strange
PHOTOS_A_KIND = 4  # answers that come up less often are no kinds of photo
WRONGLY_OUT = 0.03


def widen_domain(
    base: Base, rows: Sequence[TrainingRow], lessons: Sequence[Lesson], out: Path, say: Say
) -> None:
    """Write the base's domain to `out`, with the photos of `rows` as one more world of it.

    A base without a domain leaves none. With too few photos there is none either: the base's alone
    would refuse the user's own.
    """
    domain = Domain.load(base.folder)
    (out / FILE).unlink(missing_ok=True)
    if domain is None:
        return
    seen = [(row, lesson) for row, lesson in zip(rows, lessons, strict=True) if lesson.pixels]
    if 0 < len(seen) < LEAST_PHOTOS:
        say(
            f"{len(seen)} photos are too few to know one of another kind by ({LEAST_PHOTOS} are "
            "needed): the tuned model answers about any photo"
        )
        return
    if seen:
        kinds = _kinds([row.written for row, _ in seen])
        world = fit_small_world(_embeddings(base, [one for _, one in seen]), kinds, WRONGLY_OUT)
        domain.worlds.append(world)
        say(f"its domain is that of the base and {len(seen)} photos of the rows")
    domain.save(out)


@torch.inference_mode()
def _embeddings(base: Base, lessons: Sequence[Lesson]) -> Tensor:
    """(N, E), one at a time: the tower gives the same whatever else is in the batch."""
    model, found = base.model, []
    for lesson in lessons:
        pixels = (lesson.pixels or {})["pixel_values"].to(model.device, model.dtype)
        found.append(model.model.vision_model(pixels).pooler_output[:1].float().cpu())
    return torch.cat(found)


def _kinds(answers: Sequence[str]) -> Tensor:
    """A number for each photo; where nearly every answer is another, all are of one kind."""
    order = {answer: number for number, answer in enumerate(sorted(set(answers)))}
    if len(order) * PHOTOS_A_KIND > len(answers):
        return torch.zeros(len(answers), dtype=torch.long)
    return torch.tensor([order[answer] for answer in answers])
