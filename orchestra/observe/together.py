"""Metrics of several processes added up, so that each tells what all of them counted.

Counters and histograms of a process that ended stay counted; its gauges go with it. What is of a
process alone (its memory, its garbage) is left out: only our own metrics are added.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

try:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:  # comes with the `ray` extra
    text_string_to_metric_families = None

OURS = "orchestra_"
KEPT = ("counter", "histogram", "summary")
# Each process tells the same: the newest is the least.
LEAST = ("orchestra_budget_left_usd", "orchestra_canary_percent")
Sample = tuple[str, tuple[tuple[str, str], ...]]  # its name, and its labels in their order


class Together:
    """The newest metrics of each process, by its name, and of those that ended as one."""

    def __init__(self) -> None:
        self._of: dict[str, bytes] = {}
        self._ended = b""

    def heard(self, name: str, samples: bytes) -> None:
        """Have these in place of what the process told before."""
        self._of[name] = samples

    def gone(self, name: str) -> None:
        """Keep what a process counted that has ended."""
        last = self._of.pop(name, b"")
        if last:
            self._ended = added((self._ended, last), kinds=KEPT)

    def kept(self) -> str:
        """All of it as JSON, for a process that goes on with it."""
        return json.dumps(
            [self._ended.decode(), {name: told.decode() for name, told in self._of.items()}]
        )

    def restore(self, kept: str) -> list[str]:
        """Begin with what another process kept; the names of those that had not ended."""
        ended, of = json.loads(kept)
        self._ended = ended.encode()
        self._of = {name: told.encode() for name, told in of.items()}
        return [*self._of]

    def samples(self) -> tuple[bytes, ...]:
        """The metrics of all of them, to be added up."""
        return tuple(filter(None, (self._ended, *self._of.values())))


def added(
    expositions: Iterable[bytes],
    *,
    kinds: Iterable[str] | None = None,
    without: Iterable[str] = (),
) -> bytes:
    """The sum of expositions in Prometheus' text format, of metrics of `kinds`, `without` some."""
    if text_string_to_metric_families is None:
        return b""
    wanted, left_out = None if kinds is None else set(kinds), set(without)
    families: dict[str, Metric] = {}
    sums: dict[str, dict[Sample, float]] = {}
    for exposition in expositions:
        for family in text_string_to_metric_families(exposition.decode()):
            name = family.name
            if not name.startswith(OURS) or name in left_out or name.endswith("_created"):
                continue
            if wanted is not None and family.type not in wanted:
                continue
            families.setdefault(name, family)
            of_family = sums.setdefault(name, {})
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    key = (sample.name, tuple(sorted(sample.labels.items())))
                    known = of_family.get(key)
                    if known is not None and name in LEAST:
                        of_family[key] = min(known, sample.value)
                    else:
                        of_family[key] = (known or 0.0) + sample.value
    return b"".join(
        family_text(name, families[name].type, families[name].documentation, sums[name])
        for name in sorted(families)
    )


def beside_ours(exposition: bytes) -> bytes:
    """What an exposition tells of its process alone, as it stands there."""
    kept: list[str] = []
    is_ours = False
    for line in exposition.decode().splitlines(keepends=True):
        if line.startswith("# HELP "):
            is_ours = line.split(" ")[2].startswith(OURS)
        if not is_ours:
            kept.append(line)
    return "".join(kept).encode()


def family_text(name: str, kind: str, about: str, samples: Mapping[Sample, float]) -> bytes:
    """One metric in Prometheus' text format; its `samples` by their names and labels."""
    told = f"{name}_total" if kind == "counter" else name
    lines = [f"# HELP {told} {_escaped(about)}", f"# TYPE {told} {kind}"]
    for (sample, labels), value in samples.items():
        pairs = ",".join(f'{label}="{_quoted(of)}"' for label, of in labels)
        lines.append(f"{sample}{{{pairs}}} {value}" if pairs else f"{sample} {value}")
    return ("\n".join(lines) + "\n").encode()


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")
