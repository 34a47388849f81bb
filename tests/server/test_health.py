"""Hops: up or down, since when, how much of the time."""

from __future__ import annotations

from bridge_server.health import Hop
from tests.support.builders import MONO, NOW


def _observe(hop: Hop, state: str, seconds: int, why: str = "") -> None:
    hop.observe(state, why, NOW + seconds * 1000, MONO + seconds * 1000)


def _hop() -> Hop:
    return Hop("server to terminal", NOW, MONO)


def test_a_hop_begins_down_and_without_an_availability() -> None:
    view = _hop().view()
    assert (view.hop, view.state, view.since) == ("server to terminal", "down", NOW)
    assert (view.availability, view.availability_24h) == ("", "")


def test_availability_is_the_share_of_the_time_that_it_was_up() -> None:
    hop = _hop()
    _observe(hop, "up", 0)
    _observe(hop, "down", 75, "cable")
    _observe(hop, "down", 100, "cable")
    view = hop.view()
    assert (view.availability, view.availability_24h) == ("75.00", "75.00")
    assert (view.state, view.why, view.since) == ("down", "cable", NOW + 75_000)


def test_degraded_counts_as_available() -> None:
    hop = _hop()
    _observe(hop, "degraded", 0)
    _observe(hop, "degraded", 10)
    assert hop.view().availability == "100.00"


def test_since_is_when_the_state_changed_and_not_when_it_was_last_seen() -> None:
    hop = _hop()
    for second in range(5, 9):
        _observe(hop, "up", second)
    assert hop.view().since == NOW + 5_000


def test_after_a_day_what_was_before_counts_only_since_the_start() -> None:
    hop = _hop()
    for minute in range(24 * 60 + 1):  # a day down, then as much up
        _observe(hop, "down", minute * 60)
    day = 24 * 3600
    for minute in range(24 * 60 + 2):
        _observe(hop, "up", day + minute * 60)
    view = hop.view()
    assert view.availability_24h == "100.00"
    assert 49 < float(view.availability) < 51


def test_a_monotonic_clock_that_stands_still_counts_nothing() -> None:
    hop = _hop()
    hop.observe("up", "", NOW, MONO)
    hop.observe("up", "", NOW, MONO - 5)
    assert hop.view().availability == ""
