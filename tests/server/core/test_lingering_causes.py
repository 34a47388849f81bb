"""A cause that is raised again, that lingers, that is one symbol's: nothing of it gets lost."""

from __future__ import annotations

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.operations import Op
from bridge_server.core.gate import judge
from bridge_server.core.trading_state import Cause, Causes, RaisedCause, TradingState
from tests.support.admission import SHOT
from tests.support.builders import NOW, admit, conditions

_R, _H = TradingState.REDUCE_ONLY, TradingState.HALTED


def _only(causes: Causes) -> RaisedCause:
    (one,) = causes
    return one


def test_a_lingering_cause_that_comes_back_is_no_milder_and_keeps_its_beginning() -> None:
    causes = Causes()
    assert causes.raise_cause(Cause.HEARTBEAT, 100, state=_H, reason="first") is True
    assert causes.reason_gone(Cause.HEARTBEAT, 200) is False
    assert causes.raise_cause(Cause.HEARTBEAT, 300) is True
    assert _only(causes) == RaisedCause(
        cause=Cause.HEARTBEAT, since_ms=100, state=_H, symbol="", reason="first", gone_ms=None
    )


def test_a_lingering_cause_remains_its_symbols_own() -> None:
    causes = Causes()
    causes.raise_cause(Cause.BROKER_LINK, 100, symbol="EURUSD", reason="why")
    assert causes.reason_gone(Cause.BROKER_LINK, 200, symbol="EURUSD") is False
    assert _only(causes) == RaisedCause(
        cause=Cause.BROKER_LINK, since_ms=100, state=_R, symbol="EURUSD", reason="why", gone_ms=200
    )
    assert causes.get(Cause.BROKER_LINK) is None


def test_the_answers_are_yes_or_no() -> None:
    causes = Causes()
    assert causes.reason_gone(Cause.CLOCK, 1) is False
    assert causes.raise_cause(Cause.OPERATOR, 1) is True
    assert _only(causes).reason == ""
    assert causes.raise_cause(Cause.OPERATOR, 2) is False
    assert causes.reason_gone(Cause.OPERATOR, 3) is False
    assert causes.resume(Cause.CLOCK) is False
    assert causes.resume(Cause.OPERATOR) is True


def test_a_symbol_that_is_halted_for_itself_is_told_so() -> None:
    # Not UNKNOWN_ORDER_OPEN, which is what a symbol's REDUCE_ONLY means on an active account.
    causes = Causes()
    causes.raise_cause(Cause.UNKNOWN, NOW, symbol="EURUSD", state=_H)
    verdict = judge(admit(Op.OPEN), conditions(SHOT, causes=causes))
    assert isinstance(verdict, Refusal)
    assert verdict.code is ReasonCode.HALTED
