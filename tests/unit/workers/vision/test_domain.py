"""Photos of kinds that were never shown lie farther away; what is outside leaves a reason only."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from orchestra.core.call import Call, Reply
from orchestra.core.errors import CheckpointInvalid, OutsideDomain
from tests.tiny_models import tiny_lite_vl, write_domain
from workers.decoding.standing import Standing, judged
from workers.engine import TransformersEngine
from workers.training.pictures.photos import Shot
from workers.training.pictures.split import hold_out
from workers.training.vision.unseen import auroc, fit_domain
from workers.vision.domain import FILE, Domain, World, fit_tensors, fit_world

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
    held = photos(seed=3)[0][:rows]
    world = fit_world(embedding[:rows], torch.arange(rows) // EACH, held, 0.05)
    settings = {"slope": "4", "turn": "1", "least": "0.3", "reason": "unknown"}
    return Domain([world], settings), photos(seed=1)[0]


def strangeness(of: Domain | World, embedding: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(of.strangeness(embedding.numpy()))


def likely(of: Domain, embedding: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(of.likely(embedding.numpy()))


def test_kinds_that_were_shown_are_nearer_than_others():
    known, new = domain(4)
    far = strangeness(known, new)
    assert auroc(-far[: 4 * EACH], -far[4 * EACH :]) > 0.95


def test_a_wide_batch_stands_where_plain_products_say():
    rng = np.random.default_rng(4)
    shapes = {"axes": (300, 20), "inner": (20, 20), "outer": (20, 20), "span": (300, 7)}
    parts = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    middle, centres = rng.normal(size=300), rng.normal(size=(5, 20))
    parts |= {"middle": middle.astype(np.float32), "centres": centres.astype(np.float32)}
    world = World(**parts, level=np.array([0, 1, 0, 1, 0], np.float32))
    photos_BE = rng.normal(size=(37, 300)).astype(np.float32)

    seen_BQ = (photos_BE - middle) @ parts["axes"]
    apart_BKQ = (seen_BQ @ parts["inner"])[:, None] - centres
    far_B = np.linalg.norm(apart_BKQ, axis=2).min(axis=1)
    far_B -= np.linalg.norm(seen_BQ @ parts["outer"], axis=1)
    lengths_B = np.linalg.norm(photos_BE, axis=1)
    beside_B = -np.linalg.norm(photos_BE @ parts["span"], axis=1) / lengths_B
    assert world.strangeness(photos_BE) == pytest.approx(far_B + beside_B, rel=1e-4, abs=1e-2)
    settings = {"slope": "0.01", "turn": "1", "least": "0.3", "reason": "unknown"}
    known = Domain([world], settings)
    stood = [standing.likely for standing in known.standings(photos_BE)]
    assert stood == pytest.approx(known.likely(photos_BE).tolist())


def test_a_saved_domain_says_the_same(tmp_path: Path):
    known, new = domain(4)
    known.save(tmp_path)
    read = Domain.load(tmp_path)
    assert read is not None
    # Matrices are kept in bytes: strangeness spans about 23 here, and none moves by more than 0.5.
    assert torch.allclose(strangeness(read, new), strangeness(known, new), rtol=0.0, atol=0.5)
    assert (read.least, read.reason) == (0.3, "unknown")


def test_few_known_pictures_are_strange_to_their_world():
    known, new = domain(KINDS)
    share = (strangeness(known, new) > 0).float().mean()
    assert 0 < share < 0.15


def test_what_lies_beside_all_known_pictures_is_strange_though_no_kind_is_far():
    torch.manual_seed(0)
    wide = 96  # more directions than a world looks at
    basis = torch.linalg.qr(torch.randn(wide, 8))[0]
    known = [torch.randn(120, 8) @ basis.T for _ in range(2)]
    world = fit_world(known[0], torch.arange(120) % 4, known[1], 0.05, width=8)
    beside = known[1] + torch.randn(120, wide)
    assert (strangeness(world, beside) > 0).float().mean() > 0.95


def test_a_picture_of_either_world_is_known():
    embedding, _ = photos()
    half, new = len(embedding) // 2, photos(seed=1)[0]
    of_kind, settings = torch.arange(half) // EACH, {"slope": "4", "turn": "1", "reason": ""}
    one, other = (
        fit_world(embedding[part], of_kind, photos(seed=3)[0][part], 0.05)
        for part in (slice(None, half), slice(half, None))
    )
    both = Domain([one, other], {**settings, "least": "0.5"})
    inside = likely(both, new) >= likely(both, new).quantile(0.1)
    assert inside.float().mean() > 0.85
    assert torch.equal(
        strangeness(both, new), torch.minimum(strangeness(one, new), strangeness(other, new))
    )


def test_a_file_of_one_world_without_a_span_is_read_as_it_was(tmp_path: Path):
    embedding, _ = photos()
    fitted = fit_tensors(embedding, torch.arange(len(embedding)) // EACH, width=WIDTH)
    parts = {name: torch.from_numpy(part) for name, part in fitted.items()}
    settings = {"slope": "1.0", "turn": "2.0", "least": "0.2", "reason": "unknown"}
    save_file(
        {name: part.half().contiguous() for name, part in parts.items()}, tmp_path / FILE, settings
    )
    read = Domain.load(tmp_path)
    assert read is not None
    new = photos(seed=1)[0]
    seen = (new - parts["middle"]) @ parts["axes"]
    near = torch.cdist(seen @ parts["inner"], parts["centres"]).amin(dim=1)
    expected = near - (seen @ parts["outer"]).norm(dim=1)
    assert torch.allclose(strangeness(read, new), expected, atol=0.05)


def test_a_folder_without_a_domain_has_none(tmp_path: Path):
    assert Domain.load(tmp_path) is None


def test_an_unreadable_domain_is_reported_with_its_path(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(CheckpointInvalid, match=rf"{FILE}.*cannot be read"):
        Domain.load(tmp_path)


def test_a_rehearsal_finds_the_limit_that_keeps_known_photos_inside():
    embedding, shots = photos()
    held = [row for row in range(len(shots)) if row % 5 == 0]
    drawn = [Shot(None, None, "circle", "nothing", None)] * 40
    said: list[str] = []
    drawings = torch.randn(40, WIDTH) - 30
    found = fit_domain(embedding, shots, held, drawings, drawn, 0, said.append)
    for known in (photos(seed=2)[0], drawings):
        assert (likely(found, known) >= found.least).float().mean() > 0.9
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


def test_a_free_text_about_a_photo_outside_keeps_the_reason_beside_it():
    found = judged(Reply("a cup", "a cup"), [Standing(0.1, "unknown")])
    assert (found.text, found.abstained) == ("a cup", {"": "unknown"})


def seeing(folder: Path, *, knows: bool) -> TransformersEngine:
    """A tiny vision model that takes every photo for a known one, or none."""
    tiny_lite_vl(folder)
    write_domain(folder, width=16, knows=knows)
    return TransformersEngine.load(folder)


PHOTO = Image.effect_noise((48, 24), 90).convert("RGB")
RED = {"type": "object", "properties": {"red": {"type": "boolean"}}}
FREE = Call("What is this?", images=(PHOTO,), max_tokens=8)


def test_a_free_question_about_a_photo_outside_is_refused_before_a_word_is_said(tmp_path: Path):
    engine = seeing(tmp_path, knows=False)
    heard: list[int] = []
    held = Call("What is this?", images=(PHOTO,), schema=RED)
    blind = Call("What is this?", max_tokens=8)
    refused, object_, text = engine.generate(
        [FREE, held, blind], on_text=lambda row, _: heard.append(row)
    )
    assert isinstance(refused, OutsideDomain) and "unknown here" in str(refused)
    assert isinstance(object_, Reply) and object_.value == {"red": None}
    assert isinstance(text, Reply) and text.text
    assert set(heard) == {1, 2}


def test_a_free_question_about_a_known_photo_is_answered_as_without_a_domain(tmp_path: Path):
    plain = TransformersEngine.load(tiny_lite_vl(tmp_path / "plain"))
    known = seeing(tmp_path / "known", knows=True)
    ours, theirs = (engine.generate([FREE])[0] for engine in (known, plain))
    assert isinstance(ours, Reply) and isinstance(theirs, Reply)
    assert ours.text == theirs.text


def test_a_refused_row_leaves_the_other_rows_their_photos(tmp_path: Path):
    engine = seeing(tmp_path, knows=False)
    other = Call("Describe it.", images=(PHOTO.rotate(90),), schema=RED)
    alone = engine.generate([other])[0]
    beside = engine.generate([FREE, other])[1]
    assert isinstance(alone, Reply) and isinstance(beside, Reply)
    assert beside.confidence == pytest.approx(alone.confidence, abs=1e-5)


def test_a_photo_whose_row_was_cancelled_at_once_is_not_given_to_another(tmp_path: Path):
    engine = TransformersEngine.load(tiny_lite_vl(tmp_path))
    calls = [FREE, Call("What is this?", images=(PHOTO.rotate(90),), max_tokens=8)]
    alone = engine.generate(calls[1:])[0]
    _, beside = engine.generate(calls, is_cancelled=lambda row: row == 0)
    assert isinstance(alone, Reply) and isinstance(beside, Reply)
    assert beside.text == alone.text


def test_a_map_is_made_of_a_free_answer_that_is_refused(tmp_path: Path):
    (found,) = seeing(tmp_path, knows=False).attend(FREE)
    assert found.refused == "unknown here"
