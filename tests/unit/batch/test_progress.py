"""What a batch shows while it runs: on stderr only, with rate, spend and what it was told."""

from __future__ import annotations

import pytest

from orchestra.batch.progress import Bar, Progress


def test_a_bar_counts_from_what_is_done_and_shows_the_spend(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = Bar()
    bar.start(10, 4)
    bar.row(1_500_000)
    bar.say("one model is slow")
    bar.stop()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "5/10" in shown.err and "$1.50" in shown.err
    assert "one model is slow" in shown.err


def test_a_table_of_unknown_length_counts_rows(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.start(None, 0)
    bar.row(0)
    bar.stop()
    assert "1row" in capsys.readouterr().err


@pytest.mark.parametrize("progress", [Bar(), Progress()])
def test_progress_may_be_told_anything_before_it_starts(
    progress: Bar | Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.row(5)
    progress.stop()
    assert capsys.readouterr() == ("", "")
