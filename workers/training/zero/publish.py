"""Makes a trained policy usable at once: a fleet with its card, beside the weights."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from orchestra.core.card import FleetFile
from orchestra.core.files.atomic import write_text
from orchestra.core.files.yaml_file import yaml_text
from workers.training.zero.curve import Point
from workers.training.zero.token_environment import TokenEnvironment
from workers.zero.environment import SumsModulo

FLEET = "fleet.yaml"
HEADER = "# Written by workers.training.zero.train. The policy lies beside this file.\n"


def write_fleet(out: Path, world: TokenEnvironment, env: str, capability: str, last: Point) -> None:
    """Write `fleet.yaml`: one card that offers `capability` and answers what `env` shows.

    Its quality is the share of problems solved at the `last` point of the curve.
    """
    seen = "shown in training" if last.kept_out is None else "kept out of training"
    solved = last.training if last.kept_out is None else last.kept_out
    name = type(world.env.unwrapped).__name__.lower()
    card: dict[str, Any] = {
        "name": name,
        "role": "R1-Zero",
        "about": f"A policy that learnt {env} from rewards alone.",
        "capabilities": [capability],
        "classifies": True,  # an answer is one of its actions, whatever the question's words
        "profile": {"origin": "estimated", "fixed_ms": 1.0},
        "quality": {
            capability: {
                "score": round(100 * solved, 1),
                "origin": "measured",
                "measure": f"problems of {env} {seen}, solved by the likeliest actions",
            }
        },
        "hosting": {
            "memory_gib": 0.35,
            "worker": "workers.zero.engine:ZeroEngine",
            "checkpoint": ".",
            "schema_in_prompt": False,
            "max_batch": 64,
        },
        "limits": {"context_tokens": 512},
        "price": {"as_of": date.today().isoformat()},
        "example": example_of(world),
    }
    raw = {"name": name, "about": f"What learnt {env}.", "models": [card]}
    FleetFile.model_validate(raw)
    write_text(out / FLEET, yaml_text(raw, HEADER))


def example_of(world: TokenEnvironment) -> str:
    """A question that the policy can answer: the environment's own, or what it shows first."""
    env = world.env.unwrapped
    if isinstance(env, SumsModulo):
        return f"What is 1 + 1 modulo {env.modulus}?"
    own = getattr(env, "example", None)
    if own is not None:
        return str(own)
    shown, _ = world.env.reset(seed=0)
    *places, _ = world.read(shown)
    return " ".join(str(low + place) for low, place in zip(world.lows, places, strict=True))
