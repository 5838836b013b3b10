"""Training pixels are what the processor makes, and pools say what they show."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)

from workers.synthetic.drawn import RESERVED_SEED, draw_product
from workers.training.pictures.photos import (
    IMAGE_PX,
    NOTHING,
    STORE_PX,
    PhotoSet,
    Shot,
    augment,
    draw_pool,
    load,
    normalise,
    square,
)


def drawn_set(seeds: list[int]) -> PhotoSet:
    """One shirt a seed; the same seed twice is a duplicate."""
    pixels = [square(draw_product("shirt", "blue", seed=seed, size=64), IMAGE_PX) for seed in seeds]
    shots = tuple(Shot(None, None, "shirt", "Clothing", "blue") for _ in seeds)
    return PhotoSet(shots, torch.stack(pixels))


@pytest.mark.parametrize("size", [(256, 256), (192, 256), (256, 144), (400, 100), (61, 97)])
def test_training_pixels_equal_the_processors(size):
    photo = draw_product("Melon", "green", seed=1_000_000).resize(size)
    processor = DeepseekVLImageProcessorPil(
        size={"height": IMAGE_PX, "width": IMAGE_PX},
        min_size=1,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    theirs = processor(images=[photo], return_tensors="pt")["pixel_values"][0]
    assert torch.allclose(normalise(square(photo, IMAGE_PX)), theirs, atol=1e-5)


def test_a_narrow_photo_is_centred_on_grey():
    pixels = square(Image.new("RGB", (50, 100), (255, 0, 0)), 64)
    assert pixels[:, 32, 0].tolist() == [127, 127, 127]
    assert pixels[:, 32, 32].tolist() == [255, 0, 0]


def test_load_reads_photos_in_order_and_reports_a_missing_one(tmp_path: Path):
    for name, colour in (("a.png", (255, 0, 0)), ("b.png", (0, 0, 255))):
        Image.new("RGB", (8, 8), colour).save(tmp_path / name)
    shots = [Shot(tmp_path / name, None, "hat", "Clothing", None) for name in ("b.png", "a.png")]
    assert load(shots, 8).pixels[:, :, 4, 4].tolist() == [[0, 0, 255], [255, 0, 0]]
    with pytest.raises(FileNotFoundError):
        load([Shot(tmp_path / "c.png", None, "hat", "Clothing", None)], 8)


def test_augmented_views_repeat_by_generator_and_stay_in_range():
    pixels = drawn_set([1, 2, 3]).pixels
    first = augment(pixels, torch.Generator().manual_seed(5))
    again = augment(pixels, torch.Generator().manual_seed(5))
    other = augment(pixels, torch.Generator().manual_seed(6))
    assert first.shape == (3, 3, IMAGE_PX, IMAGE_PX)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.abs().max()) <= 1.0


def test_without_strength_a_view_is_the_whole_picture():
    pixels = drawn_set([1, 2]).pixels
    views = augment(pixels, torch.Generator().manual_seed(5), strength=0.0)
    assert torch.allclose(views, normalise(pixels), atol=1e-4)


def test_a_pool_is_labelled_and_keeps_off_the_reserved_seeds():
    pool = draw_pool(3, 2, seed=7, px=16)
    assert [shot.category for shot in pool.shots][3:] == [NOTHING, NOTHING]
    assert all(shot.colour for shot in pool.shots[:3])
    assert pool.pixels.shape == (5, 3, 16, 16)
    with pytest.raises(ValueError, match="reserved"):
        draw_pool(3, 2, seed=RESERVED_SEED - 5, px=STORE_PX)
