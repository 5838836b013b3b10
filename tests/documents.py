"""Reads the documents as their readers do: files that are named in them, and commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED_AS = re.compile(r"block as `([\w.]+)`")


def files(page: str) -> dict[str, str]:
    """The files of a page: blocks that begin with their name, and one that the text names."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = {
        body.partition("\n")[0].removeprefix("# "): body
        for kind, body in BLOCK.findall(text)
        if kind in ("python", "yaml")
    }
    named = [body for kind, body in BLOCK.findall(text) if kind == "json"]
    return found | dict(zip(SAVED_AS.findall(text), named, strict=True))


def command_lines(page: str) -> list[list[str]]:
    """What follows `orchestra` in each command of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [
        line for kind, body in BLOCK.findall(text) if kind == "bash" for line in body.split("\n")
    ]
    commands = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in commands if words[:1] == ["orchestra"]]
