"""The environment of sums: Gymnasium accepts it, chance is one in eight, no problem leaks."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from workers.zero.environment import KEPT_OUT_ID, TRAINING_ID, SumsModulo, split_problems


def made(name: str, **settings: Any) -> Any:
    return gymnasium.make(f"workers.zero.environment:{name}", **settings)


@pytest.mark.parametrize("name", [TRAINING_ID, KEPT_OUT_ID])
@pytest.mark.parametrize("render_mode", [None, "ansi"])
def test_gymnasiums_checker_finds_nothing(name: str, render_mode: str | None) -> None:
    check_env(made(name, render_mode=render_mode).unwrapped)


def test_the_right_answer_alone_is_rewarded_and_ends_the_episode() -> None:
    env = made(TRAINING_ID, render_mode="ansi")
    for number, (a, b) in enumerate(env.unwrapped.problems[:50]):
        rewards: list[float] = []
        for action in range(8):
            seen, _ = env.reset(options={"problem": number})
            assert seen.tolist() == [a, b]
            assert env.render() == f"{a} + {b} modulo 8 = ?"
            _, reward, done, cut, _ = env.step(np.int64(action))
            assert (done, cut) == (True, False)
            rewards.append(reward)
        assert rewards == [float(action == (a + b) % 8) for action in range(8)]


def test_random_play_solves_about_one_in_eight() -> None:
    env = made(TRAINING_ID)
    env.action_space.seed(7)
    count, solved = 4000, 0.0
    for number in range(count):
        env.reset(seed=7 if number == 0 else None)
        solved += env.step(env.action_space.sample())[1]
    four_sigma = 4 * (0.125 * 0.875 / count) ** 0.5
    assert abs(solved / count - 0.125) < four_sigma


def test_no_problem_and_no_mirror_image_is_on_both_sides() -> None:
    sides = split_problems(numbers=64, kept_out=0.25, split=0)
    training, kept_out = set(sides["training"]), set(sides["kept out"])
    assert len(training) + len(kept_out) == 64 * 64
    assert not training & kept_out
    assert not {(b, a) for a, b in training} & kept_out
    assert abs(len(kept_out) / 4096 - 0.25) < 0.02


def test_an_environment_draws_its_own_side_and_all_of_it() -> None:
    for name in (TRAINING_ID, KEPT_OUT_ID):
        env = made(name, numbers=4, kept_out=0.5)
        side = {"training": TRAINING_ID, "kept out": KEPT_OUT_ID}
        wanted = next(side for side, known in side.items() if known == name)
        drawn = {tuple(env.reset(seed=k)[0].tolist()) for k in range(300)}
        assert drawn == set(split_problems(4, 0.5, 0)[wanted])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"modulus": 1}, "modulus=1"),
        ({"numbers": 1}, "numbers=1"),
        ({"kept_out": 1.0}, "kept_out=1.0"),
        ({"kept_out": 0.0, "problems": "kept out"}, "No problem is 'kept out'"),
    ],
)
def test_settings_that_leave_no_problem_are_refused(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(ValueError, match=part):
        SumsModulo(**settings)
