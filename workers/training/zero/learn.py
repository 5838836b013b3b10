"""Policy-gradient learning from rewards alone: play, remember, replay; it knows no task.

REINFORCE with a baseline, made to use each episode more than once. An episode is played with the
policy as it stands and kept; updates draw kept steps again and weigh each by how much likelier the
policy has become to act so (importance sampling, the weight cut as in ACER, Wang et al., 2017).
Nothing but played episodes is learnt from, and each counts once, whether it was solved or not.

Shapes: B steps in a batch, T tokens of an observation, A actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Qwen2ForCausalLM

from workers.training.zero.policy import action_logits
from workers.training.zero.token_environment import LONGEST_EPISODE, TokenEnvironment

RANDOM_EPISODES = 4000
AT_ONCE = 256  # environments that are measured side by side
SOLVED = 1.0  # the total reward of an episode that counts as solved


@dataclass(frozen=True, slots=True)
class LearnerSettings:
    """How a policy learns. `window` episodes give the baseline and the rate that is reported.

    The learning rate falls in a line to `last_lr_share` of itself. The strong weight decay is what
    makes the policy find the rule instead of a table of answers (docs/experiments.md).
    """

    episodes: int = 5000
    episodes_per_round: int = 50
    updates_per_round: int = 40
    batch: int = 256
    lr: float = 1e-3
    last_lr_share: float = 0.1
    weight_decay: float = 2.0
    most_weight: float = 2.0
    window: int = 500


@dataclass(frozen=True, slots=True)
class LearningProgress:
    """How far learning is: episodes played, and the share solved of the last `window`."""

    episodes: int
    solve_rate: float


@dataclass(slots=True)
class Memory:
    """Every step of every episode: what was seen, done, how likely that was, what followed."""

    seen: list[list[int]] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)

    def draw(self, count: int, dice: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(seen_BT, actions_B, chances_B, returns_B) of `count` steps, drawn evenly."""
        rows = torch.randint(len(self.actions), (count,), generator=dice).tolist()
        return (
            torch.tensor([self.seen[row] for row in rows]),
            torch.tensor([self.actions[row] for row in rows]),
            torch.tensor([self.chances[row] for row in rows]),
            torch.tensor([self.returns[row] for row in rows]),
        )


def policy_loss(
    logits_BA: Tensor, actions_B: Tensor, chances_B: Tensor, gains_B: Tensor, most_weight: float
) -> Tensor:
    """The policy gradient's loss: `gains_B` are returns above the baseline.

    `chances_B` are the probabilities with which the actions were drawn; a step whose action has
    become likelier counts more, up to `most_weight` times.
    """
    logs_B = logits_BA.log_softmax(-1).gather(1, actions_B[:, None])[:, 0]
    weights_B = (logs_B.detach().exp() / chances_B).clamp(max=most_weight)
    return -(weights_B * gains_B * logs_B).mean()


