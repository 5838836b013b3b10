"""How sure a look is, fitted to known and unknown packs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workers.training.vision.looks import log_odds, logistic


def test_the_fit_gives_back_the_odds_that_the_rows_have_and_weighs_them():
    # At -1 one of ten is so, at 1 nine of ten.
    sign = np.array([-1.0] * 1000 + [1.0] * 1000, np.float32)
    is_so = np.array([1.0] * 100 + [0.0] * 900 + [1.0] * 900 + [0.0] * 100)
    slope, turn = logistic(sign, is_so, np.ones(2000, np.float32))
    assert slope == pytest.approx(math.log(9), abs=0.02) and turn == pytest.approx(0, abs=0.01)
    _, lower = logistic(sign, is_so, np.where(is_so > 0, 0.5, 1.0))
    assert lower == pytest.approx(math.log(0.5), abs=0.02)


def test_shares_of_nothing_and_all_have_odds():
    found = log_odds(np.array([0.0, 0.5, 1.0]))
    assert found.tolist() == pytest.approx([-9.21, 0.0, 9.21], abs=0.01)
