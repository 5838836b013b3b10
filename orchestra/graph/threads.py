"""Runs that wait for a person, or that a process may die in: what a later one needs to go on.

A thread's record stands in the ledger with its photos, so it lasts as long as the book does. Where
the graph has no checkpointer of its own, its checkpoint is kept with the record (`savers.py`).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from PIL import Image
from pydantic import Field as Attribute

from orchestra.access.own import given_name, is_own, own_name
from orchestra.book.messages import KeepThread, ListThreads, ReadThread
from orchestra.core.card import FleetFile
from orchestra.core.errors import ThreadTaken, UnknownThread, UsageError
from orchestra.core.job import CallRecord, ErrorRecord, Job, Question, Word, plain_json
from orchestra.core.place import Branches
from orchestra.core.state import Outcome
from orchestra.graph.accounts import Ceiling
from orchestra.graph.backing import Backing
from orchestra.graph.intake import Intake
from orchestra.graph.job_run import JobRun
from orchestra.graph.progress import CallLog, Progress
from orchestra.routing.routes import Route

_ID = re.compile("[0-9a-f]{32}")  # of an interrupt; LangGraph reads a mapping of such as answers


class Thread(Word):
    """A run that waits for an answer to `questions`, or that was `left` as its process ended.

    Its `status` is "running" while somebody goes on with it. `graph` is the name that it was given
    with the run.
    """

    thread_id: str
    status: Literal["waiting", "left", "running"]
    graph: str | None = None
    questions: tuple[Question, ...] = ()


class ThreadRecord(Word):
    """One run of a thread, as it was left. `used_s` of its deadline have passed.

    `payer` is the account that pays for it, where whoever began it has one. `version` is that of
    the record, as the ledger counts them. `cost_micro` and `tokens` are the
    ceiling that its account holds. `models` is its plan's route, `checkpoint` that of a graph
    without a checkpointer of its own, `failures` what its nodes raised.
    """

    thread_id: str
    graph: str | None = None
    account: str
    payer: str | None = None
    job: Job
    cost_micro: int
    tokens: int
    errors: tuple[ErrorRecord, ...] = ()
    notes: tuple[str, ...] = ()
    models: Mapping[str, str] = Attribute(default_factory=dict)
    used_s: float = 0.0
    outcomes: Mapping[str, Outcome] = Attribute(default_factory=dict)
    failures: tuple[ErrorRecord, ...] = ()
    branches: Mapping[str, Any] = Attribute(default_factory=dict)
    calls: tuple[CallRecord, ...] = ()
    questions: tuple[Question, ...] = ()
    checkpoint: str | None = None
    version: int = Attribute(default=0, exclude=True)

    @property
    def ceiling(self) -> Ceiling:
        """What its account holds."""
        return Ceiling(self.cost_micro, self.tokens)

    def progress(self) -> Progress:
        """What the run had come to."""
        branches = Branches.from_json(self.branches)
        progress = Progress(CallLog(self.calls), branches=branches, failures=[*self.failures])
        progress.go_on(self.outcomes)
        return progress


async def keep_thread(
    fleet: Backing, record: ThreadRecord, intake: Intake, *, by: str, held: bool
) -> None:
    """Keep a thread's record in the ledger, with its photos, for `by`, who goes on if it is `held`.

    Raises `ThreadTaken` when somebody else goes on with it.
    """
    about = {"graph": record.graph, "questions": record.questions}
    photos = dict(zip(intake.job.images, intake.photos, strict=False))
    kept = KeepThread(
        record.thread_id,
        account=record.account,
        status="waiting" if record.questions else "left",
        record=record.model_dump_json(),
        about=json.dumps(plain_json(about), ensure_ascii=False),
        photos={key: _encoded(photo) for key, photo in photos.items()},
        by=by,
        held=held,
    )
    await fleet.ledger.send(kept)


async def read_thread(fleet: Backing, thread_id: str) -> tuple[ThreadRecord, Intake]:
    """A thread that was left, and its job with the photos.

    Raises `UnknownThread`.
    """
    kept = await fleet.ledger.send(ReadThread(own_name(thread_id)))
    if kept is None:
        raise unknown_thread(thread_id)
    record = ThreadRecord.model_validate_json(kept.record)
    record = record.model_copy(update={"version": kept.version})
    photos = [Image.open(io.BytesIO(raw)).convert("RGB") for raw in kept.photos.values()]
    held = tuple(fleet.images.keep(photo)[1] for photo in photos)
    return record, Intake(record.job, record.errors, record.used_s, held, notes=record.notes)


async def list_threads(fleet: Backing, thread_id: str | None = None) -> list[Thread]:
    """The threads of who asks, the first kept first; with `thread_id` that one alone."""
    asked = None if thread_id is None else own_name(thread_id)
    entries = await fleet.ledger.send(ListThreads(asked))
    return [
        Thread.model_validate(
            {"thread_id": given_name(entry.id), "status": entry.status, **json.loads(entry.about)}
        )
        for entry in entries
        if is_own(entry.id)
    ]


def unknown_thread(thread_id: str) -> UnknownThread:
    """The error of a thread that is not kept."""
    return UnknownThread(
        f"No run of the thread {thread_id!r} is waiting or was left here: it came to its end, or "
        "it began under another book. Open the fleet with that book (Fleet.open(..., book=...), "
        "--book), and see which wait."
    )


def record_of(
    run: JobRun,
    thread_id: str,
    intake: Intake,
    ceiling: Ceiling,
    *,
    graph: str | None,
    payer: str | None,
    used_s: float,
    questions: tuple[Question, ...],
) -> ThreadRecord:
    """The record of a run as it is now."""
    progress, plan = run.progress, run.plan
    return ThreadRecord(
        thread_id=thread_id,
        graph=graph,
        account=run.account,
        payer=payer,
        job=run.job,
        cost_micro=ceiling.cost_micro,
        tokens=ceiling.tokens,
        errors=intake.errors,
        notes=intake.notes,
        models={} if plan is None else {node.node: node.part for node in plan.nodes},
        used_s=used_s,
        outcomes=progress.outcomes,
        failures=tuple(progress.failures),
        branches=progress.branches.as_json(),
        calls=tuple(progress.calls),
        questions=questions,
    )


def check_models(record: ThreadRecord, fleet: FleetFile) -> None:
    """Raise `UsageError` where the run was planned with a model that `fleet` has not."""
    have = {card.name for card in fleet.models}
    for model in Route(tuple(record.models.items())).asked:
        if model not in have:
            raise UsageError(
                f"The run {record.thread_id!r} was planned with the model {model!r}, and the fleet "
                f"{fleet.name!r} has none of that name (it has: {', '.join(sorted(have))}). Open "
                "the fleet that the run began with."
            )


def check_answer(record: ThreadRecord, answer: Any) -> None:
    """Raise `UsageError` for an answer that the run does not ask for, or that leaves open to what.

    One by ids that are not open any longer is `ThreadTaken`: somebody has answered them.
    """
    open_ids = [question.id for question in record.questions if question.id]
    if answer is not None and not open_ids:
        raise UsageError(
            f"The run {record.thread_id!r} asks nothing. Resume it without an answer: it goes on "
            "from where it stopped, and asks again where it comes to a question."
        )
    keys = list(answer) if isinstance(answer, Mapping) else []
    is_by_id = bool(keys) and all(isinstance(key, str) and _ID.fullmatch(key) for key in keys)
    closed = [key for key in keys if is_by_id and key not in open_ids]
    if closed:
        raise ThreadTaken(
            f"The run {record.thread_id!r} does not ask {closed[0]!r} any longer (it asks "
            f"{', '.join(open_ids)}). Read how it stands; this answer changed nothing."
        )
    if answer is not None and len(open_ids) > 1 and not is_by_id:
        raise UsageError(
            f"The run {record.thread_id!r} asks {len(open_ids)} questions at once, and {answer!r} "
            f"says not which of them it answers. Give a mapping from their ids: "
            f"{', '.join(open_ids)}."
        )


def _encoded(photo: Image.Image) -> bytes:
    """A photo without loss: its key is the hash of its pixels."""
    file = io.BytesIO()
    photo.save(file, "WEBP", lossless=True, quality=0, method=0)
    return file.getvalue()
