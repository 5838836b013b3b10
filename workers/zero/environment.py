"""Sums modulo a number as a Gymnasium environment; it knows no policy and no model.

One episode is one problem: two numbers are shown, one action answers, and the reward is 1 if the
answer is right, else 0. The answer is computed, so a reward needs no judge. Importing the module
registers two environments over one split of the problems:

    orchestra/SumsModulo-v0          the problems to train on
    orchestra/SumsModuloKeptOut-v0   the problems that training never sees

Elsewhere: ``gymnasium.make("workers.zero.environment:orchestra/SumsModulo-v0")``.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from workers.zero.sums import (
    KEPT_OUT,
    MODULUS,
    NUMBERS,
    SPLIT,
    Problems,
    split_problems,
)

TRAINING_ID = "orchestra/SumsModulo-v0"
KEPT_OUT_ID = "orchestra/SumsModuloKeptOut-v0"
PLACE = "workers.zero.environment:SumsModulo"
Observation = NDArray[np.int64]


class SumsModulo(gymnasium.Env[Observation, np.int64]):
    """`a + b modulo m`, for a and b under `numbers`.

    `problems` says which side of the split is drawn from, evenly. `reset(options={"problem": k})`
    gives the k-th of them, so that each can be asked once. Raises ValueError for settings that
    leave a side without problems.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        *,
        modulus: int = MODULUS,
        numbers: int = NUMBERS,
        kept_out: float = KEPT_OUT,
        split: int = SPLIT,
        problems: Problems = "training",
        render_mode: str | None = None,
    ) -> None:
        if modulus < 2 or numbers < 2 or not 0 <= kept_out < 1:
            raise ValueError(
                f"SumsModulo got modulus={modulus!r}, numbers={numbers!r}, kept_out={kept_out!r}. "
                "Give a modulus and numbers of 2 or more, and a share from 0 to under 1."
            )
        self.problems = split_problems(numbers, kept_out, split)[problems]
        if not self.problems:
            raise ValueError(
                f"No problem is {problems!r} with numbers={numbers!r}, kept_out={kept_out!r}. "
                "Raise either."
            )
        self.modulus = modulus
        self.render_mode = render_mode
        self.observation_space = spaces.MultiDiscrete([numbers, numbers])
        self.action_space = spaces.Discrete(modulus)
        self._problem = self.problems[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Show the next problem: the one that `options` names, or any."""
        super().reset(seed=seed)
        drawn = self.np_random.integers(len(self.problems))
        self._problem = self.problems[int((options or {}).get("problem", drawn))]
        return self._seen(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take the answer. The episode is over."""
        reward = float(action == sum(self._problem) % self.modulus)
        return self._seen(), reward, True, False, {}

    def render(self) -> str | None:
        """The problem in words, in mode `ansi`."""
        if self.render_mode is None:
            return None
        a, b = self._problem
        return f"{a} + {b} modulo {self.modulus} = ?"

    def _seen(self) -> Observation:
        return np.array(self._problem, dtype=np.int64)


gymnasium.register(TRAINING_ID, PLACE, kwargs={"problems": "training"})
gymnasium.register(KEPT_OUT_ID, PLACE, kwargs={"problems": "kept out"})
