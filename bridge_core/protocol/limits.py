"""Every bound of the protocol: a name that ends in its unit, a value, a reason.

`LIMITS` is the table printed in protocol.md 9; the relations between bounds are asserted below.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["LIMITS", "Limit"]

PROTOCOL_VERSION: Final = 5

# --- frames ------------------------------------------------------------------------------
FRAME_TAG: Final = b"ZTB5"
TOKEN_BYTES_MAX: Final = 512
BODY_BYTES_MAX: Final = 4096
REPLY_BODY_BYTES_MAX: Final = 4_194_304
EVENT_BODY_BYTES_MAX: Final = 16_384
TOPIC_BYTES_MAX: Final = 64
EA_RECORD_BYTES_MAX: Final = 400
SERVER_FRAME_BYTES_MAX: Final = 4608
CLIENT_FRAME_BYTES_MAX: Final = REPLY_BODY_BYTES_MAX + 1024
EVENT_FRAME_BYTES_MAX: Final = 20_480

# --- the hop between server and EA (protocol.md 14) ----------------------------------------
HOP_FRAME_TAG: Final = b"ZTH5"
HOP_HEAD_BYTES_MAX: Final = 200
HOP_BODY_BYTES_MAX: Final = 49_152
HOP_SERVER_FRAME_BYTES_MAX: Final = 65_536
HOP_EA_FRAME_BYTES_MAX: Final = 8_192
HOP_PAGE_ROWS: Final = 100
EA_BEAT_PERIOD_MS: Final = 1_000
EA_STALE_MS: Final = 3_000
EA_BUSY_MS_MAX: Final = 60_000
EA_TWICE_MS: Final = 1_000
EA_FENCE_WAIT_MS: Final = 1_500
EA_QUERY_MS_MAX: Final = 2_000
EA_TOMBSTONES_PER_SECOND: Final = 10
EA_SESSION_SILENCE_MS: Final = 300_000

# --- the server's own hop to MetaTrader 5: one worker process ------------------------------
MT5_READ_MS_MAX: Final = 5_000
MT5_CONNECT_MS_MAX: Final = 180_000
MT5_AUTHORISE_MS: Final = 60_000
MT5_BEAT_PERIOD_MS: Final = 1_000
MT5_STALE_MS: Final = 4_000
MT5_RETRY_MS_MIN: Final = 1_000
MT5_RETRY_MS_MAX: Final = 60_000
MT5_REFUSED_MS: Final = 300_000

# --- identifiers -------------------------------------------------------------------------
KEY_BYTES: Final = 32
RID_HEX: Final = 32
INCARNATION_HEX: Final = 16
MAC_HEX: Final = 64
CLIENT_ORDER_ID_CHARS_MAX: Final = 36
COMMENT_CHARS_MAX: Final = 64
REASON_CHARS_MAX: Final = 128
SYMBOL_CHARS_MAX: Final = 31
STRATEGY_MAX: Final = 4095
TICKET_MAX: Final = 2**63 - 1
DEVIATION_POINTS_MAX: Final = 1_000_000
PAGE_ROWS_MAX: Final = 500

# --- time --------------------------------------------------------------------------------
TTL_MS_MIN: Final = 200
TTL_MS_DEFAULT: Final = 5_000
TTL_MS_MAX: Final = 10_000
CLOCK_SKEW_MS_MAX: Final = 1_000
CLOCK_JUMP_MS_MAX: Final = 250
CLOCK_STABLE_MS: Final = 30_000
CONDITION_CLEAR_MS: Final = 30_000
REPLY_WAIT_MS_MAX: Final = 2_000
FLATTEN_WINDOW_MS: Final = 120_000
TRADE_CALL_MS_MAX: Final = 60_000
SELF_TEST_PERIOD_MS: Final = 60_000
HEARTBEAT_PERIOD_MS: Final = 1_000
STREAM_STALE_MS: Final = 3_000
QUOTE_AGE_MS_MAX: Final = 2_000
STOP_WAIT_MS_MAX: Final = 10_000
ORPHAN_SEEN_MS: Final = 1_000
ORPHAN_UNKNOWN_MS: Final = 60_000
ACCOUNT_AGE_MS_MAX: Final = 10_000

# --- the connector's patience ------------------------------------------------------------
RESEND_AFTER_MS: Final = 500
RESENDS_MAX: Final = 3
STATUS_FIRST_MS: Final = 100
STATUS_BACKOFF_MS_MAX: Final = 5_000
SILENCE_MS_MAX: Final = 3_000

# --- memory ------------------------------------------------------------------------------
RECEIVE_QUEUE_MESSAGES: Final = 64
SEND_QUEUE_MESSAGES: Final = 1_000
QUERIES_PER_SECOND: Final = 200
REPLAY_IDS_MAX: Final = 16_384
WORKER_QUEUE_MAX: Final = 64
JOURNAL_RESERVE_BYTES: Final = 8 * 1024 * 1024
LOG_LINE_CHARS_MAX: Final = 512
SQLITE_BUSY_MS: Final = 5_000

# --- alerts by webhook -------------------------------------------------------------------------
ALERT_POST_MS_MAX: Final = 3_000
ALERT_DEDUPE_MS: Final = 60_000
ALERT_QUEUE_MAX: Final = 256
ALERT_RETRY_MS_MIN: Final = 1_000
ALERT_RETRY_MS_MAX: Final = 60_000
ALERT_TRIES_MAX: Final = 10
ALERT_BURST: Final = 30
ALERT_SPACING_MS: Final = 2_000
ALERT_CLOSE_MS_MAX: Final = 4_000

# --- libraries ---------------------------------------------------------------------------
LIBZMQ_MIN: Final = (4, 3, 4)


class Limit(NamedTuple):
    """One row of the limits table."""

    name: str
    value: int
    unit: str
    reason: str


LIMITS: Final = (
    Limit("token", TOKEN_BYTES_MAX, "bytes", "a reply's, the longest by grammar, has 461"),
    Limit("request body", BODY_BYTES_MAX, "bytes", "the longest legal body is far below it"),
    Limit("reply body", REPLY_BODY_BYTES_MAX, "bytes", "SYNC_ALL with 10 000 positions fits"),
    Limit("event body", EVENT_BODY_BYTES_MAX, "bytes", "one event is one fact"),
    Limit("event topic", TOPIC_BYTES_MAX, "bytes", "account, word, symbol"),
    Limit(
        "EA record",
        EA_RECORD_BYTES_MAX,
        "bytes",
        "by grammar at most 340; an MQL4 string stays small",
    ),
    Limit("request frame", SERVER_FRAME_BYTES_MAX, "bytes", "MAXMSGSIZE of the request ROUTER"),
    Limit("reply frame", CLIENT_FRAME_BYTES_MAX, "bytes", "MAXMSGSIZE of a client"),
    Limit("event frame", EVENT_FRAME_BYTES_MAX, "bytes", "MAXMSGSIZE of a SUB"),
    Limit("hop head", HOP_HEAD_BYTES_MAX, "bytes", "a symbol, two prices and a time fit"),
    Limit("hop body", HOP_BODY_BYTES_MAX, "bytes", "100 rows of the account"),
    Limit("hop frame", HOP_SERVER_FRAME_BYTES_MAX, "bytes", "MAXMSGSIZE of the EA's ROUTER"),
    Limit("EA frame", HOP_EA_FRAME_BYTES_MAX, "bytes", "MAXMSGSIZE of the EA's DEALER"),
    Limit("key", KEY_BYTES, "bytes", "other lengths are silent aliases in HMAC"),
    Limit("client_order_id", CLIENT_ORDER_ID_CHARS_MAX, "characters", "a UUID with dashes fits"),
    Limit("comment", COMMENT_CHARS_MAX, "characters", "the broker takes less, the journal all"),
    Limit("reason", REASON_CHARS_MAX, "characters", "one sentence"),
    Limit("symbol", SYMBOL_CHARS_MAX, "characters", "MetaTrader 5's own bound"),
    Limit("ticket", TICKET_MAX, "number", "a signed 64-bit integer in every language"),
    Limit("strategy", STRATEGY_MAX, "number", "12 bits of the magic"),
    Limit("deviation", DEVIATION_POINTS_MAX, "points", "a sane upper end; servers cap lower"),
    Limit("page", PAGE_ROWS_MAX, "rows", "a page stays within the reply body"),
    Limit("ttl least", TTL_MS_MIN, "ms", "shorter dies on an ordinary network"),
    Limit("ttl default", TTL_MS_DEFAULT, "ms", "older, a market order is a different trade"),
    Limit("ttl most", TTL_MS_MAX, "ms", "the longest life of a captured order"),
    Limit("clock skew", CLOCK_SKEW_MS_MAX, "ms", "hosts disciplined by NTP stay well inside"),
    Limit("clock jump", CLOCK_JUMP_MS_MAX, "ms", "wall against monotonic clock; more is a step"),
    Limit("clock stable", CLOCK_STABLE_MS, "ms", "after a step, before entries go on"),
    Limit("condition clear", CONDITION_CLEAR_MS, "ms", "a flapping link must not flap the state"),
    Limit("reply wait", REPLY_WAIT_MS_MAX, "ms", "then PENDING: the caller may go on"),
    Limit("flatten window", FLATTEN_WINDOW_MS, "ms", "a child of a FLATTEN may begin so long"),
    Limit("trade call", TRADE_CALL_MS_MAX, "ms", "a broker call without an answer is UNKNOWN then"),
    Limit("self-test period", SELF_TEST_PERIOD_MS, "ms", "libzmq fails open without a handler"),
    Limit("heartbeat period", HEARTBEAT_PERIOD_MS, "ms", "one a second on acct.event"),
    Limit("stream stale", STREAM_STALE_MS, "ms", "three heartbeats missed"),
    Limit("account age", ACCOUNT_AGE_MS_MAX, "ms", "money read longer ago judges no entry"),
    Limit("quote age", QUOTE_AGE_MS_MAX, "ms", "an entry is not judged by a price asked earlier"),
    Limit("stop wait", STOP_WAIT_MS_MAX, "ms", "for a call that is at the broker"),
    Limit("orphan seen", ORPHAN_SEEN_MS, "ms", "a ticket that maps to no order is an orphan then"),
    Limit("orphan unknown", ORPHAN_UNKNOWN_MS, "ms", "an UNKNOWN order may have made it: so long"),
    Limit("hop page", HOP_PAGE_ROWS, "rows", "what an EA puts into one answer"),
    Limit("EA beat period", EA_BEAT_PERIOD_MS, "ms", "one a second on the hop"),
    Limit("EA stale", EA_STALE_MS, "ms", "three beats missed, and no BUSY"),
    Limit("EA busy", EA_BUSY_MS_MAX, "ms", "a broker call that the EA announced may take so long"),
    Limit("EA twice", EA_TWICE_MS, "ms", "what was under way when a newer instance spoke"),
    Limit("EA fence wait", EA_FENCE_WAIT_MS, "ms", "FENCE is answered within the reply wait"),
    Limit("EA query", EA_QUERY_MS_MAX, "ms", "a hop query without an answer has failed"),
    Limit("tombstones", EA_TOMBSTONES_PER_SECOND, "per second", "each is a flush in the terminal"),
    Limit("MT5 read", MT5_READ_MS_MAX, "ms", "a local read takes milliseconds; then it is frozen"),
    Limit("MT5 connect", MT5_CONNECT_MS_MAX, "ms", "100 s to start a terminal, 60 s to log in"),
    Limit("MT5 authorise", MT5_AUTHORISE_MS, "ms", "the package's own wait for the broker's word"),
    Limit("MT5 beat period", MT5_BEAT_PERIOD_MS, "ms", "identity and link, when nothing else asks"),
    Limit("MT5 stale", MT5_STALE_MS, "ms", "without a call that worked the hop is red"),
    Limit("MT5 retry least", MT5_RETRY_MS_MIN, "ms", "doubling from here; initialize may start it"),
    Limit("MT5 retry most", MT5_RETRY_MS_MAX, "ms", "one that came back is found in a minute"),
    Limit("MT5 refused", MT5_REFUSED_MS, "ms", "a refused password is not tried again and again"),
    Limit("session silence", EA_SESSION_SILENCE_MS, "ms", "no tick for so long: it is closed"),
    Limit("resend after", RESEND_AFTER_MS, "ms", "identical bytes, before the deadline only"),
    Limit("resends", RESENDS_MAX, "copies", "after that only GET_STATUS and FENCE"),
    Limit("first status", STATUS_FIRST_MS, "ms", "doubling from here"),
    Limit("status back-off", STATUS_BACKOFF_MS_MAX, "ms", "the slowest GET_STATUS"),
    Limit("silence", SILENCE_MS_MAX, "ms", "then the connector replaces its socket"),
    Limit("receive queue", RECEIVE_QUEUE_MESSAGES, "messages", "RCVHWM: memory stays bounded"),
    Limit("send queue", SEND_QUEUE_MESSAGES, "messages", "SNDHWM: a slow reader loses, not we"),
    Limit("queries", QUERIES_PER_SECOND, "per second", "per key id; settle and stop lanes"),
    Limit("replay memory", REPLAY_IDS_MAX, "request ids", "queries/s x (ttl + skew), rounded up"),
    Limit("worker queue", WORKER_QUEUE_MAX, "orders", "more would die of their ttl in the queue"),
    Limit("journal reserve", JOURNAL_RESERVE_BYTES, "bytes", "room for the reduce lane"),
    Limit("database wait", SQLITE_BUSY_MS, "ms", "busy_timeout of the connector's journal"),
    Limit("log line", LOG_LINE_CHARS_MAX, "characters", "a peer must not fill the disk"),
    Limit("alert post", ALERT_POST_MS_MAX, "ms", "one try at a webhook; cause to person in 5 s"),
    Limit("alert repeat", ALERT_DEDUPE_MS, "ms", "what repeats within it is summed up"),
    Limit("alert queue", ALERT_QUEUE_MAX, "alerts", "memory stays bounded while nobody listens"),
    Limit("alert retry least", ALERT_RETRY_MS_MIN, "ms", "doubling from here"),
    Limit("alert retry most", ALERT_RETRY_MS_MAX, "ms", "one that came back is found in a minute"),
    Limit("alert tries", ALERT_TRIES_MAX, "tries", "then it is dropped; a critical one is not"),
    Limit("alert burst", ALERT_BURST, "alerts", "at once; then one each alert spacing"),
    Limit("alert spacing", ALERT_SPACING_MS, "ms", "chats refuse more; critical ones do not wait"),
    Limit("alert close", ALERT_CLOSE_MS_MAX, "ms", "an ending process waits so long for critical"),
)

# A sender may run fast by one skew and the receiver slow by another; the memory must outlive both.
assert REPLAY_IDS_MAX >= QUERIES_PER_SECOND * (TTL_MS_MAX + 2 * CLOCK_SKEW_MS_MAX) // 1000
assert TTL_MS_MIN < TTL_MS_DEFAULT <= TTL_MS_MAX
assert CLOCK_JUMP_MS_MAX < CLOCK_SKEW_MS_MAX < TTL_MS_DEFAULT
assert max(BODY_BYTES_MAX, TOKEN_BYTES_MAX) <= SERVER_FRAME_BYTES_MAX
assert EVENT_FRAME_BYTES_MAX >= EVENT_BODY_BYTES_MAX
assert CLIENT_FRAME_BYTES_MAX >= REPLY_BODY_BYTES_MAX
assert RESEND_AFTER_MS * RESENDS_MAX < TTL_MS_DEFAULT
assert HOP_BODY_BYTES_MAX + HOP_HEAD_BYTES_MAX < HOP_SERVER_FRAME_BYTES_MAX
assert EVENT_BODY_BYTES_MAX < HOP_SERVER_FRAME_BYTES_MAX
assert max(TOKEN_BYTES_MAX, BODY_BYTES_MAX) < HOP_EA_FRAME_BYTES_MAX
assert EA_FENCE_WAIT_MS < REPLY_WAIT_MS_MAX
assert REPLY_WAIT_MS_MAX < SILENCE_MS_MAX  # a server that says PENDING is not silent
assert MT5_BEAT_PERIOD_MS < MT5_STALE_MS < MT5_READ_MS_MAX < TRADE_CALL_MS_MAX
assert MT5_AUTHORISE_MS < MT5_CONNECT_MS_MAX
assert ALERT_POST_MS_MAX < ALERT_CLOSE_MS_MAX < 5_000
assert ALERT_RETRY_MS_MIN < ALERT_RETRY_MS_MAX
assert MT5_RETRY_MS_MIN < MT5_RETRY_MS_MAX < MT5_REFUSED_MS
