"""Workers for tests of a real Ray Serve: one decodes until it is stopped, others never load."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from orchestra.core.call import Call, IsCancelled, OnText, Reply, Usage
from orchestra.core.errors import Cancelled, OrchestraError
from orchestra.fleet.source import load_fleet

STEPS, STEP_S = 3000, 0.02
BRIEF, BRIEF_STEPS = "Briefly", 200


class EndlessWorker:
    """Tells a word at each step, for a minute, unless its row is cancelled or is to be brief."""

    @classmethod
    def load(cls, checkpoint: Path, *, threads: int) -> EndlessWorker:
        """There is nothing to load."""
        return cls()

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        """See `Engine.generate`."""
        answers: list[Reply | OrchestraError | None] = [None] * len(calls)
        for step in range(STEPS):
            for row, answer in enumerate(answers):
                if answer is None and is_cancelled is not None and is_cancelled(row):
                    answers[row] = Cancelled(f"Row {row} was cancelled by its caller.")
                elif answer is None and step == BRIEF_STEPS and BRIEF in str(calls[row]):
                    answers[row] = _words(BRIEF_STEPS)
                elif answer is None and on_text is not None:
                    on_text(row, "word ")
            if all(answers):
                break
            time.sleep(STEP_S)
        return [answer or _words(STEPS) for answer in answers]

    def count_tokens(self, call: Call) -> int:
        """A fixed number."""
        return 8


def _words(count: int) -> Reply:
    text = "word " * count
    return Reply(text, text, usage=Usage(output_tokens=count))


class BrokenWorker:
    """Fails as foreign code does: with an error that is not ours."""

    @classmethod
    def load(cls, checkpoint: Path, *, threads: int) -> Any:
        """Raises."""
        raise RuntimeError("weights of layer 3 have the wrong shape")


class DyingWorker:
    """Takes its whole process with it, as a crash in native code does."""

    @classmethod
    def load(cls, checkpoint: Path, *, threads: int) -> Any:
        """Ends the process."""
        os._exit(13)


class SlowWorker:
    """Loads for longer than anybody waits; a file beside its checkpoint says that it began."""

    @classmethod
    def load(cls, checkpoint: Path, *, threads: int) -> Any:
        """Sleeps."""
        (checkpoint / "loading").touch()
        time.sleep(600)


def write_fleet(
    folder: Path, worker: type, *, name: str, mini: bool = False, **hosting: Any
) -> Path:
    """A fleet of one model, called `name`, which `worker` hosts; with `mini` beside the bundled."""
    card = {
        "name": name,
        "role": "a model of a test",
        "capabilities": ["text"],
        "profile": {"origin": "measured", "ms_per_output_token": 20.0},
        "hosting": {
            "memory_gib": 0.1,
            "worker": f"{worker.__module__}:{worker.__qualname__}",
            **hosting,
        },
        "limits": {"context_tokens": 8192},
        "price": {"as_of": "2026-11-01", "usd_per_cpu_second": 0.0000139},
    }
    path = folder / f"{name}.yaml"
    fleet = {"name": "tested", "models": [*(_bundled() if mini else []), card]}
    path.write_text(yaml.safe_dump(fleet), encoding="utf-8")
    return path


def _bundled() -> list[dict[str, Any]]:
    """The cards of `mini`, as another folder's file names their checkpoints."""
    file, home = load_fleet("mini")
    cards = file.model_dump(mode="json", exclude_defaults=True)["models"]
    for card in cards:
        card["hosting"]["checkpoint"] = str((home / card["hosting"]["checkpoint"]).resolve())
    return cards
