"""Takes a prompt apart into what is asked and the options to choose from; it judges neither."""

from __future__ import annotations

import re
from dataclasses import dataclass

OPTION = re.compile(r"^\(?([A-J])[.):] ?", re.MULTILINE)
CUE_TO_ANSWER = re.compile(r"\s*\bAnswer:\s*$")
WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?|[\u3400-\u9fff]")
LEAST_OPTIONS = 2


@dataclass(frozen=True, slots=True)
class Exercise:
    """The stem, the options without their letters, and the words (CJK: characters) of each."""

    stem: str
    options: tuple[str, ...]
    words: tuple[str, ...]
    option_words: tuple[tuple[str, ...], ...]


def read(text: str) -> Exercise:
    """Options are lines that begin with A, B, ... in order, after the stem; there may be none."""
    body = CUE_TO_ANSWER.sub("", text).strip()
    marks = _run_from_a(list(OPTION.finditer(body)))
    if len(marks) < LEAST_OPTIONS:
        return Exercise(body, (), words_of(body), ())
    ends = [mark.start() for mark in marks[1:]] + [len(body)]
    options = tuple(body[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True))
    stem = body[: marks[0].start()].strip()
    return Exercise(stem, options, words_of(stem), tuple(map(words_of, options)))


def words_of(text: str) -> tuple[str, ...]:
    """Words as they stand, and CJK characters one by one."""
    return tuple(WORD.findall(text))


def _run_from_a(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    """The first run of marks A, B, C, ...; lines within an option that look like a mark are not."""
    run: list[re.Match[str]] = []
    for mark in marks:
        expected = chr(ord("A") + len(run))
        if mark.group(1) == expected:
            run.append(mark)
        elif mark.group(1) == "A" and len(run) < LEAST_OPTIONS:
            run = [mark]
    return run
