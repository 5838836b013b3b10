"""Hold photos out by whole shelves, so that they are as strange as a user's; knows no model.

Photos of a class that look alike (one shelf, one session, one model's wardrobe) are one group by
k-means over their embeddings; a group is held out whole or not at all. Near-duplicates thereby
stay together. Shapes: N photos, E embedding, K groups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.training.pictures.photos import Shot

GROUP = 20  # photos, about, and at least two groups a class
ROUNDS = 20


def groups(embedding_NE: Tensor) -> Tensor:
    """A group number for each of N photos of one class: k-means from farthest-first centres."""
    count = max(2, len(embedding_NE) // GROUP)
    centres = embedding_NE[:1]
    while len(centres) < min(count, len(embedding_NE)):
        farthest = torch.cdist(embedding_NE, centres).min(dim=1).values.argmax()
        centres = torch.cat([centres, embedding_NE[farthest][None]])
    nearest = torch.zeros(len(embedding_NE), dtype=torch.long)
    for _ in range(ROUNDS):
        nearest = torch.cdist(embedding_NE, centres).argmin(dim=1)
        centres = torch.stack(
            [
                embedding_NE[nearest == k].mean(dim=0) if bool((nearest == k).any()) else centres[k]
                for k in range(len(centres))
            ]
        )
    return nearest


def hold_out(shots: Sequence[Shot], embedding_NE: Tensor, share: float) -> list[int]:
    """Rows of whole groups: about `share` of all photos, and of no class more than half.

    Classes come in turn, and one gives its smallest groups while too little is held out.
    """
    level_NE = (embedding_NE - embedding_NE.mean(dim=0)) / (embedding_NE.std(dim=0) + 1e-3)
    classes: dict[str, list[int]] = defaultdict(list)
    for row, shot in enumerate(shots):
        classes[shot.product or shot.category].append(row)
    held: list[int] = []
    seen = 0
    for rows in classes.values():
        seen += len(rows)
        group_N = groups(level_NE[rows])
        sizes = torch.bincount(group_N)
        mine = 0
        for group in sizes.argsort().tolist():
            size = int(sizes[group])
            if (
                not size
                or len(held) + size > share * seen + GROUP / 2
                or mine + size > len(rows) / 2
            ):
                continue
            mine += size
            held += [
                row for row, other in zip(rows, group_N.tolist(), strict=True) if other == group
            ]
    return sorted(held)
