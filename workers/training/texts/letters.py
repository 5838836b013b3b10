"""How often letters stand, and stand beside each other, in text of a hundred languages.

Made of the encoder's vocabulary, whose pieces have log probabilities (XLM-RoBERTa's, MIT). The file
tells which encoding of a table is plausible as text: `orchestra/batch/tables/plausible.py`.

    python -m workers.training.texts.letters orchestra/batch/tables/letters.json.gz
"""

from __future__ import annotations

import gzip
import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from workers.encoder.normal import SPACE
from workers.encoder.packed import read_packed
from workers.encoder.source import find_file, map_file

STEP = 0.25  # nats between two levels
LEAST_LOG = -18.0
FIRST_PIECE = 4  # those before it are marks


def main(target: Path) -> None:
    """Write the table of letters to `target`."""
    pieces = read_packed(map_file(find_file())).pieces
    alone: dict[str, float] = defaultdict(float)
    pairs: dict[str, float] = defaultdict(float)
    begun: dict[str, float] = defaultdict(float)
    for index in range(FIRST_PIECE, len(pieces.scores)):
        raw = bytes(pieces.text[pieces.offsets[index] : pieces.offsets[index + 1]])
        text = raw.decode("utf-8", "ignore").replace(SPACE, " ").lower()
        weight = math.exp(float(pieces.scores[index]))
        for letter in text:
            alone[letter] += weight
        for first, second in pairwise(text):
            pairs[first + second] += weight
            begun[first] += weight
    total = sum(alone.values())
    letters = {letter: math.log(weight / total) for letter, weight in alone.items()}
    beside = {
        pair: math.log(weight / begun[pair[0]])
        for pair, weight in pairs.items()
        if not pair.isascii() and not any(map(_is_spelled_alone, pair))
    }
    content = {"step": STEP, "letters": _levels(letters), "pairs": _levels(beside)}
    packed = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    target.write_bytes(gzip.compress(packed, 9, mtime=0))


def _is_spelled_alone(letter: str) -> bool:
    """Whether a letter's neighbours say little: there are too many Chinese and Korean ones."""
    return "\u2e80" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7af" or letter >= "\uf900"


def _levels(logs: Mapping[str, float]) -> dict[str, str]:
    """What has the same rounded logarithm, joined into one text."""
    levels: dict[int, list[str]] = defaultdict(list)
    for text, log in logs.items():
        if log >= LEAST_LOG:
            levels[round(-log / STEP)].append(text)
    return {str(level): "".join(sorted(levels[level])) for level in sorted(levels)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
