"""Choices by names alone, with examples, and "none of these", on texts with known categories.

    python -m benchmarks.choice FILE [--examples 5] [--names zh] [--labels NAMES.yaml] [--json]

FILE is JSON lines with `input` and `category`; the options are the categories of the file, or what
the labels call them; `--unlisted` measures Chinese names that no list knows.
`benchmarks/choice/reviews.jsonl` measures sentiment.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.choice.measure import (
    Texts,
    by_examples,
    by_names,
    mean,
    read_rows,
    seconds_a_text,
    titles_of,
)
from orchestra.core.errors import InvalidLabels
from orchestra.core.files.yaml_file import load_yaml
from workers.choice.chooser import Chooser
from workers.encoder.encoder import shared_encoder
from workers.training.choice.goods import goods, pairs, unlisted

CHINESE = Path(__file__).parent / "zh.yaml"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.choice",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="example: python -m benchmarks.choice benchmarks/choice/reviews.jsonl --json",
    )
    parser.add_argument("file", type=Path, help="JSON lines with 'input' and 'category'")
    parser.add_argument("--examples", type=int, default=0, help="also with so many a category")
    parser.add_argument("--names", choices=("en", "zh"), default="en", help="zh: by --labels")
    parser.add_argument("--labels", type=Path, help="YAML or JSON, category to name")
    parser.add_argument(
        "--unlisted", action="store_true", help="the list of goods in two languages lacks the names"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the encoder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    rows = read_rows(given.file)
    path = given.labels or (CHINESE if given.names == "zh" else None)
    labels = load_yaml(path, what="labels", error=InvalidLabels) if path else None
    categories = sorted({category for _, category in rows})
    encoder = shared_encoder(given.threads)
    read = encoder.encode([text for text, _ in rows])
    titles = titles_of(categories, labels)
    listed = goods(unlisted(pairs(), titles), encoder) if given.unlisted else None
    chooser = Chooser(encoder, goods=listed)
    texts = Texts(tuple(read), tuple(c for _, c in rows), titles)
    found: dict[str, Any] = {
        "file": given.file.name,
        "texts": len(rows),
        "categories": len(categories),
        "names": asdict(by_names(chooser, texts)),
        "ms_a_text": 1000 * seconds_a_text(chooser, texts, encoder.encode),
    }
    if given.examples:
        found[f"examples_{given.examples}"] = mean(by_examples(chooser, texts, given.examples))
    print(json.dumps(found, ensure_ascii=False, indent=2) if given.json else _told(found))


def _told(found: dict[str, Any]) -> str:
    lines = [f"{found['file']}: {found['texts']} texts, {found['categories']} categories"]
    for key, score in found.items():
        if isinstance(score, dict):
            none = score["none_auroc"]
            lines.append(
                f"{key}: {score['table']:.1%} right in one table, {score['alone']:.1%} each alone; "
                f"alone {score['taken']:.1%} taken, {score['right_of_taken']:.1%} right of these"
                + (f"; none of these, AUROC {none:.3f}" if none is not None else "")
            )
    lines.append(f"{found['ms_a_text']:.1f} ms a text, read and chosen one at a time")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
