"""Does a vision model abstain on kinds of photo that it was never shown? (issue 4's goal)

    python -m benchmarks.unseen --data DIR --checkpoint workers/checkpoints/vl \
        [--package scikit-image] [--folder stamps=DIR ...]

Asked through the engine as the graph `listing` asks for a photo's category. A photo's score is the
confidence that stands on its category, 0 where the model itself names none. AUROC: how often a
known photo (of val) has a higher score than an unseen one. A confident error is an unseen photo
with a category that was not refused, at the confidence from which a listing takes it. 95%
intervals: Wilson's of shares, of AUROC over pictures resampled 1,000 times.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.parts.unseen_pictures import Picture, drawn, in_folder, in_package
from graphs.listing import default_recipe
from orchestra.core.call import Call, Reply
from orchestra.core.stats import wilson
from orchestra.images.intake import normalise
from workers.engine import TransformersEngine
from workers.training.pictures.photos import read_shots

RECIPE = default_recipe()
LEAST = RECIPE.least_photo_confidence
FIELD = "category"
EACH = 20  # drawn pictures of a kind
BATCH = 16
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Judged:
    """What the engine made of one picture; `truth` is None for an unseen kind."""

    kind: str
    truth: str | None
    said: str | None
    confidence: float
    is_refused: bool

    @property
    def score(self) -> float:
        """How sure a category stands, whether or not it is refused."""
        return 0.0 if self.said is None else self.confidence

    @property
    def is_taken(self) -> bool:
        """Whether a listing would take the category."""
        return self.said is not None and not self.is_refused and self.confidence >= LEAST

    @property
    def is_right(self) -> bool:
        """Whether it was taken and is the true one."""
        return self.is_taken and self.said == self.truth


def judge(
    engine: TransformersEngine, pictures: Sequence[Picture], truth: Sequence[str | None]
) -> list[Judged]:
    """Ask for the category of every picture. Raises what the engine gives as an error."""
    found: list[Judged] = []
    schema = RECIPE.photo_schema()
    for start in range(0, len(pictures), BATCH):
        some = pictures[start : start + BATCH]
        calls = [
            Call("Describe the product shown.", images=(picture.image,), schema=schema)
            for picture in some
        ]
        replies = engine.generate(calls)
        for picture, true, reply in zip(some, truth[start:], replies, strict=False):
            if not isinstance(reply, Reply):
                raise reply
            said = json.loads(reply.text)[FIELD]
            refused = FIELD in reply.abstained
            found.append(Judged(picture.kind, true, said, reply.confidence[FIELD], refused))
    return found


def auroc(known: np.ndarray, unseen: np.ndarray) -> float:
    """How often a known score is above an unseen one; a tie counts half."""
    apart = known[:, None] - unseen[None, :]
    return float((apart > 0).mean() + (apart == 0).mean() / 2)


def auroc_interval(known: np.ndarray, unseen: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95% of AUROC over resampled pictures of both sides."""
    draws = np.random.default_rng(seed)
    values = [
        auroc(draws.choice(known, len(known)), draws.choice(unseen, len(unseen)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def share(flags: Sequence[bool]) -> str:
    """A share with its interval."""
    interval = wilson(sum(flags), len(flags))
    if interval is None:
        return "none"
    low, high = interval
    return f"{sum(flags) / len(flags):.1%} [{low:.1%}, {high:.1%}]"


def line(name: str, known: Sequence[Judged], unseen: Sequence[Judged], *, interval: bool) -> str:
    """One row of the table."""
    inside, outside = (np.array([one.score for one in side]) for side in (known, unseen))
    apart = f"{auroc(inside, outside):.3f}"
    if interval:
        low, high = auroc_interval(inside, outside)
        apart += f" [{low:.3f}, {high:.3f}]"
    refused = share([one.is_refused for one in unseen])
    taken = share([one.is_taken for one in unseen])
    return f"| {name} | {len(unseen)} | {apart} | {refused} | {taken} |"


def report(known: Sequence[Judged], sets: dict[str, list[Judged]]) -> list[str]:
    """The lines to print."""
    taken = [one for one in known if one.is_taken]
    lines = [
        f"known: {len(known)} photos of val: category taken {share([k.is_taken for k in known])}, "
        f"right where taken {share([k.is_right for k in taken])}, "
        f"wrongly refused {share([k.is_refused for k in known])}",
        "",
        f"| Unseen | n | AUROC | refused | confident errors (at {LEAST}) |",
        "|---|---|---|---|---|",
    ]
    for name, unseen in sets.items():
        lines.append(line(f"**{name}**", known, unseen, interval=True))
        kinds: dict[str, list[Judged]] = defaultdict(list)
        for one in unseen:
            kinds[one.kind].append(one)
        if 1 < len(kinds) < len(unseen):
            lines += [line(kind, known, some, interval=False) for kind, some in kinds.items()]
    every = [one for unseen in sets.values() for one in unseen]
    lines.append(line("**all**", known, every, interval=True))
    return lines


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of grocery/, clothing/")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--package", action="append", default=[], help="one that ships photos")
    parser.add_argument(
        "--folder", action="append", default=[], metavar="NAME=DIR", help="photos of other kinds"
    )
    parser.add_argument("--json", type=Path, help="write every picture's judgement there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    engine = TransformersEngine.load(given.checkpoint)
    shots = [shot for shot in read_shots(given.data, "val") if shot.path is not None]
    photos = [Picture("val", normalise(shot.path)) for shot in shots if shot.path is not None]
    known = judge(engine, photos, [shot.category for shot in shots])
    sets = {"drawn": drawn(EACH)}
    sets |= {name: in_package(name) for name in given.package}
    for pair in given.folder:
        name, _, folder = pair.partition("=")
        sets[name] = in_folder(Path(folder))
    judged = {name: judge(engine, some, [None] * len(some)) for name, some in sets.items()}
    print("\n".join(report(known, judged)))
    if given.json:
        told = {
            name: [[one.kind, one.said, one.confidence, one.is_refused] for one in some]
            for name, some in (("val", known), *judged.items())
        }
        given.json.write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
