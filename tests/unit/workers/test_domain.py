"""Photos of kinds that were never shown lie farther away; what is outside leaves a reason only."""

from pathlib import Path

import pytest
import torch

from orchestra.clients.engine import Reply
from orchestra.errors import CheckpointInvalid
from workers.domain import FILE, Domain, fit_tensors
from workers.standing import Standing, judged
from workers.training.photos import Shot
from workers.training.split import hold_out
from workers.training.unseen import auroc, fit_domain

KINDS, EACH, WIDTH = 6, 30, 16


def photos(seed: int = 0) -> tuple[torch.Tensor, list[Shot]]:
    """Embeddings in a heap for each kind, two departments of three kinds."""
    torch.manual_seed(seed)
    centres = torch.randn(KINDS, WIDTH, generator=torch.Generator().manual_seed(9)) * 4
    embedding = torch.cat([centre + torch.randn(EACH, WIDTH) for centre in centres])
    shots = [
        Shot(None, None, f"kind {kind}", "Fruit" if kind < 3 else "Clothing", None)
        for kind in range(KINDS)
        for _ in range(EACH)
    ]
    return embedding, shots


def domain(known: int) -> tuple[Domain, torch.Tensor]:
    """A domain of the first `known` kinds, and new photos of every kind."""
    embedding, _ = photos()
    rows = known * EACH
    tensors = fit_tensors(embedding[:rows], torch.arange(rows) // EACH, width=WIDTH)
    settings = {"slope": "4", "turn": "1", "least": "0.3", "reason": "unknown"}
    return Domain(tensors, settings), photos(seed=1)[0]


def test_kinds_that_were_shown_are_nearer_than_others():
    known, new = domain(4)
    far = known.strangeness(new)
    assert auroc(-far[: 4 * EACH], -far[4 * EACH :]) > 0.95


def test_a_saved_domain_says_the_same(tmp_path: Path):
    known, new = domain(4)
    known.save(tmp_path)
    read = Domain.load(tmp_path)
    assert read is not None
    assert torch.allclose(read.likely(new), known.likely(new), atol=0.02)
    assert (read.least, read.reason) == (0.3, "unknown")


def test_a_folder_without_a_domain_has_none(tmp_path: Path):
    assert Domain.load(tmp_path) is None


def test_an_unreadable_domain_is_reported_with_its_path(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(CheckpointInvalid, match=rf"{FILE}.*cannot be read"):
        Domain.load(tmp_path)


def test_a_rehearsal_finds_the_limit_that_keeps_known_photos_inside():
    embedding, shots = photos()
    held = [row for row in range(len(shots)) if row % 5 == 0]
    drawn = [Shot(None, None, "circle", "nothing", None)] * 20
    said: list[str] = []
    found = fit_domain(embedding, shots, held, torch.randn(20, WIDTH) * 6, drawn, 0, said.append)
    inside = found.likely(photos(seed=2)[0]) >= found.least
    assert inside.float().mean() > 0.9
    assert sum("AUROC" in line for line in said) >= 2
    assert "outside mini's domain" in found.reason


@pytest.mark.parametrize(("inside", "outside", "found"), [([2, 3], [0, 1], 1.0), ([1], [1], 0.5)])
def test_auroc_counts_pairs(inside, outside, found):
    assert auroc(torch.tensor(inside), torch.tensor(outside)) == found


def test_groups_are_held_out_whole_and_no_class_loses_more_than_half():
    embedding, shots = photos()
    held = hold_out(shots, torch.cat([embedding[:90], embedding[:90]]), 0.2)
    assert 0.1 < len(held) / len(shots) < 0.3
    for kind in range(KINDS):
        mine = [row for row in held if row // EACH == kind]
        assert len(mine) <= EACH / 2


def test_a_known_photo_makes_a_value_as_likely_as_the_photo_is():
    reply = Reply("{}", {"colour": "red"}, {"colour": 0.9})
    found = judged(reply, [Standing(0.5, None)])
    assert found.value == {"colour": "red"}
    assert found.confidence["colour"] == pytest.approx(0.45)


def test_one_photo_outside_takes_every_value_away():
    reply = Reply("{}", {"colour": "red", "count": 2}, {"colour": 0.9})
    found = judged(reply, [Standing(0.9, None), Standing(0.1, "unknown")])
    assert found.value == {"colour": None, "count": None}
    assert found.abstained == {"colour": "unknown", "count": "unknown"}


def test_without_a_photo_an_answer_stays_as_it_is():
    reply = Reply("{}", {"colour": "red"}, {"colour": 0.9})
    assert judged(reply, []) is reply
