"""What the judgement hands around cannot be changed, and nothing in it goes by position."""

from __future__ import annotations

import pickle

import pytest
from msgspec import Struct

from bridge_core.protocol.chain import Record
from bridge_core.protocol.keys import KeySet, KeyState, Mode, Secret, derive
from bridge_core.protocol.operations import Op, Purpose
from bridge_core.protocol.signing import RequestKeys, sign_request
from bridge_server.core.gate import Admitted, Conditions, Drop
from bridge_server.core.orders import Evidence, Life, life_may_become
from bridge_server.core.reconcile import Absence, Finding, Suspect
from bridge_server.core.trading_state import RaisedCause
from tests.support.builders import token

VALUES = (Record, KeySet, Admitted, Conditions, Suspect, Finding, Absence, RaisedCause)


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_a_value_is_frozen_and_takes_names_only(kind: type[Struct]) -> None:
    config = kind.__struct_config__
    assert config.frozen
    assert kind.__match_args__ == ()  # msgspec's sign of keyword-only


def test_what_is_not_said_of_a_value_is_nothing() -> None:
    record = Record(ts=1, kind="X")
    assert (record.rid, record.op, record.state, record.code, record.data) == ("", "", "", "", {})
    assert KeySet.__struct_defaults__[:3] == (KeyState.ACTIVE, 0, "")
    assert set(RaisedCause.__struct_defaults__) == {"", None}


def test_a_secret_says_what_it_is_and_is_not_pickled() -> None:
    assert repr(Secret(b"x" * 32)) == str(Secret(b"y")) == "<Secret>"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=r"\Aa secret is not pickled\Z"):
            pickle.dumps(Secret(b"x" * 32), protocol)


def test_a_key_for_the_ea_without_its_purpose_signs_nothing() -> None:
    keys = RequestKeys(b"k" * 32, Purpose.ORDER_SRV, b"e" * 32, None)
    assert sign_request(token(Op.OPEN), b"{}", keys).token.split(b":")[-2] == b"-"


def test_a_root_of_another_length_is_named_as_such() -> None:
    with pytest.raises(ValueError, match=r"\Aroot key length\Z"):
        derive(bytes(31), mode=Mode.PAPER, acct="a", kid="b", purpose=Purpose.QUERY_SRV)


def test_whether_a_life_may_change_so_is_yes_or_no() -> None:
    assert life_may_become(Life.WORKING, Life.FILLED) is True
    assert life_may_become(Life.FILLED, Life.WORKING) is False


def test_words_that_are_stored_or_shown_are_these() -> None:
    assert [str(one) for one in Mode] == ["paper", "live"]
    assert [str(one) for one in KeyState] == ["active", "retiring", "revoked"]
    assert [str(one) for one in Drop] == ["shape", "token", "key", "mac", "account", "identity"]
    assert [str(one) for one in Evidence] == [
        "EA", "BROKER", "SERVER", "TAG", "SHAPE", "ABSENT", "HUMAN",
    ]  # fmt: skip
