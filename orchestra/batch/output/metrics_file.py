"""What a batch came to as a file of metrics, for node_exporter's textfile collector.

A batch ends before anybody scrapes it, so its figures are left where a collector finds them.
"""

from __future__ import annotations

import time
from pathlib import Path

from orchestra.batch.output.summary import Summary
from orchestra.core.errors import UsageError
from orchestra.core.files.atomic import atomic_file

ENDING = ".prom"  # what the collector reads


def check_metrics_file(path: Path) -> None:
    """Raise `UsageError` for a file that no collector would read, or that cannot be written."""
    if path.suffix != ENDING:
        raise UsageError(
            f"--metrics-file={str(path)!r} does not end with {ENDING!r}, and node_exporter reads "
            f"no other file. Name it {path.stem}{ENDING}."
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"The folder of --metrics-file={str(path)!r} is not there. Make it, or give the folder "
            "of node_exporter's --collector.textfile.directory."
        )


def write_metrics(path: Path, summary: Summary, batch: str) -> None:
    """Write the figures of `summary` with the label `batch`. A reader sees all of them or none.

    Raises `DiskFull`, and `UsageError` where the file cannot be written.
    """
    try:
        with atomic_file(path, durable=False) as file:
            file.write(metrics_of(summary, batch, time.time()).encode())
    except OSError as cause:
        raise UsageError(
            f"The metrics of the batch cannot be written to {str(path)!r}: {cause}. What it came "
            "to stands in summary.json."
        ) from cause


def metrics_of(summary: Summary, batch: str, now_s: float) -> str:
    """The figures in Prometheus' text format; `now_s` is the time of day they are of."""
    name = batch.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    of_batch = f'batch="{name}"'
    lines = ["# HELP orchestra_batch_rows Rows of the batch, by status."]
    lines += ["# TYPE orchestra_batch_rows gauge"]
    for status, count in summary.counts().items():
        lines.append(f'orchestra_batch_rows{{{of_batch},status="{status}"}} {count}')
    figures = {
        "cost_usd": ("Dollars that the batch has spent.", float(summary.cost_usd)),
        "overrun_usd": ("Dollars charged beyond the bounds of calls.", summary.overrun_usd),
        "presumed_usd": ("Dollars of calls whose use nobody reported.", summary.presumed_usd),
        "saved_usd": ("Dollars that cached replies would have cost.", summary.saved_usd),
        "tokens": ("Tokens read and written.", summary.tokens),
        "seconds": ("Seconds that its runs took, all together.", summary.seconds),
        "contradictions": ("Fields whose sources contradict each other.", summary.contradictions),
        "stopped": ("1 where it stopped before its end.", int(bool(summary.stopped))),
        "ended_timestamp_seconds": ("When this was written.", round(now_s, 3)),
    }
    for figure, (about, value) in figures.items():
        metric = f"orchestra_batch_{figure}"
        lines += [f"# HELP {metric} {about}", f"# TYPE {metric} gauge"]
        lines.append(f"{metric}{{{of_batch}}} {value}")
    return "\n".join(lines) + "\n"
