"""What tiles and overview saw becomes lines: each once, in order, and only what can be believed."""

from __future__ import annotations

import numpy as np

from workers.reading.lines import PrintedLine, Spot, in_reading_order, joined


def spot(left: float, top: float, right: float, bottom: float, scale: float = 1.0) -> Spot:
    quad = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    return Spot(quad, scale)


def line(
    text: str, left: float = 0, top: float = 0, score: float = 0.99, high: float = 20
) -> PrintedLine:
    return PrintedLine(text, score, spot(left, top, left + 100, top + high).quad)


def edges(found: Spot) -> list[int]:
    low, high = found.quad.min(axis=0), found.quad.max(axis=0)
    return [round(float(edge)) for edge in (*low, *high)]


def test_two_pieces_of_a_line_that_a_tile_border_cut_are_one_line():
    (whole,) = joined([], [spot(100, 50, 500, 80), spot(400, 51, 900, 81)])
    assert edges(whole) == [100, 50, 900, 81]


def test_a_line_that_two_tiles_saw_whole_is_there_once():
    assert len(joined([], [spot(100, 50, 500, 80), spot(101, 50, 499, 79)])) == 1


def test_lines_below_each_other_stay_two():
    assert len(joined([], [spot(0, 0, 300, 30), spot(0, 27, 300, 57)])) == 2


def test_what_an_overview_saw_clearly_hides_its_parts_in_tiles():
    large = spot(0, 0, 2000, 400, scale=0.25)
    assert joined([large], [spot(0, 0, 900, 400), spot(1200, 0, 2000, 400)]) == [large]


def test_what_an_overview_saw_faintly_gives_way_to_what_tiles_saw():
    faint, sharp = spot(100, 100, 400, 120, scale=0.25), spot(98, 99, 402, 122)
    assert joined([faint], [sharp]) == [sharp]


def test_what_only_the_overview_saw_is_kept():
    faint = spot(100, 100, 400, 120, scale=0.25)
    assert joined([faint], []) == [faint]


def test_lines_are_read_from_the_top_and_a_row_from_the_left():
    lines = [line("below", top=60), line("right", left=200, top=3), line("left", top=0)]
    assert [each.text for each in in_reading_order(lines)] == ["left", "right", "below"]


def test_unsure_lines_and_fragments_are_not_believed():
    assert line("Oat drink").is_believed
    assert not line("Oat drink", score=0.79).is_believed
    assert not line("Oa").is_believed
    assert not line("--!?--").is_believed
    assert line("燕麦").is_believed


def test_a_box_is_fractions_of_the_photo():
    assert line("x", left=50, top=20).box((200, 100)) == (0.25, 0.2, 0.75, 0.4)
