"""The shortest and the longest that each token's grammar takes, and what its length bound adds."""

from __future__ import annotations

import pytest

from bridge_core.protocol import limits
from bridge_core.protocol.token import (
    EaRecord,
    EventToken,
    ReplyToken,
    RequestToken,
    parse_ea_record,
    parse_event,
    parse_reply,
    parse_request,
)

RID, HEX = "f" * 32, "e" * 64
MOST = 10**18 - 1
TIME = 10**13 - 1


@pytest.mark.parametrize("op", ["A", "_", "O" * 16])
def test_an_operation_has_one_to_sixteen_letters(op: str) -> None:
    token = RequestToken("RISK_PASS", "ab", "a", op, RID, TIME, 200, "0" * 16)
    assert parse_request(token.head() + f"-:{HEX}".encode()) == token._replace(mac_srv=HEX)
    record = EaRecord("ab", "a", RID, op, HEX, "D", "-", 0, "0", "0", "0", "0", TIME)
    assert parse_ea_record(record.text()) == record


@pytest.mark.parametrize("op", ["", "O" * 17])
def test_no_more_and_no_fewer(op: str) -> None:
    token = RequestToken("RISK_PASS", "ab", "a", op, RID, TIME, 200, "0" * 16)
    assert parse_request(token.head() + f"-:{HEX}".encode()) is None
    record = EaRecord("ab", "a", RID, op, HEX, "D", "-", 0, "0", "0", "0", "0", TIME)
    assert parse_ea_record(record.text()) is None


@pytest.mark.parametrize("price", ["0", "1.1", "0.12345678", "999999999.9"])
def test_a_record_takes_one_to_eight_decimals_or_none(price: str) -> None:
    record = EaRecord("ab", "a", RID, "O", HEX, "D", "-", 1, price, price, price, price, TIME)
    assert parse_ea_record(record.text()) == record


@pytest.mark.parametrize("price", ["1.", ".1", "0.123456789", "9999999999", "01"])
def test_a_record_takes_no_other_decimal(price: str) -> None:
    record = EaRecord("ab", "a", RID, "O", HEX, "D", "-", 1, price, "0", "0", "0", TIME)
    assert parse_ea_record(record.text()) is None


def test_the_longest_of_each_kind_stays_below_the_bound_on_its_length() -> None:
    # So the bound never refuses what the grammar takes: it only spares the grammar the work.
    kid, acct, word, dec = "k" * 16, "a" * 24, "W" * 32, "9" * 9 + "." + "9" * 8
    request = RequestToken("RISK_PASS", kid, acct, "O" * 16, RID, TIME, 10_000, "0" * 16)
    reply = ReplyToken(kid, acct, RID, TIME, word, word, HEX, "0" * 16, MOST, HEX)
    event = EventToken(kid, acct, "s" * 64, MOST, TIME)
    record = EaRecord(
        kid, acct, RID, "O" * 16, HEX, word, word, MOST, dec, dec, dec, dec, TIME
    )  # fmt: skip
    longest = {
        parse_request: request.head() + f"{HEX}:{HEX}".encode(),
        parse_reply: reply.head() + f"{HEX}:{HEX}".encode(),
        parse_event: event.head() + HEX.encode(),
    }
    for parse, raw in longest.items():
        assert parse(raw) is not None
        assert len(raw) < limits.TOKEN_BYTES_MAX
    assert parse_ea_record(record.text()) is not None
    assert len(record.text()) < limits.EA_RECORD_BYTES_MAX
