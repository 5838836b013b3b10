"""Learning from rewards: what an update does, what is counted, what is measured on what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gymnasium
import pytest
import torch
from PIL import Image

from orchestra.core.errors import UsageError
from tests.unit.workers.training.zero import zero_worlds
from workers.training.zero.curve import Point, draw_curve, write_table
from workers.training.zero.learn import (
    Learner,
    LearnerSettings,
    policy_loss,
    random_rate,
    solve_rate,
)
from workers.training.zero.policy import action_logits, build_policy
from workers.training.zero.token_environment import TokenEnvironment
from workers.training.zero.train import train
from workers.zero.environment import KEPT_OUT_ID, TRAINING_ID

BRIEF = LearnerSettings(episodes=60, episodes_per_round=20, updates_per_round=2, batch=32)
WORLDS = zero_worlds.__name__


@pytest.mark.parametrize(("gain", "sign"), [(0.9, 1), (-0.1, -1)])
def test_an_update_makes_a_rewarded_action_likelier_and_an_unrewarded_one_less_so(
    gain: float, sign: int
) -> None:
    policy = build_policy(TokenEnvironment.open(TRAINING_ID), seed=0)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    seen_BT, actions_B = (
        torch.tensor([[5, 6, TokenEnvironment.open(TRAINING_ID).query]]),
        torch.tensor([3]),
    )

    def chance() -> torch.Tensor:
        return action_logits(policy, seen_BT, 8).softmax(-1)[0, 3].detach()

    before = chance()
    loss = policy_loss(
        action_logits(policy, seen_BT, 8), actions_B, before[None], torch.tensor([gain]), 2.0
    )
    loss.backward()
    optimizer.step()
    assert sign * float(chance() - before) > 1e-5


def test_a_step_whose_action_became_likelier_counts_more_up_to_the_limit() -> None:
    logits_BA = torch.zeros(1, 4, requires_grad=True)  # each action has a quarter
    sizes: list[float] = []
    for drawn_with in (0.25, 0.2, 0.01):
        loss = policy_loss(
            logits_BA, torch.tensor([1]), torch.tensor([drawn_with]), torch.ones(1), 2.0
        )
        (gradient,) = torch.autograd.grad(loss, logits_BA)
        sizes.append(float(gradient.norm()))
    assert sizes[1] / sizes[0] == pytest.approx(1.25)
    assert sizes[2] / sizes[0] == pytest.approx(2.0)


def test_each_episode_is_played_once_and_none_beside_the_ones_that_are_counted() -> None:
    world = TokenEnvironment.open(f"{WORLDS}:Counted")
    before = zero_worlds.Counted.episodes
    told = list(Learner(build_policy(world, 0), world, replace(BRIEF, episodes=50), 0).learn())
    assert zero_worlds.Counted.episodes - before == 50
    assert [progress.episodes for progress in told] == [20, 40, 50]


def test_the_same_seed_gives_the_same_policy_and_another_seed_another() -> None:
    def weights(seed: int) -> torch.Tensor:
        policy, _ = train(TRAINING_ID, None, seed, BRIEF)
        return torch.cat([p.detach().flatten() for p in policy.parameters()])

    first = weights(3)
    assert torch.equal(first, weights(3))
    assert not torch.equal(first, weights(4))


def test_rates_are_measured_on_the_problems_of_their_own_side_only() -> None:
    world, unseen = TokenEnvironment.open(TRAINING_ID), TokenEnvironment.open(KEPT_OUT_ID)
    policy = build_policy(world, 0)

    def rate(problems: list[tuple[int, int]]) -> float:
        seen_BT = torch.tensor([[a, b, world.query] for a, b in problems])
        answers_B = action_logits(policy, seen_BT, 8).argmax(-1)
        right_B = answers_B == torch.tensor([(a + b) % 8 for a, b in problems])
        return float(right_B.float().mean())

    for side in (world, unseen):
        problems = side.env.get_wrapper_attr("problems")
        assert solve_rate(policy, side) == pytest.approx(rate(problems))
    _, curve = train(TRAINING_ID, KEPT_OUT_ID, 0, BRIEF)
    assert curve[0].kept_out == solve_rate(policy, unseen) != curve[0].training
    assert (curve[0].played, curve[-1].episodes) == (None, 60)


def test_random_play_is_measured_at_about_one_in_eight() -> None:
    world = TokenEnvironment.open(TRAINING_ID)
    assert abs(random_rate(world, 0) - 0.125) < 4 * (0.125 * 0.875 / 4000) ** 0.5


def test_a_users_environment_of_several_steps_is_learnt() -> None:
    world = TokenEnvironment.open(f"{WORLDS}:Corridor")
    assert (world.sizes, world.actions, world.first_action) == ((4,), 2, 1)
    settings = replace(LearnerSettings(), episodes=300, updates_per_round=20)
    policy, curve = train(f"{WORLDS}:Corridor", None, 0, settings)
    assert random_rate(world, 0) < 0.6
    assert (curve[-1].played or 0) > (curve[1].played or 1)
    assert solve_rate(policy, world) == 1.0


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("orchestra/NoSuch-v0", "cannot be made"),
        ("no_such_module:Env", "cannot be made"),
        (f"{WORLDS}:Broken", "fails Gymnasium's checker"),
        (f"{WORLDS}:Continuous", "Discrete"),
        ("CartPole-v1", "MultiDiscrete"),
    ],
)
def test_an_environment_that_cannot_be_learnt_is_refused_with_its_cure(
    name: str, part: str
) -> None:
    with pytest.raises(UsageError, match=part):
        TokenEnvironment.open(name)


def test_an_environment_is_found_by_the_package_that_registers_it() -> None:
    assert TokenEnvironment.open(f"workers.zero.environment:{KEPT_OUT_ID}").actions == 8
    gymnasium.register("tests/Corridor-v0", f"{WORLDS}:Corridor")
    assert TokenEnvironment.open("tests/Corridor-v0").query == 4


def test_a_curve_is_a_table_and_a_picture(tmp_path: Path) -> None:
    points = [
        Point(0, 0, None, 0.125, None),
        Point(0, 100, 0.5, 0.625, None),
        Point(1, 0, None, 0.1, None),
        Point(1, 100, 0.25, 0.5, None),
    ]
    write_table(points, tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text().split() == [
        "seed,episodes,played,training,kept_out",
        "0,0,,0.1250,",
        "0,100,0.5000,0.6250,",
        "1,0,,0.1000,",
        "1,100,0.2500,0.5000,",
    ]
    draw_curve(points, tmp_path / "curve.png", title="two seeds", random_rate=0.125)
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (900, 480)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
        blue, green = (0x2A, 0x6F, 0xB0), (0x2B, 0x8A, 0x3E)
        assert blue in colours and green not in colours  # nothing was kept out
