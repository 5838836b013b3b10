"""Environments for tests of the learner: counted, broken, of several steps, of other spaces."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from workers.zero.environment import SumsModulo


class Counted(SumsModulo):
    """Sums whose episodes are counted over all environments of this class."""

    episodes: ClassVar[int] = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Count, and show the next problem."""
        type(self).episodes += 1
        return super().reset(seed=seed, options=options)


class Corridor(gymnasium.Env[np.int64, np.int64]):
    """Walk three steps to the right in time; its numbers begin at 10, its actions at 1."""

    def __init__(self) -> None:
        self.observation_space = spaces.Discrete(4, start=10)
        self.action_space = spaces.Discrete(2, start=1)
        self._place, self._steps = 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Stand at the left end."""
        super().reset(seed=seed)
        self._place, self._steps = 0, 0
        return np.int64(10), {}

    def step(self, action: np.int64) -> Any:
        """Go left (1) or right (2)."""
        self._place = max(0, self._place + (1 if action == 2 else -1))
        self._steps += 1
        won = self._place == 3
        return np.int64(10 + self._place), float(won), won, self._steps >= 8, {}


class Broken(Corridor):
    """Shows what its space does not hold."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Stand outside the space."""
        super().reset(seed=seed)
        return np.int64(99), {}


class Continuous(SumsModulo):
    """Takes any number as its action."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Box(-1.0, 1.0, dtype=np.float32)  # pyright: ignore

    def step(self, action: Any) -> Any:
        """Any answer is wrong."""
        return super().step(np.int64(0))
