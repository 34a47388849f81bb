"""Every code of MetaTrader 5 lands in its class, and what nobody listed is never a "no"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_server.backends.mt5_answers import (
    ACCEPTED,
    REFUSED,
    UNDECIDED,
    Accepted,
    Kind,
    judge_check,
    judge_sent,
    kind_of_retcode,
)
from bridge_server.backends.mt5_link import Sent
from bridge_server.backends.mt5_pipe import Answer
from bridge_server.core.ports import Lost, NotBegun, Rejected
from tests.support import fake_metatrader5

_FACTS = Path(fake_metatrader5.__file__).with_name("facts.json")


def _result(retcode: object, **over: object) -> Sent:
    record = {"retcode": retcode, "deal": 0, "order": 0, "comment": "a word"} | over
    return Sent(begun=True, answer=Answer(ok=True, value=record, code=1, text="Success"))


def _error(code: int, text: str) -> Sent:
    return Sent(begun=True, answer=Answer(ok=False, value=None, code=code, text=text))


# The documentation's table, code by code: Y accepted, N definite no, ? nobody knows.
_TABLE = {
    10004: "N", 10006: "N", 10007: "N", 10008: "Y", 10009: "Y", 10010: "Y", 10011: "?",
    10012: "?", 10013: "N", 10014: "N", 10015: "N", 10016: "N", 10017: "N", 10018: "N",
    10019: "N", 10020: "N", 10021: "N", 10022: "N", 10023: "?", 10024: "N", 10025: "Y",
    10026: "N", 10027: "N", 10028: "?", 10029: "N", 10030: "N", 10031: "?", 10032: "N",
    10033: "N", 10034: "N", 10035: "N", 10036: "N", 10038: "N", 10039: "?", 10040: "N",
    10041: "N", 10042: "N", 10043: "N", 10044: "N", 10045: "N", 10046: "N",
}  # fmt: skip


@pytest.mark.parametrize(("retcode", "kind"), _TABLE.items())
def test_each_trade_server_code_has_its_class(retcode: int, kind: str) -> None:
    found = judge_sent(_result(retcode))
    wanted = {"Y": Accepted, "N": Rejected, "?": Lost}[kind]
    assert isinstance(found, wanted), found


def test_the_table_is_the_packages_and_one_code_more() -> None:
    facts = json.loads(_FACTS.read_text(encoding="utf-8"))
    known = {
        value for name, value in facts["constants"].items() if name.startswith("TRADE_RETCODE_")
    }
    assert known | {10046} == set(_TABLE)  # HEDGE_PROHIBITED is documented and not exported
    assert ACCEPTED | REFUSED.keys() | UNDECIDED == set(_TABLE)
    assert not ACCEPTED & REFUSED.keys()
    assert not UNDECIDED & (ACCEPTED | REFUSED.keys())


@given(st.integers(-(2**31), 2**32))
def test_a_code_that_nobody_listed_means_that_nobody_knows(retcode: int) -> None:
    if retcode not in _TABLE:
        assert kind_of_retcode(retcode) is Kind.UNKNOWN
        assert isinstance(judge_sent(_result(retcode)), Lost)


@pytest.mark.parametrize("record", [{}, {"retcode": None}, {"retcode": "10009"}, {"retcode": True},
                                    {"order": 5, "deal": 6}])  # fmt: skip
def test_a_result_without_a_code_decides_nothing(record: dict[str, object]) -> None:
    answer = Answer(ok=True, value=record)
    assert isinstance(judge_sent(Sent(begun=True, answer=answer)), Lost)


@pytest.mark.parametrize("value", [None, [], True, 10009, "done"])
def test_a_result_that_is_no_record_decides_nothing(value: object) -> None:
    assert isinstance(judge_sent(Sent(begun=True, answer=Answer(ok=True, value=value))), Lost)


@pytest.mark.parametrize(
    ("retcode", "code"),
    [(10019, "NO_MONEY"), (10004, "REQUOTE"), (10020, "REQUOTE"), (10018, "MARKET_CLOSED"),
     (10014, "INVALID_VOLUME"), (10015, "INVALID_PRICE"), (10016, "INVALID_STOPS"),
     (10036, "INVALID_TICKET"), (10033, "TOO_MANY_ORDERS"), (10027, "TRADE_DISABLED"),
     (10021, "PRICE_OFF"), (10030, "BROKER_REJECTED")],
)  # fmt: skip
def test_a_no_says_which_and_keeps_the_brokers_own_words(retcode: int, code: str) -> None:
    found = judge_sent(_result(retcode, comment="No money"))
    assert isinstance(found, Rejected)
    assert found.code == code
    assert (found.facts.retcode, found.facts.comment) == (retcode, "No money")


def test_a_yes_names_order_and_deal_as_far_as_the_answer_knows_them() -> None:
    found = judge_sent(_result(10009, order=7, deal=8))
    assert found == Accepted(retcode=10009, order=7, deal=8, comment="a word")
    assert judge_sent(_result(10008)) == Accepted(retcode=10008, comment="a word")


# --- last_error after None -------------------------------------------------------------------

_CLIENT = [
    'Invalid "volume" argument', 'Invalid "comment" argument', "Invalid arguments",
    "Unnamed arguments not allowed", "Invalid number of arguments",
    'Invalid "magic" argument (SystemError: <built-in> returned a result with an exception set)',
]  # fmt: skip


@pytest.mark.parametrize("text", _CLIENT)
def test_what_the_package_refused_itself_was_never_sent(text: str) -> None:
    found = judge_sent(_error(-2, text))
    assert found == NotBegun(refusal=Refusal(ReasonCode.BROKER_REJECTED, limit="-2", value=text))


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (-5, "Terminal: Incompatible versions, update the terminal", "BROKER_REJECTED"),
        (-7, "Terminal: Unsupported function", "BROKER_REJECTED"),
        (-8, "Auto-Trading using Python API disabled in Terminal", "TRADE_DISABLED"),
        (-10004, "No IPC connection", "BROKER_DOWN"),
    ],
)
def test_these_errors_prove_that_nothing_was_sent(code: int, text: str, reason: str) -> None:
    found = judge_sent(_error(code, text))
    assert isinstance(found, NotBegun)
    assert (found.refusal.code, found.refusal.limit) == (reason, str(code))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-1, "Terminal: Call failed"),
        (-2, "Terminal: Invalid params"),  # the terminal's own -2: it had the request
        (-2, 'Terminal: Invalid "volume" argument'),
        (-2, 'Invalid "volume" argument, said the terminal'),
        (-3, "Terminal: Out of memory"),
        (-3, "No memory"),
        (-4, "Terminal: Not found"),
        (-6, "Terminal: Authorization failed"),
        (-10000, "IPC call failed"),
        (-10001, "IPC send failed"),
        (-10002, "IPC recv failed"),
        (-10003, "IPC initialize failed, MetaTrader 5 x64 not found"),
        (-10005, "IPC timeout"),
        (1, "Success"),  # None without an error
        (0, "SystemError: returned a result with an exception set"),
        (0, ""),
        (-9, "tomorrow's code"),
    ],
)
def test_every_other_error_after_order_send_is_unknown_and_says_which(code: int, text: str) -> None:
    found = judge_sent(_error(code, text))
    assert isinstance(found, Lost)
    assert str(code) in found.cause
    assert text in found.cause


@given(st.integers(-20_000, 20_000), st.text(max_size=30))
def test_no_other_code_and_no_other_text_is_a_proof(code: int, text: str) -> None:
    if code not in (-2, -5, -7, -8, -10004):
        assert isinstance(judge_sent(_error(code, text)), Lost)


# --- what never got so far, and what never came back --------------------------------------------


def test_a_call_that_did_not_begin_hands_its_refusal_on() -> None:
    refusal = Refusal(ReasonCode.ACCOUNT_MISMATCH, value="login 2")
    assert judge_sent(Sent(begun=False, refusal=refusal)) == NotBegun(refusal=refusal)
    bare = judge_sent(Sent(begun=False, why="the worker is away"))
    assert bare == NotBegun(refusal=Refusal(ReasonCode.BROKER_DOWN, value="the worker is away"))


@pytest.mark.parametrize("why", ["killed after 60 s", ""])
def test_a_call_without_an_answer_is_unknown(why: str) -> None:
    found = judge_sent(Sent(begun=True, why=why))
    assert isinstance(found, Lost)
    assert found.cause == (why or "no answer to order_send")


# --- order_check -------------------------------------------------------------------------------


def _check(retcode: Any) -> Answer:
    return Answer(ok=True, value={"retcode": retcode, "comment": "Done"})


def test_a_check_of_zero_is_a_yes() -> None:
    assert judge_check(_check(0)) is None


@pytest.mark.parametrize(("retcode", "kind"), _TABLE.items())
def test_no_other_check_is_and_nothing_was_sent(retcode: int, kind: str) -> None:
    found = judge_check(_check(retcode))
    assert isinstance(found, Rejected if kind == "N" else NotBegun)
    if isinstance(found, Rejected):
        assert found.facts.retcode == retcode


@pytest.mark.parametrize("record", [{}, {"retcode": None}, {"retcode": "0"}, {"retcode": False}])
def test_a_check_without_a_code_is_no_yes(record: dict[str, object]) -> None:
    found = judge_check(Answer(ok=True, value=record))
    assert isinstance(found, NotBegun)


@pytest.mark.parametrize("code", [-1, -2, -8, -10001, -10002, -10004, 0])
def test_a_check_that_failed_sent_nothing_whatever_the_error(code: int) -> None:
    found = judge_check(Answer(ok=False, code=code, text="Invalid arguments"))
    assert isinstance(found, NotBegun)
    wanted = {-2: "BROKER_REJECTED", -8: "TRADE_DISABLED"}.get(code, "BROKER_DOWN")
    assert found.refusal.code == wanted
