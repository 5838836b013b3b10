"""A command of `orchestra`: it has `--json`, prints what was found, and fails in one way."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from orchestra.core.errors import NoFeasiblePlan, OrchestraError, UsageError

Function = TypeVar("Function", bound=Callable[..., Any])
EXIT_FAILED = 1
EXIT_USAGE = 2
_AS_JSON = "orchestra.as_json"


@dataclass(frozen=True, slots=True)
class Output:
    """What a command has found: `public` with `--json`, else `lines`; `notes` go to stderr.

    Lines and notes may be generators: with `--json` they are not read. A failed output ends with 1.
    """

    public: Any
    lines: Iterable[str] = ()
    notes: Iterable[str] = ()
    is_failed: bool = False


class JsonCommand(click.Command):
    """Its function returns an `Output`, or None where it has printed all, or raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON on stdout.")
        )

    def invoke(self, ctx: click.Context) -> None:
        """Run the function and print; an `OrchestraError` ends with 2 if the request is wrong."""
        as_json = ctx.meta[_AS_JSON] = ctx.params.pop("as_json")
        try:
            output: Output | None = super().invoke(ctx)
        except OrchestraError as error:
            if as_json:
                print_json({"error": _public(error)})
            click.echo(f"{error.kind}: {error}", err=True)
            sys.exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED)
        if output is None:
            return
        if as_json:
            print_json(output.public)
        else:
            for line in output.lines:
                click.echo(line)
            for note in output.notes:
                click.echo(note, err=True)
        if output.is_failed:
            sys.exit(EXIT_FAILED)


def command(name: str, examples: str) -> Callable[[Callable[..., Any]], JsonCommand]:
    """The decorator that makes a function the command `name`; its options show their defaults."""
    return click.command(
        name, cls=JsonCommand, epilog=examples, context_settings={"show_default": True}
    )


def is_json() -> bool:
    """Whether the command under way was given `--json`, so that nothing else is to be printed."""
    return click.get_current_context().meta[_AS_JSON]


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def _public(error: OrchestraError) -> dict[str, Any]:
    body: dict[str, Any] = {"type": error.kind, "message": str(error)}
    if isinstance(error, NoFeasiblePlan):
        names = ("tightest", "smallest", "rejected")
        body |= {name: getattr(error, name) for name in names}
    return body
