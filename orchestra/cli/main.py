"""The command line `orchestra`: one file a command, loaded when that command is run."""

from __future__ import annotations

import os
import sys
from importlib import import_module, metadata

import click

EPILOG = """\b
Examples:
  orchestra run "What is this?" --image photo.jpg
  orchestra plan "Red cotton shirt" --image shirt.jpg --graph listing
  orchestra batch products.csv --out out --limit 20
"""
COMMANDS = {
    "advise": ("orchestra.cli.advise", "advise"),
    "attend": ("orchestra.cli.attend", "attend"),
    "batch": ("orchestra.cli.batch", "batch"),
    "bench": ("orchestra.cli.bench", "bench_command"),
    "calibrate": ("orchestra.cli.calibrate", "calibrate_command"),
    "compare": ("orchestra.cli.compare", "compare_command"),
    "costs": ("orchestra.cli.costs", "costs_command"),
    "eval": ("orchestra.cli.eval", "evaluate_command"),
    "finetune": ("orchestra.cli.finetune", "finetune_command"),
    "init": ("orchestra.cli.init", "init"),
    "label": ("orchestra.cli.label", "label_command"),
    "models": ("orchestra.cli.models", "models"),
    "plan": ("orchestra.cli.plan", "plan"),
    "refit": ("orchestra.cli.refit", "refit_command"),
    "replay": ("orchestra.cli.replay", "replay_command"),
    "run": ("orchestra.cli.run", "run"),
    "serve": ("orchestra.cli.serve", "serve"),
    "show": ("orchestra.cli.show", "show"),
}


class Commands(click.Group):
    """Imports a command's module when it is asked for: LangGraph takes seconds to import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        return getattr(import_module(module), attribute)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("orchestra-fleet"), prog_name="orchestra")
def main() -> None:
    """One graph, many models, one budget: route, run and batch jobs of text and photos."""
    # Bundled checkpoints only: no model library may ask a hub, or warn about forks.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # `--graph shop:build` means shop.py of the working folder, as it does for `serve run`.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
