"""Opens any Gymnasium environment for the learner and turns what it shows into tokens.

It knows no policy. An environment is named by its id (`orchestra/SumsModulo-v0`, `package:Id-v0`)
or as `module:Class`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import workers.zero.environment  # registers our environments
from orchestra.core.errors import UsageError

EVALUATION_EPISODES = 200  # of an environment that does not list its problems
LONGEST_EPISODE = 500  # steps


@dataclass(frozen=True, slots=True)
class TokenEnvironment:
    """An environment with finitely many things to see and to do.

    `sizes` are how many values each token of an observation has, `lows` the least of each.
    """

    name: str
    env: gymnasium.Env[Any, Any]
    sizes: tuple[int, ...]
    lows: tuple[int, ...]
    actions: int
    first_action: int

    @classmethod
    def open(cls, name: str) -> TokenEnvironment:
        """The environment called `name`, checked by Gymnasium's own checker.

        Raises UsageError for one that is not there, fails the check, or has other spaces.
        """
        env = _made(name)
        sizes, lows = _tokens(env.observation_space, name)
        if not isinstance(env.action_space, spaces.Discrete):
            raise UsageError(
                f"The environment {name!r} has actions {env.action_space}; the policy chooses one "
                "of a list. Wrap it so that its action space is Discrete."
            )
        try:
            check_env(_made(name).unwrapped, skip_render_check=True)
        except Exception as cause:  # the checker asserts, and the environment may raise anything
            raise UsageError(
                f"The environment {name!r} fails Gymnasium's checker: {cause} Mend it: "
                "gymnasium.utils.env_checker.check_env(env) repeats the check."
            ) from cause
        return cls(name, env, sizes, lows, int(env.action_space.n), int(env.action_space.start))

    @property
    def query(self) -> int:
        """The token behind an observation, where the policy is asked for its action."""
        return max(self.sizes)

    def read(self, observation: Any) -> list[int]:
        """The tokens of an observation, the query at the end."""
        flat = np.asarray(observation, dtype=np.int64).reshape(-1)
        return [*(int(v) - low for v, low in zip(flat, self.lows, strict=True)), self.query]

    def copies(self, count: int) -> list[gymnasium.Env[Any, Any]]:
        """Environments like this one, to be played side by side."""
        return [_made(self.name) for _ in range(count)]

    def starts(self) -> Iterator[dict[str, Any]]:
        """What to reset with, so that each problem is seen once, if the environment lists them.

        Its attribute `problems` is such a list, and `reset(options={"problem": k})` gives the k-th.
        """
        problems = getattr(self.env.unwrapped, "problems", None)
        if problems is None:
            yield from ({"seed": number} for number in range(EVALUATION_EPISODES))
        else:
            yield from ({"options": {"problem": number}} for number in range(len(problems)))


def _made(name: str) -> gymnasium.Env[Any, Any]:
    module, _, attribute = name.partition(":")
    try:
        if attribute and hasattr(importlib.import_module(module), attribute):
            return gymnasium.make(EnvSpec(id=attribute, entry_point=name))
        return gymnasium.make(name)
    except (ImportError, gymnasium.error.Error, TypeError, ValueError) as cause:
        raise UsageError(
            f"The environment {name!r} cannot be made: {cause} Name an id that is registered "
            f"(as {workers.zero.environment.TRAINING_ID!r}), 'package:Id-v0', or 'module:Class'."
        ) from cause


def _tokens(space: spaces.Space[Any], name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(space, spaces.Discrete):
        return (int(space.n),), (int(space.start),)
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(space.nvec.reshape(-1).tolist()), tuple(space.start.reshape(-1).tolist())
    if isinstance(space, spaces.MultiBinary):
        count = int(np.prod(space.shape))
        return (2,) * count, (0,) * count
    raise UsageError(
        f"The environment {name!r} shows {space}; the policy reads Discrete, MultiDiscrete and "
        "MultiBinary. Wrap it in gymnasium.wrappers.TransformObservation."
    )
