"""Reads the word lists in `words/`; knows what none of them is for."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def words(name: str) -> dict[str, Any]:
    """The list `words/<name>.yaml` as plain data; shared, so it is not to be changed."""
    path = files("workers.training.texts") / "words" / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))
