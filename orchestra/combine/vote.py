"""Vote: of the answers of several branches the one that weighs most, field by field. Pure.

An answer weighs what is known of how right it is: its calibrated probability, else its confidence,
else 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestra.combine.branches import (
    Branch,
    absent,
    answers_of,
    evidence_of,
    joined,
    names_of,
    same,
    source_of,
)
from orchestra.core.job import Field
from orchestra.core.values import comparable

Party = list[Field]  # answers that say the same


def vote_branches(branches: Sequence[Branch], least: int | None = None) -> dict[str, Field]:
    """For each field the value that weighs most; a tie abstains.

    So does a value that fewer than `least` branches say. Other answers are kept as alternatives,
    and the note tells how many said what stands.
    """
    return {name: _voted(branches, name, least) for name in names_of(branches)}


def _voted(branches: Sequence[Branch], name: str, least: int | None) -> Field:
    answers, silent = answers_of(branches, name), absent(branches, name)
    if not answers:
        return Field(note=joined(silent))
    parties = sorted(_parties(answers), key=_weight, reverse=True)  # stable: first said, first told
    first = parties[0]
    if len(parties) > 1 and math.isclose(_weight(first), _weight(parties[1]), rel_tol=1e-9):
        return _abstention(answers, [f"{_count(parties, answers)}: a tie", *_languages(parties)])
    if least is not None and len(first) < least:
        return _abstention(answers, [f"{_count(parties, answers)}: {least} have to agree"])
    others = tuple(answer for party in parties[1:] for answer in party)
    return _standing(first, others, joined([_count(parties, answers), *silent]))


def _parties(answers: Sequence[Field]) -> list[Party]:
    parties: list[Party] = []
    for answer in answers:
        party = next((each for each in parties if same(each[0].value, answer.value)), None)
        if party is None:
            parties.append([answer])
        else:
            party.append(answer)
    return parties


def _standing(party: Party, others: tuple[Field, ...], note: str | None) -> Field:
    """The surest answer of a party, with what all of it rests on."""
    surest = max(party, key=_sure)
    promised = [answer.promised for answer in party if answer.promised is not None]
    known = [answer.confidence for answer in party if answer.confidence is not None]
    likely = [answer.probability for answer in party if answer.probability is not None]
    return surest.model_copy(
        update={
            "source": source_of(party),
            "confidence": max(known, default=None),
            "probability": max(likely, default=None),
            # One value of several branches: what is proven of any of them holds of it.
            "promised": max(promised, default=None),
            "doubt": None if promised else surest.doubt,
            "evidence": evidence_of(party),
            "alternatives": (*surest.alternatives, *others),
            "note": note,
        }
    )


def _abstention(answers: Sequence[Field], notes: list[str]) -> Field:
    return Field(note=joined(notes), alternatives=tuple(answers))


def _count(parties: Sequence[Party], answers: Sequence[Field]) -> str:
    """Who said what: `2 of 3 said 'red', 1 'blue'`."""
    first, *others = parties
    rest = "".join(f", {len(party)} {party[0].value!r}" for party in others)
    return f"{len(first)} of {len(answers)} said {first[0].value!r}{rest}"


def _languages(parties: Sequence[Party]) -> list[str]:
    if comparable(parties[0][0].value, parties[1][0].value):
        return []
    return ["they are in two languages, and were not compared"]


def _weight(party: Party) -> float:
    return sum(map(_sure, party))


def _sure(answer: Field) -> float:
    if answer.probability is not None:
        return answer.probability
    return 1.0 if answer.confidence is None else answer.confidence
