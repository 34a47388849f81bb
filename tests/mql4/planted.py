"""Bugs to plant in the Advisor's source, and who has to find each (hunt.py does it).

Here: what goes wrong with the language, the terminal and the DLL. A bug is found by the lint, by
g++ (`make ea-check`), by the harness (a violation, a critical error) or by a test that fails.
`text` stands exactly once in the file; where it does not any more, test_planted.py says so.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

__all__ = ["LANGUAGE", "Bug", "By"]


class By(Enum):
    """Who finds it."""

    LINT = "lint"
    GXX = "g++"
    CRITICAL = "critical"  # the critical error that would stop the program in a terminal
    VIOLATION = "violation"  # the harness: it would crash, hang or mislead a terminal
    TEST = "test"


class Bug(NamedTuple):
    """One bug: in `file` of mql4/ `text` becomes `replacement`; `says` is in what finds it.

    `tests` are pytest's names below tests/mql4: the cheapest that find it. None: `make ea-check`.
    """

    name: str
    file: str
    text: str
    replacement: str
    by: By
    says: str
    tests: tuple[str, ...] = ()


_B: Final = "Include/Bridge/"
_HELLO: Final = "test_link_session.py::test_hello_is_repeated_until_it_is_welcomed"
_MAC: Final = "test_core_vectors.py::test_hmac_is_that_of_rfc_4231_but_under_32_bytes_alone"
_JSON: Final = "test_core_generated.py::test_json_is_ascii_and_reads_back"
_ORDER: Final = "test_trade_orders.py::test_"

LANGUAGE: Final[tuple[Bug, ...]] = (
    # --- memory and numbers ---------------------------------------------------------------
    Bug(
        "one_past_an_array", _B + "Bytes.mqh",
        "   ArrayResize(hex, 2 * count);\n",
        "   ArrayResize(hex, 2 * count - 1);\n",
        By.CRITICAL, "array out of range", (_MAC,),
    ),
    Bug(
        "index_minus_one", _B + "Hop.mqh",
        "part[m_count] = CharArrayToString(",
        "part[m_count - 1] = CharArrayToString(",
        By.CRITICAL, "array out of range", (_HELLO,),
    ),
    Bug(
        "division_by_zero", _B + "Decimal.mqh",
        "   if(step <= 0) return(false);\n   return(units % step == 0);",
        "   return(units % step == 0);",
        By.CRITICAL, "zero divide", ("test_core_generated.py::test_grids_are_exact",),
    ),
    Bug(
        "uninitialised_local", _B + "Checks.mqh",
        "   int held = room.pools.Entries();\n",
        "   int held;\n",
        By.GXX, "uninitialized",
    ),
    # --- text -----------------------------------------------------------------------------
    Bug(
        "a_number_for_percent_s", _B + "Json.mqh",
        r'StringFormat("\\u%04x", (int)c)', r'StringFormat("\\u%s", (int)c)',
        By.VIOLATION, "StringFormat", (_JSON,),
    ),
    Bug(
        "a_long_for_percent_d", _B + "Json.mqh",
        r'StringFormat("\\u%04x", (int)c)', r'StringFormat("\\u%04d", (long)c)',
        By.VIOLATION, "StringFormat", (_JSON,),
    ),
    Bug(
        "an_argument_missing", _B + "Json.mqh",
        r'StringFormat("\\u%04x", (int)c)', r'StringFormat("\\u%04x%s", (int)c)',
        By.VIOLATION, "StringFormat", (_JSON,),
    ),
    Bug(
        "a_character_added_to_a_text", _B + "Tag.mqh",
        '   comment = "Z" + TagBase32(digest, 8);\n',
        "   ushort first = 'Z';\n   comment = first + TagBase32(digest, 8);\n",
        By.GXX, "string + short unsigned int",
    ),
    Bug(
        "a_literal_by_reference", _B + "Mac.mqh",
        "bool MacInput(string purpose,", "bool MacInput(const string &purpose,",
        By.LINT, "a reference parameter takes a variable",
    ),
    # --- trading calls --------------------------------------------------------------------
    Bug(
        "result_of_a_call_unused", _B + "Trader.mqh",
        "   bool deleted = OrderDelete(ticket, clrNONE);\n",
        "   OrderDelete(ticket, clrNONE);\n   bool deleted = true;\n",
        By.LINT, "OrderDelete",
    ),
    Bug(
        "result_of_a_call_ignored", _B + "Trader.mqh",
        "   m_error = ticket > 0 ? 0 : GetLastError();\n   return(ticket > 0 ? ticket : -1);",
        "   m_error = 0;\n   return(ticket);",
        By.TEST, "REJECTED",
        ("test_trade_errors.py::test_each_definite_answer_to_an_open_is_rejected_with_its_word",),
    ),
    Bug(
        "an_order_read_unselected", _B + "Pools.mqh",
        "   if(ticket <= 0 || !OrderSelect(ticket, SELECT_BY_TICKET)) return(false);\n",
        "   if(ticket <= 0) return(false);\n",
        By.VIOLATION, "without a successful OrderSelect",
        (_ORDER + "a_record_of_an_open_shows_ticket_volume_and_fill",),
    ),
    Bug(
        "a_comment_too_long", _B + "Tag.mqh",
        "   if(count > MT4_COMMENT_CHARS) count = MT4_COMMENT_CHARS;\n", "",
        By.VIOLATION, "a comment longer than 31 characters",
        (_ORDER + "a_market_order_is_sent_once_as_signed_and_answered_with_the_brokers_numbers",),
    ),
    Bug(
        "a_price_not_normalised", _B + "Decimal.mqh",
        "   return(NormalizeDouble((double)units / DECIMAL_ONE, digits));",
        "   return((double)units / DECIMAL_ONE + 0.0000001 / (1 + digits));",
        By.TEST, "REJECTED",
        (_ORDER + "a_pending_order_rests_with_its_stops_and_expiration[BUY_LIMIT-1.08400]",),
    ),
    Bug(
        "the_hash_of_nothing", _B + "Hash.mqh",
        "   if(ArraySize(data) == 0) return(false);\n", "",
        By.VIOLATION, "CryptEncode of empty data",
        ("test_core_keys.py::test_what_is_no_text_or_no_file_is_refused_too",),
    ),
    # --- libzmq and the event loop --------------------------------------------------------
    Bug(
        "receive_longer_than_the_array", _B + "Zmq.mqh",
        "zmq_recv(m_socket, m_buffer, ZMQ_FRAME_BYTES_MAX, flags)",
        "zmq_recv(m_socket, m_buffer, 2 * ZMQ_FRAME_BYTES_MAX, flags)",
        By.VIOLATION, "past the array", (_HELLO,),
    ),
    Bug(
        "receive_without_a_timeout", _B + "Zmq.mqh",
        "   if(!SetNumber(ZMQ_RCVTIMEO, milliseconds, 4)) return(false);\n", "",
        By.VIOLATION, "zmq_recv may block the terminal", (_HELLO,),
    ),
    Bug(
        "send_that_may_wait", _B + "Zmq.mqh",
        "   int flags = ZMQ_DONTWAIT;\n", "   int flags = 0;\n",
        By.VIOLATION, "zmq_send without ZMQ_DONTWAIT", (_HELLO,),
    ),
    Bug(
        "linger_not_set", _B + "Zmq.mqh",
        "SetNumber(ZMQ_LINGER, 0, 4) && ", "",
        By.VIOLATION, "zmq_close with ZMQ_LINGER", (_HELLO,),
    ),
    Bug(
        "context_ended_with_a_socket_open", _B + "Zmq.mqh",
        "   if(m_socket != 0 && zmq_close(m_socket) != 0) failed = zmq_errno();\n", "",
        By.VIOLATION, "sockets open blocks for ever", (_HELLO,),
    ),
    Bug(
        "socket_used_after_close", _B + "Zmq.mqh",
        "zmq_errno();\n   m_socket = 0;\n", "zmq_errno();\n",
        By.VIOLATION, "dead or foreign",
        ("test_link_session.py::test_a_changed_endpoint_is_connected_to",),
    ),
    Bug(
        "deinit_leaves_the_socket", _B + "Bridge.mqh",
        "   m_pump.Close(was_up);\n", "   if(!was_up) m_pump.Close(was_up);\n",
        By.VIOLATION, "left open at the end", (_HELLO,),
    ),
    Bug(
        "a_handler_that_is_busy", _B + "Bridge.mqh",
        "#define BRIDGE_TURN_MS   180", "#define BRIDGE_TURN_MS   400",
        By.VIOLATION, "was busy for", (_HELLO,),
    ),
)  # fmt: skip
