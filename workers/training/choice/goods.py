"""Writes the vectors of goods' names: python -m workers.training.choice.goods (20 seconds)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestra.core.errors import InvalidTable
from orchestra.core.files.yaml_file import load_yaml
from workers.choice.chooser import Vectors
from workers.choice.goods import FILE, Floats, Goods
from workers.choice.names import said, same
from workers.encoder.encoder import shared_encoder
from workers.training.choice.fit import HERE, NAMES

GOODS = HERE / "goods.yaml"
WORDINGS = 3


def pairs() -> dict[str, str]:
    """English names by Chinese ones. Raises InvalidTable where a list cannot be read."""
    named: dict[str, str] = load_yaml(NAMES, what="names", error=InvalidTable)["names"]
    departments = load_yaml(GOODS, what="goods", error=InvalidTable)
    listed = {zh: en for each in departments.values() for zh, en in each.items()}
    return listed | {zh: en for en, zh in named.items()}


def unlisted(known: Mapping[str, str], titles: Mapping[str, str]) -> dict[str, str]:
    """The pairs but those of `titles`, Chinese names by English ones, and of kinds of these."""
    named = [same(name) for name in titles]
    return {
        zh: en
        for zh, en in known.items()
        if zh not in titles.values() and not any(name in same(en) for name in named)
    }


def goods(known: Mapping[str, str], encoder: Vectors) -> Goods:
    """The vectors of pairs."""
    return Goods(_vectors(list(known), encoder), _vectors(list(known.values()), encoder))


def _vectors(names: list[str], encoder: Vectors) -> Floats:
    return np.stack([encoder.vectors(said(name, WORDINGS)).mean(axis=0) for name in names])


if __name__ == "__main__":
    goods(pairs(), shared_encoder(1)).save(FILE)
    print(f"{len(pairs())} pairs, {FILE.stat().st_size} bytes")