class Learner:
    """One policy that learns in one world. The same seed gives the same policy."""

    def __init__(
        self,
        policy: Qwen2ForCausalLM,
        world: TokenEnvironment,
        settings: LearnerSettings,
        seed: int,
    ) -> None:
        self.policy, self.world, self.settings = policy, world, settings
        self._dice = torch.Generator().manual_seed(seed)
        self._seed: int | None = seed
        self._memory = Memory()
        self._totals: list[float] = []
        self._optimizer = torch.optim.AdamW(
            policy.parameters(),
            lr=settings.lr,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
        )

    def learn(self) -> Iterator[LearningProgress]:
        """Play rounds of episodes and learn from all so far; tells of each round."""
        while (left := self.settings.episodes - len(self._totals)) > 0:
            for _ in range(min(left, self.settings.episodes_per_round)):
                self._play()
            recent = self._totals[-self.settings.window :]
            done = len(self._totals) / self.settings.episodes
            for group in self._optimizer.param_groups:
                group["lr"] = self.settings.lr * (1 - (1 - self.settings.last_lr_share) * done)
            for _ in range(self.settings.updates_per_round):
                self.update(baseline=float(np.mean(recent)))
            yield LearningProgress(len(self._totals), float(np.mean(np.array(recent) >= SOLVED)))

    def update(self, baseline: float) -> None:
        """One gradient step on steps drawn from all that was played."""
        seen_BT, actions_B, chances_B, returns_B = self._memory.draw(
            self.settings.batch, self._dice
        )
        logits_BA = action_logits(self.policy, seen_BT, self.world.actions)
        gains_B = returns_B - baseline
        loss = policy_loss(logits_BA, actions_B, chances_B, gains_B, self.settings.most_weight)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
        self._optimizer.step()

    @torch.no_grad()
    def _play(self) -> None:
        """One episode, its actions drawn from the policy."""
        env, memory = self.world.env, self._memory
        observation, _ = env.reset(seed=self._seed)
        self._seed = None  # seeded once: the environment draws on from there
        rewards: list[float] = []
        ended = False
        while not ended and len(rewards) < LONGEST_EPISODE:
            seen = self.world.read(observation)
            chances_A = action_logits(
                self.policy, torch.tensor([seen]), self.world.actions
            ).softmax(-1)[0]
            action = int(torch.multinomial(chances_A, 1, generator=self._dice))
            observation, reward, done, cut, _ = env.step(np.int64(action + self.world.first_action))
            memory.seen.append(seen)
            memory.actions.append(action)
            memory.chances.append(float(chances_A[action]))
            rewards.append(float(reward))
            ended = done or cut
        memory.returns += np.cumsum(rewards[::-1])[::-1].tolist()
        self._totals.append(sum(rewards))


@torch.no_grad()
def solve_rate(policy: Qwen2ForCausalLM, world: TokenEnvironment) -> float:
    """Share of the world's problems that the likeliest actions solve; nothing is learnt."""

    def likeliest(seen: list[list[int]]) -> list[int]:
        return action_logits(policy, torch.tensor(seen), world.actions).argmax(-1).tolist()

    return _solved_share(world, likeliest, list(world.starts()))


def random_rate(world: TokenEnvironment, seed: int) -> float:
    """Share of episodes that evenly drawn actions solve, in at least `RANDOM_EPISODES` plays."""
    dice = np.random.default_rng(seed)
    once = list(world.starts())
    starts = once * -(-RANDOM_EPISODES // len(once))

    def any_action(seen: list[list[int]]) -> list[int]:
        return dice.integers(world.actions, size=len(seen)).tolist()

    return _solved_share(world, any_action, starts)


def _solved_share(
    world: TokenEnvironment,
    choose: Callable[[list[list[int]]], list[int]],
    starts: list[dict[str, Any]],
) -> float:
    """Play `starts`, many at a time so that the policy is asked for many actions at once."""
    envs = world.copies(min(len(starts), AT_ONCE))
    solved: list[bool] = []
    for begin in range(0, len(starts), AT_ONCE):
        some = starts[begin : begin + AT_ONCE]
        totals = _totals(world, choose, envs[: len(some)], some)
        solved += (totals >= SOLVED).tolist()
    return float(np.mean(solved))


def _totals(
    world: TokenEnvironment,
    choose: Callable[[list[list[int]]], list[int]],
    envs: list[gymnasium.Env[Any, Any]],
    starts: list[dict[str, Any]],
) -> NDArray[np.float64]:
    """The total reward of one episode of each environment, played side by side."""
    shown = [env.reset(**start)[0] for env, start in zip(envs, starts, strict=True)]
    totals = np.zeros(len(envs))
    under_way = list(range(len(envs)))
    for _ in range(LONGEST_EPISODE):
        actions = choose([world.read(shown[at]) for at in under_way])
        still: list[int] = []
        for at, action in zip(under_way, actions, strict=True):
            shown[at], reward, done, cut, _ = envs[at].step(np.int64(action + world.first_action))
            totals[at] += float(reward)
            if not (done or cut):
                still.append(at)
        under_way = still
        if not under_way:
            break
    return totals
