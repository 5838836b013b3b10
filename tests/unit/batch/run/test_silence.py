"""Whose failure it is that a model did not answer: the row's own, or nobody's."""

from __future__ import annotations

from orchestra.batch.row_run import Ran
from orchestra.batch.run.silence import Silence, Unanswered
from orchestra.batch.tables.row import Row


def silent(ordinal: int, *models: str, billed: bool = True, **how: bool) -> Unanswered:
    ran = Ran("silent", "It failed.", silent=frozenset(models), is_billed=billed)
    return Unanswered(Row(ordinal, {}), ran, **how)


def fallen(*some: Unanswered) -> Silence:
    silence = Silence()
    for one in some:
        silence.fell(one)
    return silence


def test_a_failure_is_the_rows_own_once_each_model_has_answered_somebody_else() -> None:
    one = silent(1, "r1", "vl")
    silence = fallen(one)
    assert silence.vouch({"r1"}, when_alone=False) == []
    assert silence.models == {"r1", "vl"}
    assert silence.vouch({"vl"}, when_alone=False) == [one]
    assert (silence.in_doubt, silence.own) == ([], [one.row])


def test_what_a_model_answered_before_a_row_fell_tells_nothing() -> None:
    silence = fallen(silent(1, "r1"))
    silence.vouch({"vl"}, when_alone=False)
    silence.fell(silent(2, "vl"))
    assert silence.vouch({"r1"}, when_alone=False)
    assert [one.row.ordinal for one in silence.in_doubt] == [2]


def test_a_row_that_may_have_lacked_room_is_told_of_when_it_is_alone_and_not_held_to_it() -> None:
    crowded, alone = silent(1, "r1", billed=False), silent(2, "r1", billed=False, is_alone=True)
    silence = fallen(crowded, alone)
    assert silence.vouch({"r1"}, when_alone=False) == [alone]
    assert silence.vouch({"r1"}, when_alone=True) == []
    assert silence.unclear == [crowded.row]


def test_an_outage_is_held_against_no_row_but_one_that_began_it_twice() -> None:
    first, again = silent(1, "r1"), silent(2, "r1", is_alone=True, is_again=True)
    silence = fallen(first, again)
    assert silence.outage() == [again]
    assert silence.unclear == [first.row, again.row] and silence.in_doubt == []


def test_a_row_whose_model_nobody_knows_is_not_told_of_by_silence_alone() -> None:
    silence = fallen(silent(1))
    assert silence.vouch((), when_alone=True) == []
    assert len(silence.vouch({"r1"}, when_alone=False)) == 1


def test_rows_are_taken_once_and_one_that_is_over_is_not_taken() -> None:
    rows = [silent(number, "r1") for number in (1, 2)]
    silence = fallen(*rows, silent(3, "r1", billed=False))
    silence.vouch({"r1"}, when_alone=True)
    silence.drop(rows[0].row)
    own, unclear = silence.take()
    assert [row.ordinal for row in own] == [2] and [row.ordinal for row in unclear] == [3]
    assert silence.take() == ([], [])
