"""The exit codes are the table of the command line, cell by cell."""

from __future__ import annotations

import pytest

from bridge_client.cli.exits import Exit, UsageError, exit_of_error, exit_of_outcome
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import (
    AuthenticationError,
    BridgeError,
    ConfigError,
    LocalProtocolError,
    OrderDeniedError,
    RemoteProtocolError,
    TransportError,
)


@pytest.mark.parametrize(
    ("status", "code", "by", "wanted"),
    [
        ("FILLED", "-", "", 0),
        ("FILLED", "STOPS_NOT_SET", "", 0),
        ("PARTIAL", "-", "", 0),
        ("WORKING", "-", "", 0),
        ("DONE", "-", "", 0),
        ("OK", "-", "", 0),
        ("REJECTED", "NO_MONEY", "broker", 1),
        ("DENIED", "NO_CONNECTION", "connector", 2),
        ("PENDING", "-", "", 4),
        ("UNKNOWN", "NO_ANSWER", "", 4),
        ("DENIED", "MAX_VOLUME", "connector", 5),
        ("DENIED", "MAX_VOLUME", "server", 5),
        ("DENIED", "HALTED", "server", 5),
        ("DENIED", "SCOPE", "server", 5),
    ],
)
def test_an_outcome_has_the_exit_code_of_the_table(
    status: str, code: str, by: str, wanted: int
) -> None:
    assert exit_of_outcome(status, code, by) == wanted


def test_a_status_of_a_later_version_counts_as_unknown_never_as_success() -> None:
    assert exit_of_outcome("TELEPORTED") == Exit.UNKNOWN


def test_a_server_that_says_no_connection_did_receive_the_bytes() -> None:
    assert exit_of_outcome("DENIED", "NO_CONNECTION", "server") == Exit.DENIED


@pytest.mark.parametrize("code", ReasonCode)
def test_only_no_connection_means_that_nothing_left_this_machine(code: str) -> None:
    found = exit_of_outcome(Status.DENIED, code, "connector")
    assert (found == Exit.NOTHING_SENT) == (code is ReasonCode.NO_CONNECTION)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (UsageError("x"), 3),
        (ConfigError("KEY_FILE", "x"), 3),
        (LocalProtocolError("NUMBER", "x"), 3),
        (TransportError("NO_ANSWER", "x"), 2),
        (AuthenticationError("MAC", "x"), 1),
        (RemoteProtocolError("REPLY_BODY", "x"), 1),
        (OrderDeniedError("SCOPE", "x"), 5),
        (BridgeError("OTHER"), 1),
    ],
)
def test_an_error_has_the_exit_code_of_the_table(error: BridgeError, wanted: int) -> None:
    assert exit_of_error(error) == wanted
