"""Parts what a model thinks from what it answers, by the marks that R1 and its kin write. Pure."""

from __future__ import annotations

from dataclasses import dataclass

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"


@dataclass(slots=True)
class Thoughts:
    """Parts what a model thinks from what it answers, in one text or piece by piece.

    `inside`: the chat template opens the thought, so that the text holds only `</think>`.
    """

    inside: bool = False
    thinking: str = ""
    answer: str = ""
    _held: str = ""
    _began: bool = False

    def feed(self, piece: str) -> str:
        """What of `piece`, and of what was held back, is certainly answer."""
        self._held += piece
        if not self._began and not self.inside:
            if THINK_OPEN.startswith(self._held.lstrip()):
                return ""  # it may still become a thought
            self._began = True
            if self._held.lstrip().startswith(THINK_OPEN):
                self.inside = True
                self._held = self._held.lstrip().removeprefix(THINK_OPEN)
        if self.inside:
            thought, closed, rest = self._held.partition(THINK_CLOSE)
            if not closed:
                return ""
            self.thinking += thought.strip()
            self.inside, self._began, self._held = False, True, rest
        return self._answered(self._held)

    def end(self) -> str:
        """What is left at the end: an answer, though a thought was expected."""
        left = self._held
        if self.inside and self._began:
            self.thinking, left = left.strip(), ""  # it opened a thought and never closed it
        return self._answered(left)

    def _answered(self, text: str) -> str:
        text, self._held = text if self.answer else text.lstrip(), ""
        self.answer += text
        return text


def part_thoughts(text: str) -> tuple[str, str]:
    """(thinking, answer) of a whole text; a lone `</think>` ends a thought too."""
    lone = THINK_CLOSE in text and not text.lstrip().startswith(THINK_OPEN)
    thoughts = Thoughts(inside=lone)
    thoughts.feed(text)
    thoughts.end()
    return thoughts.thinking, thoughts.answer
