"""Train a policy from random weights by rewards alone, over several seeds, and draw its curve.

    python -m workers.training.zero.train --episodes 5000 --seeds 0 1 2 --out DIR
    python -m workers.training.zero.train --env my_package:MyEnv --out DIR

DIR gets the curve (curve.csv, curve.png), the log, the policy of the *first* seed, not of the best,
and a fleet that serves it: `orchestra run "..." --graph maths --fleet DIR/fleet.yaml`. A question
is read by the environment's static method `read(question) -> observation | None`, or else number by
number; `get_action_meanings()` names its actions, and `example` a question that it takes.

An episode is one play of the environment; nothing else is learnt from. Rates are measured in
environments of their own, whose plays are neither learnt from nor counted.
"""

from __future__ import annotations

import argparse
import logging
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from transformers import Qwen2ForCausalLM

from orchestra.core.errors import OrchestraError
from workers.training.zero.curve import Point, draw_curve, write_table
from workers.training.zero.learn import Learner, LearnerSettings, random_rate, solve_rate
from workers.training.zero.policy import build_policy, save_policy, task_of
from workers.training.zero.publish import write_fleet
from workers.training.zero.token_environment import TokenEnvironment
from workers.zero.environment import KEPT_OUT_ID, TRAINING_ID

log = logging.getLogger("zero")

REPORTS = 20  # points of a curve, beside the one before learning


def train(
    env: str, kept_out: str | None, seed: int, settings: LearnerSettings
) -> tuple[Qwen2ForCausalLM, list[Point]]:
    """Learn with one seed; the policy, and its curve."""
    started = time.monotonic()
    policy = build_policy(TokenEnvironment.open(env), seed)
    training = TokenEnvironment.open(env)
    unseen = None if kept_out is None else TokenEnvironment.open(kept_out)

    def measured(episodes: int, played: float | None) -> Point:
        kept = None if unseen is None else solve_rate(policy, unseen)
        point = Point(seed, episodes, played, solve_rate(policy, training), kept)
        log.info(
            "seed %d episodes %d played %s training %.3f kept out %s elapsed_s %.0f",
            seed, episodes, _rate(played), point.training, _rate(kept),
            time.monotonic() - started,
        )  # fmt: skip
        return point

    points = [measured(0, None)]
    every = settings.episodes / REPORTS
    for progress in Learner(policy, TokenEnvironment.open(env), settings, seed).learn():
        if progress.episodes >= len(points) * every:
            points.append(measured(progress.episodes, progress.solve_rate))
    return policy, points


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    """Parse the command line, train each seed, write what came of it."""
    args = _parser().parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    kept_out = args.kept_out or (KEPT_OUT_ID if args.env == TRAINING_ID else None)
    with closing(logging.FileHandler(args.out / "train.log", "w")) as file:
        logging.basicConfig(
            level=logging.INFO,
            format="%(asctime)s %(message)s",
            handlers=[logging.StreamHandler(), file],
        )
        try:
            _run(args, kept_out)
        except OrchestraError as error:
            raise SystemExit(f"{error.kind}: {error}") from error


def _run(args: argparse.Namespace, kept_out: str | None) -> None:
    env, seeds, out = args.env, args.seeds, args.out
    settings = replace(LearnerSettings(), episodes=args.episodes)
    task_of(TokenEnvironment.open(env), env)  # what cannot be served shows before it is trained
    by_chance = random_rate(TokenEnvironment.open(env), seeds[0])
    log.info("environment %s kept out %s %s", env, kept_out, settings)
    log.info("random play solves %.3f", by_chance)
    points: list[Point] = []
    for seed in seeds:
        policy, curve = train(env, kept_out, seed, settings)
        points += curve
        if seed == seeds[0]:
            log.info("parameters %d", sum(p.numel() for p in policy.parameters()))
            save_policy(policy, TokenEnvironment.open(env), env, out)
            write_fleet(out, TokenEnvironment.open(env), env, args.capability, curve[-1])
        write_table(points, out / "curve.csv")
    title = f"{env}: seeds {', '.join(map(str, seeds))} thin, their mean thick"
    draw_curve(points, out / "curve.png", title=title, random_rate=by_chance)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default=TRAINING_ID, help="id, package:id, or module:Class")
    parser.add_argument("--kept-out", help="an environment of problems that training never sees")
    parser.add_argument("--capability", default="maths", help="what the fleet's card offers")
    parser.add_argument("--episodes", type=int, default=5000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
