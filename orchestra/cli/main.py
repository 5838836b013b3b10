"""The command line `orchestra`: one file a command, loaded when that command is run."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, metadata

import click

EPILOG = """\b
Examples:
  orchestra run "What is this?" --image photo.jpg
  orchestra plan "Red cotton shirt" --image shirt.jpg --graph listing
  orchestra batch products.csv --out out --limit 20
"""
# The command `run` is `run_command` of `orchestra.cli.run`, and so are the others.
COMMANDS = (
    "advise",
    "apply",
    "attend",
    "batch",
    "bench",
    "book",
    "calibrate",
    "compare",
    "costs",
    "decisions",
    "diff",
    "eval",
    "export",
    "finetune",
    "init",
    "keys",
    "label",
    "models",
    "plan",
    "refit",
    "replay",
    "resume",
    "review",
    "rollback",
    "run",
    "serve",
    "show",
    "tenants",
    "usage",
)

OF_SERVERS = ("book", "keys", "serve", "tenants", "usage")
LEARNING = ("finetune", "label")  # commands that work out large products, and little beside them


class Commands(click.Group):
    """Imports a command's module when it is asked for: LangGraph takes seconds to import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`, or None."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in LEARNING:
            # Engines have their own threads. Those of BLAS would wait for each other between them.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        with _uncollected():
            room = "orchestra.cli.server" if cmd_name in OF_SERVERS else "orchestra.cli"
            return getattr(import_module(f"{room}.{cmd_name}"), f"{cmd_name}_command")


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: modules are made of objects that stay, and it would look for
    others among them over and over, a tenth of the time that importing takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


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
