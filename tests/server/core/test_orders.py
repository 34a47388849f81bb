"""The one transition table: what it allows, what it can never allow, and who enforces it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.host.sqlite import JournalFatal
from bridge_core.protocol.codes import FINAL, Status
from bridge_server.core.orders import (
    FINAL_STATES,
    LIFE,
    TRANSITIONS,
    Life,
    OrderEvent,
    OrderState,
    after,
    life_may_become,
    status_of,
)
from bridge_server.journal import Change, Journal
from tests.support.builders import NOW, row

_S, _E = OrderState, OrderEvent
_EVENTS = st.lists(st.sampled_from(list(_E)), max_size=12)
_OUTCOMES = (_E.FILL, _E.PART, _E.PLACE, _E.COMPLETE, _E.REJECT)


def _walk(events: list[OrderEvent]) -> list[OrderState]:
    states = [_S.ACCEPTED]
    for event in events:
        state = after(states[-1], event)
        if state is not None:
            states.append(state)
    return states


@given(_EVENTS)
def test_no_sequence_of_events_leaves_the_table(events: list[OrderEvent]) -> None:
    for before, now in itertools.pairwise(_walk(events)):
        assert now in {TRANSITIONS.get((before, event)) for event in _E}


@given(_EVENTS)
def test_a_final_state_never_changes(events: list[OrderEvent]) -> None:
    states = _walk(events)
    assert not any(state in FINAL_STATES for state in states[:-1])


@given(_EVENTS)
def test_an_order_is_dispatched_at_most_once(events: list[OrderEvent]) -> None:
    assert _walk(events).count(_S.DISPATCHING) <= 1


@given(_EVENTS)
def test_no_order_gets_a_brokers_outcome_without_its_intent(events: list[OrderEvent]) -> None:
    states = _walk(events)
    if states[-1] in FINAL_STATES - {_S.DENIED} or _S.UNKNOWN in states:
        assert _S.DISPATCHING in states


@pytest.mark.parametrize("event", _OUTCOMES)
def test_an_accepted_order_cannot_get_a_brokers_outcome(event: OrderEvent) -> None:
    assert after(_S.ACCEPTED, event) is None


def test_an_accepted_order_cannot_be_lost() -> None:
    assert after(_S.ACCEPTED, _E.LOSE) is None


def test_unknown_is_left_only_by_an_outcome_and_can_become_any_of_them() -> None:
    reached = {after(_S.UNKNOWN, event) for event in _E} - {None}
    assert reached == {_S.FILLED, _S.PARTIAL, _S.WORKING, _S.DONE, _S.REJECTED, _S.DENIED}


def test_unknown_never_goes_back_to_dispatching() -> None:
    assert after(_S.UNKNOWN, _E.DISPATCH) is None
    assert after(_S.UNKNOWN, _E.LOSE) is None


def test_no_answer_makes_an_order_unknown_and_never_failed() -> None:
    assert after(_S.DISPATCHING, _E.LOSE) is _S.UNKNOWN


def test_the_final_states_are_those_that_peers_are_told_are_final() -> None:
    assert {status_of(state) for state in FINAL_STATES} == FINAL - {Status.OK}


@pytest.mark.parametrize("state", [_S.ACCEPTED, _S.DISPATCHING])
def test_an_order_on_its_way_is_told_as_pending(state: OrderState) -> None:
    assert status_of(state) is Status.PENDING


@pytest.mark.parametrize("state", sorted(set(_S) - {_S.ACCEPTED, _S.DISPATCHING}))
def test_every_other_state_is_told_by_its_own_name(state: OrderState) -> None:
    assert status_of(state) == state.value


# --- the life of a working order ------------------------------------------------------------


def test_every_life_has_its_row() -> None:
    assert set(LIFE) == set(Life)


@given(st.lists(st.sampled_from(list(Life)), max_size=8))
def test_a_working_orders_life_ends_once(wanted: list[Life]) -> None:
    life, ended = Life.WORKING, 0
    for new in wanted:
        if life_may_become(life, new):
            life = new
            ended += life in (Life.FILLED, Life.CANCELLED, Life.BROKER_EXPIRED)
    assert ended <= 1


@pytest.mark.parametrize("life", list(Life))
def test_no_life_goes_back_to_working(life: Life) -> None:
    assert not life_may_become(life, Life.WORKING)


# --- the journal guarantees it, not program flow ---------------------------------------------


def test_the_journals_compare_and_set_dispatches_a_row_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    accepted = row()
    with journal.transaction():
        journal.insert(accepted, "ORDER")
    change = Change(state=_S.DISPATCHING, view=accepted.view, at_ms=NOW)
    with journal.transaction():
        journal.change(accepted, change)
    with pytest.raises(JournalFatal), journal.transaction():
        journal.change(accepted, change)  # a second hand that still believes in ACCEPTED
    assert [record.count(b"DISPATCHING") for _, record, _ in journal.log_rows(1, 9)] == [0, 1]
    journal.close()
