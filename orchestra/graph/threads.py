"""Runs that wait for a person, or that a process may die in: what a later one needs to go on.

A thread's record stands in the ledger with its photos, so it lasts as long as the book does. Where
the graph has no checkpointer of its own, its checkpoint is kept with the record (`savers.py`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image
from pydantic import Field as Attribute

from orchestra.book.messages import KeepThread, ReadThread
from orchestra.core.errors import UsageError
from orchestra.core.job import CallRecord, ErrorRecord, Job, Question, Word
from orchestra.core.place import Branches
from orchestra.core.state import Outcome
from orchestra.graph.accounts import Ceiling
from orchestra.graph.backing import Backing
from orchestra.graph.intake import Intake
from orchestra.graph.job_run import JobRun
from orchestra.graph.progress import CallLog, Progress


class ThreadRecord(Word):
    """One run of a thread, as it was left. `used_s` of its deadline have passed.

    `cost_micro` and `tokens` are the ceiling that its account holds. `models` is its plan's route,
    `checkpoint` that of a graph without a checkpointer of its own.
    """

    thread_id: str
    account: str
    job: Job
    cost_micro: int
    tokens: int
    errors: tuple[ErrorRecord, ...] = ()
    models: Mapping[str, str] = Attribute(default_factory=dict)
    used_s: float = 0.0
    outcomes: Mapping[str, Outcome] = Attribute(default_factory=dict)
    branches: Mapping[str, Any] = Attribute(default_factory=dict)
    calls: tuple[CallRecord, ...] = ()
    questions: tuple[Question, ...] = ()
    checkpoint: str | None = None

    @property
    def ceiling(self) -> Ceiling:
        """What its account holds."""
        return Ceiling(self.cost_micro, self.tokens)

    def progress(self) -> Progress:
        """What the run had come to."""
        progress = Progress(CallLog(self.calls), branches=Branches.from_json(self.branches))
        progress.go_on(self.outcomes)
        return progress


async def keep_thread(fleet: Backing, record: ThreadRecord, status: str, intake: Intake) -> None:
    """Keep a thread's record in the ledger, with its photos."""
    photos = dict(zip(intake.job.images, intake.photos, strict=False))
    kept = KeepThread(
        record.thread_id,
        account=record.account,
        status=status,
        record=record.model_dump_json(),
        photos={key: _encoded(photo) for key, photo in photos.items()},
    )
    await fleet.ledger.send(kept)


async def read_thread(fleet: Backing, thread_id: str) -> tuple[ThreadRecord, Intake]:
    """A thread that was left, and its job with the photos.

    Raises `UsageError` for one that is not known.
    """
    kept = await fleet.ledger.send(ReadThread(thread_id))
    if kept is None:
        raise UsageError(
            f"No run of the thread {thread_id!r} is waiting or was left here. Open the fleet with "
            "the book that the run began under (Fleet.open(..., book=...)), and see waiting()."
        )
    record = ThreadRecord.model_validate_json(kept.record)
    photos = [Image.open(io.BytesIO(raw)).convert("RGB") for raw in kept.photos.values()]
    held = tuple(fleet.images.keep(photo)[1] for photo in photos)
    return record, Intake(record.job, record.errors, record.used_s, held)


def record_of(
    run: JobRun,
    thread_id: str,
    intake: Intake,
    ceiling: Ceiling,
    *,
    used_s: float,
    questions: tuple[Question, ...],
) -> ThreadRecord:
    """The record of a run as it is now."""
    progress, plan = run.progress, run.plan
    return ThreadRecord(
        thread_id=thread_id,
        account=run.account,
        job=run.job,
        cost_micro=ceiling.cost_micro,
        tokens=ceiling.tokens,
        errors=intake.errors,
        models={} if plan is None else {node.node: node.part for node in plan.nodes},
        used_s=used_s,
        outcomes=progress.outcomes,
        branches=progress.branches.as_json(),
        calls=tuple(progress.calls),
        questions=questions,
    )


def _encoded(photo: Image.Image) -> bytes:
    """A photo without loss: its key is the hash of its pixels."""
    file = io.BytesIO()
    photo.save(file, "WEBP", lossless=True, quality=0, method=0)
    return file.getvalue()
