"""Weights are read into models of transformers one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.meeting import Meeting, at_once
from workers.loading.device import placement_of
from workers.loading.pretrained import load_weights


def test_threads_that_load_at_one_moment_take_turns(tmp_path: Path) -> None:
    meeting = Meeting()
    seen: list[str] = []

    class Loading:
        """A model class of transformers, whose loading takes so long that another may begin."""

        @classmethod
        def from_pretrained(cls, folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
            seen.append("begun")
            meeting.pause()
            seen.append("ended")
            return torch.nn.Linear(1, 1), {"missing_keys": []}

    at_once(lambda: load_weights(Loading, tmp_path, placement_of("cpu", None)))
    assert seen == ["begun", "ended"] * 2
