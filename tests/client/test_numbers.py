"""What a number means when it is signed, and the two neighbours of one that is off its grid."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_client.numbers import (
    EIGHT_DIGITS,
    exact,
    fits_wire,
    nearest_two,
    on_grid,
    snap,
    wire_text,
)
from bridge_core.protocol.errors import LocalProtocolError
from bridge_core.protocol.messages import DECIMAL_PATTERN

STEPS = st.sampled_from([Decimal(s) for s in ("0.01", "0.00001", "0.1", "1", "0.25", "0.001")])
WIRE = st.decimals(min_value=0, max_value=999_999_999, places=8)


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_float_means_its_shortest_text_and_comes_back_the_same(value: float) -> None:
    assert float(exact(value, "x")) == value


@given(WIRE)
def test_a_signed_text_obeys_the_wire_grammar_and_loses_nothing(value: Decimal) -> None:
    text = wire_text(value, "x")
    assert re.fullmatch(DECIMAL_PATTERN.replace(r"\A", "").replace(r"\Z", ""), text)
    assert Decimal(text) == value


@given(WIRE, STEPS)
def test_the_two_nearest_lie_on_the_grid_around_the_value(value: Decimal, step: Decimal) -> None:
    texts = nearest_two(value, step)
    below, above = Decimal(texts[0]), Decimal(texts[-1])
    assert below <= value <= above
    assert on_grid(below, step)
    assert on_grid(above, step)
    assert above - below in (0, step)


@given(WIRE, STEPS, st.sampled_from(["down", "up", "nearest"]))
def test_snapping_is_idempotent_and_never_further_than_a_step(
    value: Decimal, step: Decimal, how: str
) -> None:
    once = snap(value, step, how)  # type: ignore[arg-type]
    assert snap(once, step, how) == once  # type: ignore[arg-type]
    assert abs(once - value) < step


@pytest.mark.parametrize(
    "junk",
    [True, False, np.bool_(True), math.nan, math.inf, -1, "-0.1", "1e-5", "1,5", "", " 1", "1.",
     None, b"1", Decimal("NaN"), Decimal(-1), [1], complex(1)],
)  # fmt: skip
def test_junk_is_refused_and_named(junk: object) -> None:
    with pytest.raises(LocalProtocolError, match="field=volume"):
        exact(junk, "volume")


@pytest.mark.parametrize(
    ("given_value", "meant"),
    [
        (0.1, "0.1"), ("0.10", "0.10"), (1, "1"), (np.float64(0.1), "0.1"),
        (np.float32(1.1), "1.1"), (np.int64(3), "3"), (1e-5, "0.00001"),
        (Decimal("1E-5"), "0.00001"),
        (-0.0, "0"), (Fraction(1, 4), "0.25"),
    ],
)  # fmt: skip
def test_what_a_caller_hands_in_means_one_exact_text(given_value: object, meant: str) -> None:
    assert wire_text(exact(given_value, "x"), "x") == meant


def test_a_value_that_cannot_travel_is_seen_before_it_is_signed() -> None:
    assert not fits_wire(exact(0.1 + 0.2, "x"))
    assert not fits_wire(Decimal("1E+999"))
    assert not fits_wire(Decimal("1E-999"))
    assert fits_wire(Decimal("999999999.99999999"))
    assert not on_grid(Decimal("0.000000001"), EIGHT_DIGITS)
