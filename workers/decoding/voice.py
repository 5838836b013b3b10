"""Spells the bytes of a growing answer as whole characters; knows no tokens."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Voice:
    """The text of one answer, told piece by piece.

    A character whose bytes are not all there yet waits for the next token, so a piece never
    ends within one. `hear` is given each piece as it is spelled; the pieces joined are `text`.
    With `trims`, white space before the first word is left out.
    """

    hear: Callable[[str], None] | None = None
    trims: bool = False
    pieces: list[str] = field(default_factory=list)
    _spelling: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    @property
    def text(self) -> str:
        """All that was spelled so far."""
        return "".join(self.pieces)

    def say(self, data: bytes) -> None:
        """Spell `data`, the bytes that follow."""
        self._tell(self._spelling.decode(data))

    def end(self) -> None:
        """Spell what was left of a character that never became whole."""
        self._tell(self._spelling.decode(b"", final=True))

    def _tell(self, piece: str) -> None:
        if self.trims and not self.pieces:
            piece = piece.lstrip()
        if not piece:
            return
        self.pieces.append(piece)
        if self.hear is not None:
            self.hear(piece)
