"""Writes duplicates.csv: a line for each row of each group, and no file where there is none."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from orchestra.batch.duplicates.groups import Groups
from orchestra.batch.output.exports import guarded
from orchestra.core.files.atomic import atomic_file

FILE = "duplicates.csv"
COLUMNS = ("group", "kind", "id", "row", "why", "alike", "like")


def write_duplicates(folder: Path, groups: Groups) -> Path | None:
    """Write the file into `folder`; None, and no file of an earlier run, without groups.

    `like` is the id of the row that one is like, and `alike` how much, 0 to 1. Raises `DiskFull`.
    """
    path = folder / FILE
    if not groups.members:
        path.unlink(missing_ok=True)
        return None
    with atomic_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
        sheet = csv.writer(text)
        sheet.writerow(COLUMNS)
        for kin in groups:
            like = "" if kin.like == kin.ordinal else guarded(kin.like_id)
            ident = guarded(kin.row_id)
            sheet.writerow(
                [kin.group, kin.kind, ident, kin.ordinal, kin.why, f"{kin.alike:.3f}", like]
            )
        text.detach()
    return path
