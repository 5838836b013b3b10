"""Whether `orchestra advise` recommends, of the article's fleet, what the article does (claim C9).

    python -m benchmarks.advice

One line a case: what the article says, and what comes first here. It measures no model.
"""

from __future__ import annotations

from orchestra.fleet.source import load_fleet
from orchestra.routing.advice import Need, advise

CASES: dict[str, tuple[Need, str]] = {
    "scarce resources": (Need("text", deployment="edge"), "v2"),
    "text and image balanced": (Need("both"), "v3"),
    "visual precision": (Need("image", aim="accuracy"), "vl"),
    "research": (Need("text", aim="research"), "r1-zero"),
}


def main() -> None:
    """Print each case, and how many agree."""
    file, _ = load_fleet("article")
    agreed = 0
    for case, (need, wanted) in CASES.items():
        first = [card.name for _, card in advise(need, file).ranked[0].cards]
        agreed += set(first) == {wanted}
        print(f"{case}: the article {wanted}, advise {' + '.join(dict.fromkeys(first))}")
    print(f"agrees with the article: {agreed} of {len(CASES)}")


if __name__ == "__main__":
    main()
