"""A fleet in use: cards with their clients, book and image store; plans and runs.

It knows no concrete graph; workers are reached by the `module:Class` on their cards.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from orchestra.access.allowed import allowed_fleet, narrowing, within
from orchestra.book.book import Book
from orchestra.book.ledger import Ledger, LocalLedger
from orchestra.book.memory import MemoryLedger
from orchestra.cache.downloads import DownloadStore
from orchestra.cache.replies import SharedReplies
from orchestra.cache.store import ReplyStore
from orchestra.clients.endpoint import EndpointClient
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Client
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import ModelUnavailable
from orchestra.core.identity import fingerprints
from orchestra.core.job import Budget, Job
from orchestra.core.text import sanitise
from orchestra.fleet.encoders import encoder_of
from orchestra.fleet.local import local_client
from orchestra.fleet.source import load_fleet
from orchestra.graph.caller import Caller
from orchestra.graph.foresee import foresee
from orchestra.graph.intake import take_in
from orchestra.graph.job_run import JobRun
from orchestra.graph.run import unprepared_run
from orchestra.graph.savers import Savers
from orchestra.images.download import Downloads
from orchestra.images.limits import ImageLimits
from orchestra.images.store import ImageStore
from orchestra.quality.learned.expected import Expectations
from orchestra.quality.policy import Policy, load_policy
from orchestra.quality.reader import FindEncoder, TextReader
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.explain import Explanation, explain
from orchestra.routing.introspect import view
from orchestra.routing.plan import Plan
from orchestra.routing.planner import plan, weigh
from orchestra.routing.timing import IDLE, Load

Build = Callable[..., Any]
Graph = StateGraph[Any, Any, Any, Any] | CompiledStateGraph[Any, Any, Any, Any]
PHOTO_LIMITS = ImageLimits()
MOST_PLANS = 4096


class OpenFleet:
    """Cards plus hosting, below the face that users have (`orchestra.app.Fleet`).

    `clients` replaces how models are reached (tests, servers). What is spent is counted in
    `book`, which is closed with the fleet, or in `ledger`, or without either in memory.
    `image_limits` bounds the photos of jobs, and says whether they may name files of this
    machine. `cache` holds the replies that runs share, in a folder of its own: identical calls of
    greedy models cost nothing, whichever run made them first. It is closed with the fleet. Photos
    fetched by their addresses are kept beside them, and fetched again where they changed.
    `find_encoder` finds what reads texts for a policy that learnt from them.
    """

    def __init__(
        self,
        file: FleetFile,
        folder: Path,
        *,
        book: Book | None = None,
        ledger: Ledger | None = None,
        images: ImageStore | None = None,
        clients: dict[str, Client] | None = None,
        name: str | None = None,
        image_limits: ImageLimits = PHOTO_LIMITS,
        policy: Policy | None = None,
        cache: ReplyStore | None = None,
        find_encoder: FindEncoder = encoder_of,
    ) -> None:
        self.name = name or file.name
        self.file = file
        self.folder = folder
        self.policy = policy
        self.book = book
        self.images = images or ImageStore()
        self.image_limits = image_limits
        self.ledger: Ledger = ledger or (LocalLedger(book) if book else MemoryLedger())
        self.cache = cache
        self.downloads: Downloads | None = cache and DownloadStore(
            cache.folder, cache.size.most_bytes
        )
        self.caller = Caller(self.ledger, folder, cache and SharedReplies(cache, folder))
        self.savers = Savers()
        self.beside: tuple[str, ...] = ()
        self.reader = TextReader(policy, find_encoder)
        self._clients: dict[str, Client] = {} if clients is None else clients
        self._plans: tuple[FleetFile, dict[tuple[Any, ...], Plan]] = (file, {})

    @classmethod
    def open(
        cls,
        name: str = "mini",
        *,
        book: Path | None = None,
        ledger: Ledger | None = None,
        images: Path | None = None,
        clients: dict[str, Client] | None = None,
        image_limits: ImageLimits = PHOTO_LIMITS,
        policy: Policy | Path | None = None,
        cache: Path | str | ReplyStore | None = None,
    ) -> Self:
        """The fleet called `name`, or of a YAML file. Models load at their first call.

        `policy` is what `orchestra calibrate` wrote: quality from labels, and cascades. Raises
        `InvalidFleet`, `InvalidPolicy` for a policy of other models, or `BookLocked` when another
        process writes `book`.
        """
        file, folder = load_fleet(name)
        if isinstance(policy, Path):
            policy = load_policy(policy)
        if policy is not None:
            policy.check(fingerprints(file, folder), file.name)
        store = ImageStore() if images is None else ImageStore(images)
        opened = None if book is None else Book.open(book)
        if opened is not None:
            opened.recover(file.unbilled)  # what a process that died had on its way is presumed
        return cls(
            file,
            folder,
            book=opened,
            ledger=ledger,
            images=store,
            clients=clients,
            name=name,
            image_limits=image_limits,
            policy=policy,
            cache=ReplyStore(Path(cache)) if isinstance(cache, str | Path) else cache,
        )

    def scoped(
        self, ledger: Ledger, images: ImageStore, beside: tuple[str, ...] | None = None
    ) -> Self:
        """The same cards and clients, spending into `ledger`, for rows `beside` these texts."""
        scoped = type(self)(
            self.file,
            self.folder,
            ledger=ledger,
            images=images,
            clients=self._clients,
            name=self.name,
            image_limits=self.image_limits,
            policy=self.policy,
            cache=self.cache,
        )
        scoped.reader = self.reader
        scoped.beside = self.beside if beside is None else beside
        # They share the models, and so their time and their minutes.
        scoped.caller.traffic, scoped.caller.paces = self.caller.traffic, self.caller.paces
        return scoped

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the clients and close the book."""
        for client in list(self._clients.values()):
            if isinstance(client, InProcessClient | EndpointClient):
                await client.close()
        if self.book is not None:
            self.book.close()
        if self.cache is not None:
            self.cache.close()

    def client(self, model: str) -> Client:
        """How to reach `model`. Raises `InvalidFleet` for a card that is for planning only."""
        known = self._clients.get(model)
        if known is None:
            # A client loads at its first call, so one that another thread was faster than is free.
            known = self._clients.setdefault(model, self._connect(self.file.card(model)))
        return known

    async def prepare(self, planned: Plan) -> None:
        """Load or reach the models of a plan, fallbacks too, before any deadline begins.

        Raises what loading raises. A model that is unavailable is left to its fallback.
        """
        for node in planned.nodes:
            try:
                await self.client(node.model).prepare()
            except ModelUnavailable:
                if node.fallback is None:
                    raise
                await self.client(node.fallback.model).prepare()
                continue
            for other in (node.fallback, node.escalation):
                if other is not None:
                    with suppress(ModelUnavailable):  # it is not needed yet
                        await self.client(other.model).prepare()

    def _connect(self, card: Card) -> Client:
        if card.hosting.endpoint is not None:
            return EndpointClient(card)
        hosted = sum(entry.hosting.worker is not None for entry in self.file.models)
        threads = max(1, (os.cpu_count() or 1) // max(1, hosted))
        return local_client(card, self.folder, threads=threads)

    def plan(self, build: Build | Graph, job: Job) -> Plan:
        """Plan `job` over the graph of `build`; spends nothing and opens no image.

        Where the job has a deadline, calls under way here count.
        """
        return self.plan_for(compile_graph(build), self._shape(job), job.budget)

    async def plan_with_cache(
        self, build: Build | Graph, job: Job, *, base: Path | None = None
    ) -> Plan:
        """The plan of `job`, with the calls that the cache answers priced at nothing.

        Reads photos, and may load a tokenizer; calls no model. Raises as `plan` does.
        """
        graph = compile_graph(build)
        intake = await take_in(self, job, base, fine=view(graph).is_fine)
        if intake.is_lost:
            raise intake.errors[0].error()
        planned = self.plan_for(graph, intake.shape, job.budget)
        return await foresee(self, graph, intake, planned)

    def explain(self, build: Build | Graph, job: Job) -> Explanation:
        """The plan of `job`, and for each limit what would change it. Raises as `plan` does."""
        seen = view(compile_graph(build))
        load = self._load(job.budget)
        file, budget = allowed_fleet(self.file), within(job.budget)
        return explain(weigh(seen, self._shape(job), budget, file, load, self.policy))

    def plan_for(
        self,
        graph: CompiledStateGraph,
        shape: JobShape,
        budget: Budget,
        load: Load | None = None,
    ) -> Plan:
        """The plan of a job of `shape` over `graph`, beside `load` (None: what is under way).

        Made once for a shape, a budget and, where a deadline has to be kept, a load.
        """
        # The cards and their plans change in one step: no plan of the old ones stays with the new.
        file, plans = self._plans
        if file is not self.file:
            file, plans = self._plans = (self.file, {})
        budget = within(budget)
        load = self._load(budget) if load is None else load
        key = (graph, shape, load, *narrowing(), *(limit for _, limit in budget))
        known = plans.get(key)
        if known is None:
            if len(plans) >= MOST_PLANS:
                plans.clear()
            allowed = allowed_fleet(file)
            known = plans[key] = plan(view(graph), shape, budget, allowed, load, self.policy)
        return known

    def expected_of(self, text: str) -> Expectations:
        """How well models are expected to answer a text, where the policy learnt that.

        It may load an encoder. Raises what loading raises.
        """
        return self.reader.of(text)

    def _shape(self, job: Job) -> JobShape:
        """The shape of a job whose images were not read yet."""
        text = sanitise(job.text or "").strip()
        expected = self.expected_of(text) if text else ()
        return JobShape(len(text.encode()), len(job.images), job.data == "local", expected)

    def _load(self, budget: Budget) -> Load:
        """What a job's calls would stand beside; without a deadline it changes no plan."""
        if budget.latency_ms is None:
            return IDLE
        waits = dict(self.caller.paces.waits_ms()) | {
            name: client.wait_ms()
            for name, client in list(self._clients.items())
            if isinstance(client, EndpointClient)
        }
        paced = {name: wait_ms for name, wait_ms in waits.items() if wait_ms}
        return Load.of(self.caller.traffic.now(), self.file, paced)


_SHARED: dict[str, OpenFleet] = {}


async def shared_fleet(name: str) -> OpenFleet:
    """One fleet a process, for graphs invoked without `Fleet.run`."""
    known = _SHARED.get(name)
    if known is None:
        # Neither book nor models are open yet, so one that another thread was faster than is free.
        known = _SHARED.setdefault(name, OpenFleet.open(name))
    return known


async def open_run(name: str) -> JobRun:
    """A run over the shared fleet called `name`, for a graph invoked without `Fleet.run`."""
    return await unprepared_run(await shared_fleet(name))
