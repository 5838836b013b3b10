"""The calls that the nodes of one job make: within its plan, its budget and its deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from orchestra.access.allowed import allowed_fleet
from orchestra.core.ask import After, Ask, Said, prompt_hash
from orchestra.core.call import Call, OnPiece, Turn
from orchestra.core.card import Card
from orchestra.core.edge import awaited
from orchestra.core.errors import (
    BookError,
    DeadlineExceeded,
    InvalidGraph,
    ModelUnavailable,
    OrchestraError,
    VisitsExceeded,
)
from orchestra.core.job import ErrorRecord, Field, Job
from orchestra.core.place import Place, branches_of
from orchestra.core.pricing import Work
from orchestra.core.state import JobState, Outcome, fields_of, outcomes_of
from orchestra.graph.allowance import CURRENT, Allowance
from orchestra.graph.backing import Backing
from orchestra.graph.caller import Ticket
from orchestra.graph.cascade import Before
from orchestra.graph.escalation import (
    CLASH,
    UNSURE,
    in_doubt,
    narrowed,
    side_in_doubt,
    with_probability,
    with_second,
)
from orchestra.graph.in_turn import look_in_turn, photos_held
from orchestra.graph.intake import Intake
from orchestra.graph.progress import Progress
from orchestra.graph.speech import Speech
from orchestra.graph.translation import (
    Tools,
    call_of,
    fitted,
    read_fields,
    usage_notes,
    with_beside,
    with_said,
)
from orchestra.graph.unplanned import planned_alone
from orchestra.graph.voice import Voice
from orchestra.graph.waiting import Waiting
from orchestra.images.intake import fitting
from orchestra.routing.candidates import TEMPLATE_TOKENS
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import NodePlan, Plan
from orchestra.routing.planner import plan
from orchestra.routing.prompt_size import call_bytes


@dataclass(eq=False, slots=True)
class AtWork:
    """When models worked on one job; calls side by side count once."""

    _spans: list[tuple[float, float]] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        """Count the `seconds` that have just passed."""
        if seconds > 0:
            now = time.monotonic()
            self._spans.append((now - seconds, now))

    def seconds(self) -> float:
        """Seconds in which at least one call was under way."""
        total, until = 0.0, 0.0
        for start, end in sorted(self._spans):
            total += max(0.0, end - max(start, until))
            until = max(until, end)
        return total


@dataclass(eq=False, slots=True)
class JobRun:
    """One job under way: what its nodes need to make their calls."""

    fleet: Backing
    job: Job
    account: str
    plan: Plan | None
    ends_at: float | None = None
    # A conversation that goes on, and who hears the answer as it is decoded (`graph/query.py`).
    turns: tuple[Turn, ...] = ()
    tools: Tools = field(default_factory=Tools)
    on_piece: OnPiece | None = None
    progress: Progress = field(default_factory=Progress)
    at_work: AtWork = field(default_factory=AtWork)
    # The job as the graph was given it: a node that finds it unchanged need not read it again.
    raw_job: dict[str, Any] | None = None
    # What is asked, by node: those of the plan, for a second ask once answers are joined.
    asks: dict[str, Ask] = field(default_factory=dict)
    waiting: Waiting = field(default_factory=Waiting)
    # Whether asks are nodes of a graph, whose streams and tracers hear them as they answer.
    in_graph: bool = False
    voice: Voice | None = None

    async def ask(
        self, place: Place, ask: Ask, state: JobState, spared: str | None = None
    ) -> tuple[str, Outcome]:
        """Make the call that `ask` describes, within the plan, the budget and the deadline.

        With `spared` it is not needed, and skipped for that reason.
        """
        allowance = CURRENT.get()
        if allowance is not None and asyncio.get_running_loop() is not allowance.loop:
            # A node of the user's own called its graph in a thread, on a loop of its own.
            return await awaited(self.ask(place, ask, state, spared), allowance.loop)
        raw = state.get("job")
        job = self.job if not raw or raw == self.raw_job else Job.model_validate(raw)
        self.asks.setdefault(place.node, ask)
        name, visit = self.progress.visit(place)
        with self.waiting.visit(place.node):
            hearer = self._hearer(place, state)
            found = await self._outcome(_Visit(place.node, ask, state, job, visit, spared, hearer))
            outcome = self.progress.note(name, found.model_copy(update={"visit": visit}))
            self.waiting.note(place.node, outcome)
        return name, outcome

    async def ask_again(self, place: Place, ask: Ask, after: After, state: JobState) -> Said:
        """Make the second call of a cascade for what the node before it left open."""
        before = self._before(after, state)
        names = before.in_doubt(ask)
        if not names:
            name, outcome = await self.ask(place, ask, state, before.reason(ask))
            return Said({name: outcome}, None)
        name, second = await self.ask(place, narrowed(ask, names), state)
        self.asks[place.node] = ask
        said = before.with_second(name, second, names)
        self.progress.outcomes.update(said.outcomes)
        return said

    def _before(self, after: After, state: JobState) -> Before:
        """What the node before a cascade came to: in its own state, else in the run's."""
        found = branches_of(outcomes_of(state), after.node)
        found = found or branches_of(self.progress.outcomes, after.node)
        found = {name: outcome for name, outcome in found.items() if outcome.fields}
        is_ask = after.node in self.asks or self._is_planned(after.node)
        return Before(after, found, {} if is_ask else fields_of(state))

    def _is_planned(self, node: str) -> bool:
        """Whether the plan knows the node as an ask, made or skipped."""
        if self.plan is None:
            return False
        skipped = (entry.option for entry in self.plan.skipped)
        return node in {*(each.node for each in self.plan.nodes), *skipped}

    def fail(self, node: str, error: Exception) -> None:
        """Note what a node of the user's own raised."""
        self.progress.fail(node, error)

    def outcomes(self, state: JobState) -> dict[str, Outcome]:
        """What the nodes came to, by branch: all of the run, whatever keys its state has."""
        return self.progress.joined(state)

    def _hearer(self, place: Place, state: JobState) -> OnPiece | None:
        """Who hears the ask at this place as it answers."""
        if self.voice is None:
            return self.on_piece
        return self.voice.hearer(place, state, self.progress.outcomes)

    async def _outcome(self, visit: _Visit) -> Outcome:
        node = visit.node
        try:
            planned = self._planned(visit)
            if planned is None and (allowance := self._unplanned(node)) is not None:
                return await self._outcome_alone(visit, allowance)
            if planned is None:
                return Outcome(skipped=self._skip_reason(node))
            self._check_visits(visit, planned.visits // photos_held(visit.ask, visit.job, planned))
            spared = visit.spared
            if planned.condition is not None and visit.ask.after is None:
                spared = await self.waiting.spared(planned.condition)
            if spared is not None:
                return Outcome(skipped=spared, notes=(f"{node} was not asked, as {spared}",))
            return await self._look(visit, planned)
        except BookError:
            raise  # the book itself failed (a full disk): nothing may go on as if it had not
        except OrchestraError as error:
            return Outcome(error=ErrorRecord.of(node, error))

    async def _outcome_alone(self, visit: _Visit, allowance: Allowance) -> Outcome:
        """The outcome of an ask that the plan does not know, paid from what it leaves."""
        node, ask, job = visit.node, visit.ask, visit.job
        if visit.spared is not None:
            return Outcome(skipped=visit.spared)
        if ask.max_visits is not None:
            self._check_visits(visit, ask.max_visits)
        async with planned_alone(self.fleet, node, ask, job, allowance) as (planned, account):
            return await self._look(replace(visit, account=account), planned)

    def _check_visits(self, visit: _Visit, most: int) -> None:
        """Raise `VisitsExceeded` for a visit that the plan did not price."""
        if self.plan is not None and visit.number > most:
            raise VisitsExceeded(
                f"The node {visit.node!r} was reached {visit.number} times; it is planned with "
                f"max_visits={most}. Raise it (the plan prices each visit), or end the "
                "loop sooner."
            )

    def _planned(self, visit: _Visit) -> NodePlan | None:
        chosen = self.plan
        if chosen is None:  # nobody planned the run (Studio): the node is planned by itself
            alone, shape = GraphView.of_node(visit.node, visit.ask), Intake(visit.job).shape
            limits, policy = visit.job.budget, self.fleet.policy
            chosen = plan(alone, shape, limits, allowed_fleet(self.fleet.file), policy=policy)
        known, asked = self.asks[visit.node], visit.ask  # a cascade narrows the schema of its own
        if (known.capability, known.instruction) != (asked.capability, asked.instruction):
            raise InvalidGraph(
                f"Two asks of one run are called {visit.node!r}, one of them in a graph that a "
                "node calls itself, so a plan could not tell them apart. Rename one."
            )
        return next((entry for entry in chosen.nodes if entry.node == visit.node), None)

    def _unplanned(self, node: str) -> Allowance | None:
        """What pays for an ask that the plan does not know; None for one that it left out."""
        if self.plan is None or any(entry.option == node for entry in self.plan.skipped):
            return None
        return CURRENT.get()

    def _skip_reason(self, node: str) -> str:
        skipped = self.plan.skipped if self.plan else ()
        return next((entry.reason for entry in skipped if entry.option == node), "not planned")

    async def _look(self, visit: _Visit, planned: NodePlan) -> Outcome:
        """Ask once, or about one photo after the other where the ask goes through them in turn."""

        async def ask_about(ask: Ask, job: Job) -> Outcome:
            return await self._ask(replace(visit, ask=ask, job=job), planned)

        if visit.ask.turn is None or len(visit.job.images) < 2:
            return await self._ask(visit, planned)
        held = photos_held(visit.ask, visit.job, planned)
        return await look_in_turn(visit.ask, visit.job, held, ask_about)

    async def _ask(self, visit: _Visit, planned: NodePlan) -> Outcome:
        """Ask the planned model, and its fallback when it is unavailable and time is left.

        Words that were heard cannot be taken back, so an answer that broke off has no fallback.
        """
        heard: list[str] = []
        first = _Attempt(
            planned.model,
            planned.prompt_tokens,
            visit.on_piece,
            planned.siblings,
            planned.photos,
            heard,
            planned_ms=planned.visit_ms,
            is_cascade=planned.escalation is not None,
        )
        outcome, failure = await self._call(visit, first)
        doubts = in_doubt(self.fleet.policy, planned, outcome)
        if doubts:
            return await self._again(visit, planned, doubts, outcome, UNSURE)
        fallback = planned.fallback
        if fallback is None or heard or not isinstance(failure, ModelUnavailable):
            return outcome
        why = f"{planned.model} was unavailable ({failure.kind}: {failure})"
        if self.ends_at is not None and self.ends_at <= time.monotonic():
            late = f"{why}; no time was left to ask {fallback.model}"
            return outcome.model_copy(update={"notes": (*outcome.notes, late)})
        second = _Attempt(
            fallback.model,
            fallback.prompt_tokens,
            visit.on_piece,
            planned.siblings,
            fallback.photos,
        )
        charged = outcome.notes  # what the first call cost beside no answer
        outcome, _ = await self._call(visit, second)
        note = f"{visit.node} was answered by the fallback {fallback.model}: {why}"
        if outcome.error is not None:
            note = f"{visit.node} asked the fallback {fallback.model} in vain: {why}"
        return outcome.model_copy(update={"notes": (note, *charged, *outcome.notes)})

    async def settle(
        self, names: Sequence[str], nodes: Sequence[str], state: JobState
    ) -> dict[str, Outcome]:
        """Ask the better model of the less likely side about fields that contradict each other."""
        if self.plan is None:
            return {}
        outcomes = self.outcomes(state)
        doubts: dict[str, list[str]] = {}
        for name in names:
            node = side_in_doubt(self.fleet.policy, self.plan, nodes, outcomes, name)
            if node is not None:
                doubts.setdefault(node, []).append(name)
        return {
            planned.node: await self._again(
                _Visit(planned.node, self.asks[planned.node], state, self.job),
                planned,
                doubts[planned.node],
                outcomes[planned.node],
                CLASH,
            )
            for planned in self.plan.nodes
            if planned.node in doubts
        }

    async def _again(
        self, visit: _Visit, planned: NodePlan, names: list[str], first: Outcome, why: str
    ) -> Outcome:
        """`first` with what the planned better model says of the fields `names`."""
        better = planned.escalation
        if better is None:
            return first
        attempt = _Attempt(
            better.model,
            better.prompt_tokens,
            None,
            planned.siblings,
            better.photos,
            is_cascade=True,
        )
        failure: OrchestraError | None = None
        second = Outcome()
        try:
            again = replace(visit, ask=narrowed(visit.ask, names))
            second, failure = await self._call(again, attempt)
        except BookError:
            raise
        except OrchestraError as error:  # no time is left, or the answer was none
            failure = error
        return with_second(first, second, failure, better.model, names, why)

    async def _call(
        self, visit: _Visit, attempt: _Attempt
    ) -> tuple[Outcome, OrchestraError | None]:
        node, ask, job = visit.node, visit.ask, visit.job
        card, client = self.fleet.file.card(attempt.model), self.fleet.client(attempt.model)
        keys = job.images if ask.reads == "image" else ()
        if len(keys) > attempt.photos:
            raise _too_many(node, attempt, len(keys))
        images = tuple(self._photo(key, ask) for key in keys)
        call = call_of(ask, job, visit.state, images, card, self.turns, self.tools)
        call, notes = await fitted(call, ask, visit.state, card, client, self._left_s(node))
        call = with_beside(call, ask, card, self.fleet.beside)
        speech = await Speech.begin(card.name, call) if self.in_graph else None
        ticket = Ticket(
            node=node,
            card=card,
            account=visit.account or self.account,
            ceiling=Work(attempt.most_prompt(ask, call, card), call.written_tokens, len(keys)),
            images=keys,
            prompt_hash=prompt_hash(ask),
            left_s=self._left_s(node),
            on_piece=attempt.hearing(speech),
            text_bytes=len((job.text or "").strip().encode()),
            siblings=attempt.siblings,
            planned_ms=attempt.planned_ms,
            may_share=job.cache and ask.cache,
        )
        answer, record = await self.fleet.caller.call(client, call, ticket)
        if speech is not None:
            await speech.end(answer)
        self.at_work.add(record.model_seconds)
        notes += usage_notes(answer, ticket, record)
        if isinstance(answer, OrchestraError):
            error = ErrorRecord.of(node, answer)
            record = record.model_copy(update={"error": error})
            self.progress.calls.append(record)
            return Outcome(error=error, call=record, notes=notes), answer
        fields: dict[str, Field] = {}
        try:
            fields = read_fields(
                ask,
                answer,
                model=card.name,
                text=call.text,
                images=keys,
                classifies=card.classifies,
            )
        finally:
            record = with_said(record, fields)
            self.progress.calls.append(record)
        text = answer.text if ask.schema_json is None else None
        outcome = Outcome(fields=fields, answer=text, call=record, notes=notes)
        policy, is_cascade = self.fleet.policy, attempt.is_cascade
        return with_probability(policy, node, outcome, is_cascade=is_cascade), None

    def _photo(self, key: str, ask: Ask) -> Image.Image:
        """A photo as the ask needs it: with its small print, or no larger than models look at."""
        photo = self.fleet.images.get(key)
        size = fitting(photo.size, self.fleet.image_limits, fine=ask.is_fine)
        return photo if size == photo.size else photo.resize(size, Image.Resampling.LANCZOS)

    def _left_s(self, node: str) -> float | None:
        if self.ends_at is None:
            return None
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(
                f"No time is left for node {node!r} (latency_ms={self.job.budget.latency_ms}). "
                "Raise latency_ms, or use a faster fleet."
            )
        return left


@dataclass(frozen=True, slots=True)
class _Visit:
    """A node under way: its ask, and the state and job that it asks about.

    `number` is the visit's, `spared` why no call is needed; `on_piece` hears it as it answers,
    `account` pays where that of the job does not.
    """

    node: str
    ask: Ask
    state: JobState
    job: Job
    number: int = 1
    spared: str | None = None
    on_piece: OnPiece | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A model that a node asks: the most tokens of its prompt, who hears it answer, beside what.

    `photos` is the most that its call may have, `heard` what was told of its answer already.
    """

    model: str
    prompt_tokens: int
    on_piece: OnPiece | None
    siblings: int
    photos: int
    heard: list[str] = field(default_factory=list)
    planned_ms: float | None = None
    is_cascade: bool = False

    def hearing(self, speech: Speech | None) -> OnPiece | None:
        """Who hears the answer as it is decoded, `heard` first; None where nobody listens."""
        listeners = [self.on_piece, None if speech is None else speech.piece]
        wanted = [listener for listener in listeners if listener is not None]
        if not wanted:
            return None

        def hear(piece: str) -> None:
            self.heard.append(piece)
            for listener in wanted:
                listener(piece)

        return hear

    def most_prompt(self, ask: Ask, call: Call, card: Card) -> int:
        """Most tokens of the prompt: to the plan facts were unknown, and took the whole context."""
        if ask.reads != "facts":
            return self.prompt_tokens
        images = len(call.images) * card.limits.image_tokens
        return min(self.prompt_tokens, call_bytes(call, card) + TEMPLATE_TOKENS + images)


def _too_many(node: str, attempt: _Attempt, photos: int) -> InvalidGraph:
    return InvalidGraph(
        f"A visit of the node {node!r} has {photos} photos, and its plan holds {attempt.photos} a "
        f"call of {attempt.model}. Send each its own: add_conditional_edges(..., "
        f"each_photo({node!r}))."
    )
