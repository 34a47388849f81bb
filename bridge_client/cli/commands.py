"""The one table of commands: name, group, help, who runs it, arguments.

`ztb --help`, the parser, the typo hints and the tests all read this table; nothing else knows a
command's name.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge_client.cli.arguments import (
    Arg,
    arg,
    broker_server,
    comment_text,
    count,
    day_of,
    decimal_text,
    key_id,
    login,
    moment_ms,
    order_id,
    order_type,
    points,
    port,
    reason_text,
    seconds,
    symbol_name,
    ticket,
)

__all__ = ["COMMANDS", "Command"]


class Command(NamedTuple):
    """One row. `run` is `module:function` below bridge_client.cli; `example` ends its help."""

    name: str
    group: str
    help: str
    run: str
    args: tuple[Arg, ...] = ()
    example: str = ""


_START: Final = "start"
_KNOW: Final = "know"
_TRADE: Final = "trade"
_STOP: Final = "stop"
_RECORD: Final = "record"

_YES: Final = arg("--yes", action="store_true", help="go on without asking")
_WAIT: Final = arg(
    "--wait", type=seconds, default=10.0, metavar="S", help="seconds to wait for the outcome (10)"
)
_ID: Final = arg(
    "--id", type=order_id, metavar="ID", help="client_order_id: the same id is the same order"
)
_OPERATOR: Final = arg(
    "--operator", metavar="DIR", required=True, help="the operator's folder, made by `ztb init`"
)
_REASON: Final = arg(
    "--reason", type=reason_text, required=True, metavar="TEXT", help="goes into the record"
)
_ORDER: Final = arg("order", type=order_id, metavar="ORDER", help="client_order_id or rid")
_KID: Final = arg("kid", type=key_id, metavar="KID", help="a key id, from `ztb keys list`")
_SYMBOL: Final = arg(
    "symbol", type=symbol_name, metavar="SYMBOL", help="as in allowed_symbols, e.g. EURUSD"
)
_TICKET: Final = arg("ticket", metavar="TICKET", type=ticket, help="from `ztb positions`")
_SL: Final = arg("--sl", type=decimal_text, metavar="PRICE", help="stop loss; 0 removes it")
_TP: Final = arg("--tp", type=decimal_text, metavar="PRICE", help="take profit; 0 removes it")
_EXPIRATION: Final = arg(
    "--expiration", type=moment_ms, metavar="TIME", help="UTC, e.g. 2030-01-31T16:00"
)
_DEVIATION: Final = arg(
    "--deviation", type=points, metavar="POINTS", help="worst slippage taken (connector.toml: 20)"
)
_OPEN_ARGS: Final = (
    arg("type", metavar="TYPE", type=order_type,
        help="buy sell buy_limit sell_limit buy_stop sell_stop"),
    _SYMBOL,
    arg("volume", metavar="VOLUME", type=decimal_text, help="lots, e.g. 0.01"),
    arg("--price", type=decimal_text, metavar="PRICE", help="for pending types"),
    _SL, _TP, _DEVIATION, _EXPIRATION,
    arg("--strategy", metavar="NAME",
        help="a name of [strategies] in connector.toml, or its number"),
    arg("--comment", type=comment_text, default="", metavar="TEXT",
        help="goes into the record and to the broker"),
)  # fmt: skip
_RANGE: Final = (
    arg("--since", type=moment_ms, metavar="TIME", help="UTC, e.g. 2030-01-31T16:00"),
    arg("--until", type=moment_ms, metavar="TIME", help="UTC"),
)

COMMANDS: Final[tuple[Command, ...]] = (
    Command("init", _START, "make an account's folder: keys and configuration for both sides",
            "init:run", (
        arg("name", metavar="NAME", help="the account's alias: letters, digits, _ and -"),
        arg("--symbol", action="append", required=True, metavar="SYMBOL",
            help="a symbol that may be traded; may be given up to 4 times"),
        arg("--max-volume", type=decimal_text, required=True, metavar="LOTS",
            help="most lots in one order, e.g. 0.01"),
        arg("--backend", default="paper", metavar="KIND", help="who executes: paper, ea, mt5"),
        arg("--mode", default="paper", choices=("paper", "live"),
            help="paper; with --backend ea or mt5: the rehearsal on the terminal's prices"),
        arg("--login", type=login, metavar="N", help="live: the broker's account number"),
        arg("--broker-server", type=broker_server, metavar="S",
            help="live: the broker's server as the terminal's login window shows it"),
        arg("--kind", choices=("demo", "real"), help="live: what the broker calls the account"),
        arg("--margin-mode", choices=("hedging", "netting"),
            help="live, mt5: how the account keeps positions (the terminal's title bar)"),
        arg("--mt5-path", metavar="FILE",
            help=r"mt5: terminal64.exe on the server's machine (C:\MT5\NAME\terminal64.exe)"),
        arg("--portable", action="store_true",
            help="mt5: the terminal of --mt5-path is started with /portable"),
        arg("--prices", metavar="FILE", help="a CSV file of prices (synthetic prices without)"),
        arg("--out", default=".", metavar="DIR", help="where to make the folder (here)"),
        arg("--port", type=port, metavar="P",
            help="P requests, P+1 events, P+2 EA (first free from 5555)"),
    ), "ztb init demo --symbol EURUSD --max-volume 0.01"),
    Command("demo", _START, "watch a paper account trade, be attacked and killed; judge it",
            "demo:run", (
        arg("--prices", metavar="FILE",
            help="MetaTrader's export or time,bid,ask rows (the ECB's reference rates)"),
        arg("--seed", type=count, default=1, metavar="N", help="decides all that varies (1)"),
        arg("--fixings", type=count, default=1500, metavar="N",
            help="how many of the newest prices, at least 40 (1500)"),
        arg("--rate", type=count, default=60, metavar="N", help="prices a second at most (60)"),
        arg("--keep", action="store_true", help="keep the account's folder afterwards"),
    ), "ztb demo --prices EURUSD_H1.csv"),
    Command("doctor", _START, "check everything between here and the broker; one fix each",
            "doctor:run", (
        arg("--fix-permissions", action="store_true", help="close key files to others first"),
    )),
    Command("ping", _START, "measure each hop and the clock offset", "ping:run", (
        arg("--count", type=count, default=5, metavar="N", help="how many pings (5)"),
        arg("--timeout", type=seconds, default=2.0, metavar="S", help="seconds to wait each (2)"),
    )),
    Command("health", _START, "each hop, the trading state and what ends each cause",
            "health:run"),
    Command("keys add", _START, "make a further key set, e.g. a monitor that can only look",
            "keys:add", (
        arg("name", metavar="NAME", help="the new folder's name"),
        arg("--scope", required=True, choices=("query", "reduce", "trade"),
            help="query looks, reduce also closes and halts, trade also opens"),
        arg("--account", default=".", metavar="FOLDER", help="the account's folder (here)"),
    ), "ztb keys add monitor --scope query --account demo"),
    Command("keys retire", _START, "let a key set end at a date, e.g. once its successor is in use",
            "keys:retire", (
        _KID,
        arg("--until", type=moment_ms, required=True, metavar="TIME",
            help="UTC, e.g. 2030-01-31T16:00"),
        arg("--account", default=".", metavar="FOLDER", help="the account's folder (here)"),
    ), "ztb keys retire t1-ab12 --until 2030-01-31T16:00 --account demo"),
    Command("keys revoke", _START, "end a key set at once, e.g. of a phone that was lost",
            "keys:revoke", (
        _KID,
        arg("--account", default=".", metavar="FOLDER", help="the account's folder (here)"),
    ), "ztb keys revoke r1-ab12 --account demo"),
    Command("keys list", _START, "list the key sets of an account's folder", "keys:show", (
        arg("--account", default=".", metavar="FOLDER", help="the account's folder (here)"),
    )),
    Command("alerts test", _START, "send a test alert to connector.toml's webhook",
            "alerts:test", (), "ztb alerts test --config demo/connector/connector.toml"),
    Command("explain", _START, "say what a code means, who sends it and what to do",
            "explain:run", (
        arg("code", nargs="?", metavar="CODE", help="e.g. MAX_VOLUME; all of them without"),
    )),
    Command("version", _START, "print the versions", "version:run"),

    Command("account", _KNOW, "balance, equity and margin", "knowing:account"),
    Command("positions", _KNOW, "open positions", "knowing:positions"),
    Command("pending", _KNOW, "pending orders", "knowing:pending"),
    Command("quote", _KNOW, "bid and ask", "knowing:quote", (_SYMBOL,)),
    Command("symbols", _KNOW, "the symbols' grids: digits, volumes, levels", "knowing:symbols"),
    Command("history", _KNOW, "deals, newest last", "knowing:history", (
        *_RANGE,
        arg("--symbol", type=symbol_name, metavar="SYMBOL", help="only this symbol"),
    )),
    Command("risk", _KNOW, "the limits of connector, server and EA, their use, the tightest",
            "risk:run", (
        arg("symbol", type=symbol_name, metavar="SYMBOL", nargs="?",
            help="only this symbol and the account"),
    ), "ztb risk EURUSD"),
    Command("status", _KNOW, "what is known of one order now", "knowing:status", (_ORDER,)),
    Command("wait", _KNOW, "wait until an order is final", "knowing:wait", (
        arg("order", type=order_id, metavar="ORDER", nargs="?",
            help="client_order_id or rid; all without"),
        arg("--timeout", type=seconds, default=120.0, metavar="S", help="seconds (120)"),
    )),

    Command("order", _TRADE, "open a position or place a pending order", "orders:order",
            (*_OPEN_ARGS, _ID, _WAIT, _YES), "ztb order buy EURUSD 0.01 --sl 1.05 --tp 1.15"),
    Command("check", _TRADE, "ask what an order would get, send nothing", "orders:check",
            _OPEN_ARGS, "ztb check buy EURUSD 0.01"),
    Command("close", _TRADE, "close a position, or part of it", "orders:close", (
        _TICKET,
        arg("--volume", type=decimal_text, metavar="LOTS", help="lots to close (all of it)"),
        _YES,
    )),
    Command("close-all", _TRADE, "close every position, as one order", "orders:close_all", (
        arg("--symbol", type=symbol_name, metavar="SYMBOL", help="only this symbol"), _YES,
    )),
    Command("modify", _TRADE, "change sl and tp, or a pending order's price", "orders:modify", (
        _TICKET, _SL, _TP,
        arg("--price", type=decimal_text, metavar="PRICE", help="a pending order's new price"),
        _EXPIRATION, _YES,
    )),
    Command("cancel", _TRADE, "remove a pending order", "orders:cancel", (
        arg("ticket", metavar="TICKET", type=ticket, help="from `ztb pending`"), _YES,
    )),
    Command("fence", _TRADE, "make sure that an order never runs", "knowing:fence", (_ORDER,)),

    Command("halt", _STOP, "kill switch: no new exposure; never asks", "stopping:halt", (
        arg("reason", nargs="?", type=reason_text, default="ztb halt", metavar="REASON",
            help="goes into the record"),
        arg("--flatten", action="store_true",
            help="then cancel every pending order and close every position; asks first"),
        arg("--all", action="store_true", help="every account of --accounts, at the same time"),
        arg("--accounts", metavar="FILE", help="lines of name = PATH (accounts.toml)"),
        _YES,
    ), "ztb halt --all --accounts accounts.toml --flatten --yes"),
    Command("reduce-only", _STOP, "only closing and reducing; never asks",
            "stopping:reduce_only", (
        arg("reason", nargs="?", type=reason_text, default="ztb reduce-only", metavar="REASON",
            help="goes into the record"),
    )),
    Command("flatten", _STOP, "cancel pending orders and close positions, as one order",
            "stopping:flatten", (
        arg("--scope", choices=("all", "positions", "pendings"), default="all",
            help="what to end (all)"),
        arg("--reason", type=reason_text, default="ztb flatten", metavar="TEXT",
            help="goes into the record"),
        _YES,
    )),
    Command("resume", _STOP, "end a latch, with the operator's key", "stopping:resume", (
        _OPERATOR,
        arg("--cause", required=True, metavar="CAUSE", help="as `ztb health` names it: OPERATOR"),
        _REASON, _YES,
    ), 'ztb resume --operator demo/operator --cause OPERATOR --reason "checked"'),
    Command("settle", _STOP, "an operator's word on an UNKNOWN order, the last resort",
            "stopping:settle", (
        arg("rid", metavar="RID", help="32 hex digits, from `ztb status`"),
        arg("--status", required=True, metavar="STATUS",
            help="FILLED PARTIAL WORKING DONE REJECTED DENIED"),
        arg("--ticket", type=ticket, default=0, metavar="T", help="the broker's ticket, if any"),
        _REASON, _OPERATOR, _YES,
    )),

    Command("trace", _RECORD, "one order's life through every hop, with evidence",
            "trace:run", (_ORDER,)),
    Command("report", _RECORD, "one day: outcomes, refusals, slippage, latency, limits, the record",
            "report:run", (
        arg("--day", type=day_of, nargs="?", metavar="YYYY-MM-DD", help="a UTC day (today)"),
    ), "ztb report --day 2026-11-26 --json"),
    Command("audit show", _RECORD, "print the server's record, or one order's evidence",
            "audit:show", (
        arg("order", type=order_id, metavar="ORDER", nargs="?",
            help="client_order_id or rid: this order's story"),
        arg("--count", type=count, default=20, metavar="N", help="how many records (20)"),
        arg("--first", type=count, metavar="N", help="from this record on (the last ones)"),
        arg("--proof", action="store_true",
            help="write request, reply, evidence and chain position as one file"),
        arg("--out", metavar="FILE", help="that file's name (ORDER.proof.json here)"),
        arg("--ledger", metavar="FILE",
            help="a paper account's ledger.jsonl (the one beside the connector's folder)"),
        arg("--offline", action="store_true", help="ask no server: what this machine kept"),
    ), "ztb audit show atlas-17 --proof"),
    Command("audit verify", _RECORD,
            "recompute the server's record, or check a proof file offline", "audit:verify", (
        arg("file", metavar="FILE", nargs="?",
            help="a proof: nobody is asked (without: the server's record)"),
        arg("--keys", metavar="DIR",
            help="a connector's folder whose bundle checks a proof's MACs; --config does too"),
    ), "ztb audit verify atlas-17.proof.json --keys atlas/connector"),
    Command("audit accept", _RECORD, "accept a forked record, with the operator's key",
            "audit:accept", (_OPERATOR, _REASON, _YES)),
)  # fmt: skip
