"""A run that waits, as the person who answers it sees it: its job, what is known, what it asks."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from orchestra.core.errors import ImageError
from orchestra.core.job import Question, Result
from orchestra.graph.threads import Thread, read_thread
from orchestra.images.store import ImageStore
from orchestra.pages.regions import data_uri
from orchestra.serving.console.drawing import Drawing, drawing_of
from orchestra.serving.console.shown import ShownResult, known_fields, shown_result
from orchestra.serving.service import Service

PHOTO_PX = 960


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """A run with its graph's drawing, where that is served here; `done` are the nodes behind it.

    `photos` are data URIs by key.
    """

    thread: Thread
    text: str
    known: ShownResult
    photos: dict[str, str]
    drawing: Drawing | None
    models: dict[str, str]
    done: frozenset[str]

    @property
    def questions(self) -> tuple[Question, ...]:
        """What it asks; breakpoints, which have no id, are only to be told to go on."""
        return tuple(question for question in self.thread.questions if question.id)


async def waiting_run(service: Service, thread_id: str) -> WaitingRun:
    """The run `thread_id`. Raises `UnknownThread`, also for who may not see it."""
    thread = await service.thread(thread_id)
    record, _ = await read_thread(service.fleet, thread_id)
    outcomes = {name: outcome.fields for name, outcome in record.outcomes.items()}
    build = service.graphs.get(thread.graph or "")
    done = frozenset(name.partition("[")[0] for name in record.outcomes)
    so_far = Result(status="waiting", fields=known_fields(outcomes), images=record.job.images)
    return WaitingRun(
        thread=thread,
        text=record.job.text or "",
        known=shown_result(so_far, record.job.text or ""),
        photos=photo_uris(service.fleet.images, record.job.images),
        drawing=None if build is None else drawing_of(build),
        models=dict(record.models),
        done=done,
    )


def photo_uris(store: ImageStore, keys: Iterable[str]) -> dict[str, str]:
    """Photos as JPEG in data URIs, by their keys; one that is not kept here is left out."""
    found: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        with suppress(ImageError):
            content = store.thumbnail(key, PHOTO_PX)
            found[key] = data_uri(content, "jpeg")
    return found
