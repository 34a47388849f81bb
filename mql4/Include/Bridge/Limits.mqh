//+------------------------------------------------------------------+
//| Limits.mqh: every bound, with its unit (protocol.md 9)            |
//|                                                                   |
//| The first part has the names and values of limits.py, the second  |
//| those of the grammar (protocol.md 3, 5); a test compares both.    |
//| The third is the Advisor's own.                                   |
//+------------------------------------------------------------------+
#property strict

//--- as in bridge_core/protocol/limits.py
#define PROTOCOL_VERSION 5
#define FRAME_TAG "ZTB5"
#define TOKEN_BYTES_MAX 512
#define BODY_BYTES_MAX 4096
#define EVENT_BODY_BYTES_MAX 16384
#define EA_RECORD_BYTES_MAX 400
#define KEY_BYTES 32
#define RID_HEX 32
#define INCARNATION_HEX 16
#define MAC_HEX 64
#define CLIENT_ORDER_ID_CHARS_MAX 36
#define COMMENT_CHARS_MAX 64
#define REASON_CHARS_MAX 128
#define SYMBOL_CHARS_MAX 31
#define STRATEGY_MAX 4095
#define TICKET_MAX 9223372036854775807
#define DEVIATION_POINTS_MAX 1000000
#define TTL_MS_MIN 200
#define TTL_MS_MAX 10000
#define CLOCK_SKEW_MS_MAX 1000
#define CLOCK_JUMP_MS_MAX 250
#define CLOCK_STABLE_MS 30000
#define CONDITION_CLEAR_MS 30000
#define FLATTEN_WINDOW_MS 120000
#define TRADE_CALL_MS_MAX 60000
#define HEARTBEAT_PERIOD_MS 1000
#define STREAM_STALE_MS 3000

//--- the grammar's
#define KID_CHARS_MAX 16
#define ACCT_CHARS_MAX 24
#define OP_CHARS_MAX 16
#define WORD_CHARS_MAX 32
#define STREAM_CHARS_MAX 64
#define TIME_CHARS 13
#define TIME_MS_MAX 9999999999999
#define NATURAL_CHARS_MAX 18
#define DECIMAL_INTEGER_CHARS_MAX 9
#define DECIMAL_PLACES_MAX 8

//--- the Advisor's own
#define MT4_COMMENT_CHARS 31        // characters: what MetaTrader 4 keeps of a comment
#define KEY_SETS_MAX 32             // set lines of the key file
#define KEY_FILE_BYTES_MAX 16384    // bytes: 32 sets and their head have 7 500
#define CLOCK_FOLLOW_PPM 1000       // ppm: what honest slewing moves the wall clock by
#define JOURNAL_LINE_BYTES_MAX 12288    // bytes: the longest intent or result stays below it
#define JOURNAL_TEXT_CHARS_MAX 12200    // characters: such a line without its link and end
#define JOURNAL_ROWS_MAX 500000     // request ids held in the index (about 24 MB)
#define JOURNAL_ROTATE_BYTES 67108864   // bytes: at a start above this, old rows are left behind
#define JOURNAL_KEEP_MS 7776000000  // ms: rows younger than 90 days are never left behind
#define MODIFY_TICKETS_MAX 512      // tickets whose last MODIFY is remembered
#define HEARTBEAT_SAVE_MS 10000     // ms: how often a heartbeat alone is written to disk
//+------------------------------------------------------------------+
