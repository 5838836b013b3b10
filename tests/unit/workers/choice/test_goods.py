"""Chinese names helped by what goods are called in both languages; vectors are made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestra.core.errors import CheckpointInvalid
from workers.choice.goods import Goods
from workers.choice.space import Space
from workers.training.choice.goods import pairs, unlisted

WIDTH = 40
SPACE = Space(
    texts=np.zeros((2, WIDTH), np.float32),
    names=np.zeros((2, WIDTH), np.float32),
    within=np.zeros((WIDTH, 1), np.float32),
    kept=np.ones(1, np.float32),
    length=1.0,
)


@pytest.fixture
def goods() -> Goods:
    """Twenty goods, called along one axis in Chinese and along another in English."""
    axes = np.eye(WIDTH, dtype=np.float32)
    return Goods(axes[:20], axes[20:])


def test_a_chinese_name_points_where_english_names_of_like_goods_lie(goods: Goods) -> None:
    called = goods.zh[3] + 0.3 * goods.zh[4]
    (found,) = goods.pointed(called[None], ["牙刷"], SPACE)
    assert found @ goods.en[3] > 0.5 > 0.1 > found @ goods.en[4]
    assert found @ goods.zh[3] > 0.5
    assert np.linalg.norm(found) == pytest.approx(1)


def test_an_english_name_points_where_it_did(goods: Goods) -> None:
    called = np.stack([goods.zh[3], goods.zh[5]])
    found = goods.pointed(called, ["Toothbrush", "电筒"], SPACE)
    assert np.allclose(found[0], goods.zh[3])
    assert not np.allclose(found[1], goods.zh[5])


def test_goods_are_kept_in_eight_bits(goods: Goods, tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).normal(size=(2, 20, WIDTH)).astype(np.float32)
    Goods(*drawn).save(tmp_path / "goods")
    loaded = Goods.load(tmp_path / "goods")
    assert np.abs(loaded.zh - drawn[0]).max() < 0.02 and np.abs(loaded.en - drawn[1]).max() < 0.02
    (tmp_path / "goods").write_bytes(b"no")
    with pytest.raises(CheckpointInvalid, match=r"workers\.training\.choice\.goods"):
        Goods.load(tmp_path / "goods")


def test_the_bundled_file_holds_the_listed_pairs() -> None:
    assert len(Goods.load().zh) == len(pairs()) > 500


def test_names_that_are_measured_can_be_left_out() -> None:
    left = unlisted(pairs(), {"Toothbrush": "牙刷", "Shoes": "鞋", "Eyewear": "眼镜"})
    assert not {"牙刷", "电动牙刷", "鞋", "跑鞋", "眼镜"} & set(left)
    assert {"牙膏", "袜子"} <= set(left)
