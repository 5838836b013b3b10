"""The calls that the nodes of one job make: within its plan, its budget and its deadline.

It knows no concrete graph and no model; calls go through the fleet's clients.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestra.clients.tools import as_schema, knows_tools
from orchestra.core.ask import Ask, prompt_hash
from orchestra.core.call import Call, OnPiece, Tool, Turn
from orchestra.core.card import Card
from orchestra.core.errors import (
    BookError,
    DeadlineExceeded,
    ModelUnavailable,
    OrchestraError,
)
from orchestra.core.job import CallRecord, ErrorRecord, Job
from orchestra.core.pricing import Work
from orchestra.core.state import JobState, Outcome, outcomes_of
from orchestra.graph.backing import Backing
from orchestra.graph.intake import Intake
from orchestra.graph.paid import Ticket
from orchestra.graph.reading import read_fields
from orchestra.graph.rendering import constrained, data_of, fit, instruction_of, usage_notes
from orchestra.graph.second import (
    CLASH,
    UNSURE,
    in_doubt,
    narrowed,
    side_in_doubt,
    with_probability,
    with_second,
)
from orchestra.graph.traffic import AtWork
from orchestra.graph.waiting import Waiting
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import NodePlan, Plan
from orchestra.routing.planner import TEMPLATE_TOKENS, plan
from orchestra.routing.prompt_size import call_bytes, schema_copies


@dataclass(frozen=True, slots=True)
class Tools:
    """What a model may ask for instead of answering; see `Call`."""

    offered: tuple[Tool, ...] = ()
    choice: str = "auto"


NO_TOOLS = Tools()


@dataclass(frozen=True, slots=True)
class JobRun:
    """One job under way: what its nodes need to make their calls."""

    fleet: Backing
    job: Job
    account: str
    plan: Plan | None
    ends_at: float | None = None
    # A conversation that goes on, and who hears the answer as it is decoded (`graph/direct.py`).
    turns: tuple[Turn, ...] = ()
    tools: Tools = NO_TOOLS
    on_piece: OnPiece | None = None
    # Every call made, in order: a node that a loop visits twice leaves one outcome only.
    calls: list[CallRecord] = field(default_factory=list)
    at_work: AtWork = field(default_factory=AtWork)
    # The job as the graph was given it: a node that finds it unchanged need not read it again.
    raw_job: dict[str, Any] | None = None
    # What was asked, for a second ask once answers are joined.
    asks: dict[str, Ask] = field(default_factory=dict)
    waiting: Waiting = field(default_factory=Waiting)

    async def ask(self, node: str, ask: Ask, state: JobState) -> Outcome:
        """Make the call that `ask` describes, within the plan, the budget and the deadline."""
        raw = state["job"]
        job = self.job if raw is self.raw_job else Job.model_validate(raw)
        self.asks[node] = ask
        with self.waiting.visit(node):
            outcome = await self._outcome(node, ask, state, job)
            self.waiting.note(node, outcome)
        return outcome

    async def _outcome(self, node: str, ask: Ask, state: JobState, job: Job) -> Outcome:
        try:
            planned = self._planned(node, ask, job)
            if planned is None:
                return Outcome(skipped=self._skip_reason(node))
            if planned.condition is not None:
                spared = await self.waiting.spared(planned.condition)
                if spared is not None:
                    return Outcome(skipped=spared, notes=(f"{node} was not asked, as {spared}",))
            return await self._ask(node, ask, state, job, planned)
        except BookError:
            raise  # the book itself failed (a full disk): nothing may go on as if it had not
        except OrchestraError as error:
            return Outcome(error=ErrorRecord.of(node, error))

    def _planned(self, node: str, ask: Ask, job: Job) -> NodePlan | None:
        plan_ = self.plan or self._plan_alone(node, ask, job)
        return next((entry for entry in plan_.nodes if entry.node == node), None)

    def _plan_alone(self, node: str, ask: Ask, job: Job) -> Plan:
        """A run that nobody planned (Studio): the node is planned by itself."""
        alone = GraphView((node,), {node: ask}, frozenset(), {node: 1})
        policy = self.fleet.policy
        return plan(alone, Intake(job).shape, job.budget, self.fleet.file, policy=policy)

    def _skip_reason(self, node: str) -> str:
        skipped = self.plan.skipped if self.plan else ()
        return next((entry.reason for entry in skipped if entry.option == node), "not planned")

    async def _ask(
        self, node: str, ask: Ask, state: JobState, job: Job, planned: NodePlan
    ) -> Outcome:
        """Ask the planned model, and its fallback when it is unavailable and time is left.

        Words that were heard cannot be taken back, so an answer that broke off has no fallback.
        """
        heard: list[str] = []
        beside = planned.siblings
        once = planned.latency_ms if planned.visits == 1 else None
        in_cascade = planned.escalation is not None
        first = _Asked(
            planned.model, planned.prompt_tokens, self._hearing(heard), beside, once, in_cascade
        )
        outcome, failure = await self._call(node, ask, state, job, first)
        doubts = in_doubt(self.fleet.policy, planned, outcome)
        if doubts:
            return await self._again(planned, doubts, outcome, state, UNSURE)
        fallback = planned.fallback
        if fallback is None or heard or not isinstance(failure, ModelUnavailable):
            return outcome
        why = f"{planned.model} was unavailable ({failure.kind}: {failure})"
        if self.ends_at is not None and self.ends_at <= time.monotonic():
            late = f"{why}; no time was left to ask {fallback.model}"
            return outcome.model_copy(update={"notes": (*outcome.notes, late)})
        second = _Asked(fallback.model, fallback.prompt_tokens, self.on_piece, beside)
        outcome, _ = await self._call(node, ask, state, job, second)
        note = f"{node} was answered by the fallback {fallback.model}: {why}"
        if outcome.error is not None:
            note = f"{node} asked the fallback {fallback.model} in vain: {why}"
        return outcome.model_copy(update={"notes": (note, *outcome.notes)})

    async def settle(
        self, names: Sequence[str], nodes: Sequence[str], state: JobState
    ) -> dict[str, Outcome]:
        """Ask the better model of the less likely side about fields that contradict each other."""
        if self.plan is None:
            return {}
        outcomes = outcomes_of(state)
        wanted: dict[str, list[str]] = {}
        for name in names:
            node = side_in_doubt(self.fleet.policy, self.plan, nodes, outcomes, name)
            if node is not None:
                wanted.setdefault(node, []).append(name)
        return {
            planned.node: await self._again(
                planned, wanted[planned.node], outcomes[planned.node], state, CLASH
            )
            for planned in self.plan.nodes
            if planned.node in wanted
        }

    async def _again(
        self, planned: NodePlan, names: list[str], first: Outcome, state: JobState, why: str
    ) -> Outcome:
        """`first` with what the planned better model says of the fields `names`."""
        better = planned.escalation
        if better is None:
            return first
        asked = _Asked(better.model, better.prompt_tokens, None, planned.siblings, None, True)
        ask = narrowed(self.asks[planned.node], names)
        failure: OrchestraError | None = None
        second = Outcome()
        try:
            job = Job.model_validate(state["job"])
            second, failure = await self._call(planned.node, ask, state, job, asked)
        except BookError:
            raise
        except OrchestraError as error:  # no time is left, or the answer was none
            failure = error
        return with_second(first, second, failure, better.model, names, why)

    def _hearing(self, heard: list[str]) -> OnPiece | None:
        """`on_piece`, which notes in `heard` that something was told."""
        on_piece = self.on_piece
        if on_piece is None:
            return None

        def hear(piece: str) -> None:
            heard.append(piece)
            on_piece(piece)

        return hear

    async def _call(
        self, node: str, ask: Ask, state: JobState, job: Job, asked: _Asked
    ) -> tuple[Outcome, OrchestraError | None]:
        card = self.fleet.file.card(asked.model)
        client = self.fleet.client(asked.model)
        images = job.images if ask.reads == "image" else ()
        call = Call(
            instruction=instruction_of(ask, job),
            text=data_of(ask, state, job),
            images=tuple(self.fleet.images.get(key) for key in images),
            max_tokens=ask.max_tokens,
            turns=self.turns,
            thinking_tokens=card.limits.thinking_tokens,
            schema_in_prompt=card.hosting.schema_in_prompt,
            regions=ask.regions,
            tools=self.tools.offered,
            tool_choice=self.tools.choice,
        )
        room = card.limits.context_tokens - call.written_tokens
        counts_schema = schema_copies(card) > 0
        if counts_schema:
            call = constrained(call, ask, state)  # it takes room in the prompt
        call, notes = await fit(call, room, client, is_counted_whole=counts_schema)
        call = constrained(call, ask, state)
        if not knows_tools(card):
            call = as_schema(call)
        ticket = Ticket(
            node=node,
            card=card,
            account=self.account,
            ceiling=Work(_most_prompt(ask, asked, call, card), call.written_tokens, len(images)),
            images=images,
            prompt_hash=prompt_hash(ask),
            left_s=self._left_s(node),
            on_piece=asked.on_piece,
            text_bytes=len((job.text or "").strip().encode()),
            siblings=asked.siblings,
            planned_ms=asked.planned_ms,
            may_share=job.cache and ask.cache,
        )
        answer, record = await self.fleet.caller.call(client, call, ticket)
        self.at_work.add(record.model_seconds)
        if isinstance(answer, OrchestraError):
            error = ErrorRecord.of(node, answer)
            record = record.model_copy(update={"error": error})
            self.calls.append(record)
            return Outcome(error=error, call=record, notes=notes), answer
        self.calls.append(record)
        fields = read_fields(ask, answer, model=card.name, text=call.text, images=images)
        text = answer.text if ask.schema_json is None else None
        notes += usage_notes(answer, ticket)
        outcome = Outcome(fields=fields, answer=text, call=record, notes=notes)
        known = with_probability(self.fleet.policy, node, outcome, is_cascade=asked.is_cascade)
        return known, None

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
class _Asked:
    """A model that a node asks: the most tokens of its prompt, who hears it answer, beside what."""

    model: str
    prompt_tokens: int
    on_piece: OnPiece | None
    siblings: int
    planned_ms: float | None = None
    is_cascade: bool = False


def _most_prompt(ask: Ask, asked: _Asked, call: Call, card: Card) -> int:
    """Most tokens of the prompt. Facts were unknown to the plan, which took the whole context."""
    if ask.reads != "facts":
        return asked.prompt_tokens
    images = len(call.images) * card.limits.image_tokens
    return min(asked.prompt_tokens, call_bytes(call, card) + TEMPLATE_TOKENS + images)
