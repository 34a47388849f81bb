"""A small MetaTrader 4 broker with a ledger: what the fake EA trades on.

Every submission is written to `ledger.jsonl` as the paper broker writes its own (protocol.md 13),
with MT4's magic; `judge_mt4` judges it. The broker outlives every EA: kill the EA as often as you
like, the tickets stay. Faults are one-shot unless they say otherwise:

    broker.refuse("NO_MONEY")          the next submission is rejected
    broker.lose(executed=True)         the next call never returns an answer; it ran, or it did not
    broker.slow_s = 0.3                each call takes so long (until set back)
    broker.partly = Decimal("0.02")    the next OPEN fills only so much
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict, replace

from bridge_core.host.clock import Clock, SystemClock
from bridge_core.host.ledger import (
    LedgerLine,
    SignedOrder,
    Verdict,
    encode_line,
    judge,
    read_ledger,
)  # fmt: skip
from bridge_core.protocol.codes import ReasonCode
from bridge_core.protocol.messages import Open
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import text_of
from bridge_core.protocol.tag import Tag, child_rid, make_tag
from tests.support.fake_ea_market import Market, Terms, Trade, side_of

__all__ = ["Act", "Broker", "CallLost", "Done", "Refused", "judge_mt4", "paper_lines"]

_NO_MONEY: Final = 134
_RETCODES: Final = {
    "NO_MONEY": _NO_MONEY, "MARKET_CLOSED": 132, "REQUOTE": 138, "PRICE_OFF": 136,
    "TRADE_DISABLED": 133, "INVALID_PRICE": 129, "INVALID_STOPS": 130, "INVALID_VOLUME": 131,
    "INVALID_TICKET": 4108, "BROKER_REJECTED": 2,
}  # fmt: skip


class CallLost(Exception):  # noqa: N818  not an error of ours: the broker's silence
    """The call gave no answer; whether it ran, only the broker's book knows."""


class Act(Struct, frozen=True, kw_only=True):
    """One submission: `fields` as signed (texts), `lots` what a "0" volume means."""

    op: str
    fields: Mapping[str, str | int]
    magic: int
    comment: str
    deadline_ms: int


class Done(Struct, frozen=True, kw_only=True):
    """The broker did it; `rest` is the ticket that a partial close left."""

    status: str
    trade: Trade
    rest: int = 0
    rest_volume: Decimal = Decimal(0)


class Refused(Struct, frozen=True, kw_only=True):
    """The broker said no, and why."""

    code: str
    retcode: int


class Broker:
    """Thread-safe: the EA's thread trades while a test moves prices."""

    def __init__(
        self, folder: Path, terms: Terms | None = None, clock: Clock | None = None
    ) -> None:
        self.terms = terms or Terms()
        self.market = Market(self.terms)
        self.path = folder / "ledger.jsonl"
        self.slow_s = 0.0
        self.partly: Decimal | None = None
        self.connected = True
        self.trade_allowed = True
        self.happened: deque[dict[str, str | int]] = deque()
        self.lock = threading.RLock()
        self._clock = clock or SystemClock()
        self._refusals: deque[str] = deque()
        self._losses: deque[bool] = deque()
        self._n = 0
        folder.mkdir(parents=True, exist_ok=True)
        chars: dict[str, str | int] = {
            "comment_chars": self.terms.comment_chars, "source": "fake MT4 broker",
        }  # fmt: skip
        self._write(self._line("start", result=chars))

    # --- what a test does to it ------------------------------------------------------------------

    def price(self, symbol: str, bid: str, ask: str) -> None:
        """Let the market move: stops, targets and pending orders are triggered."""
        with self.lock:
            self.market.quotes[symbol] = (Decimal(bid), Decimal(ask), self.market_ms())
            for trade in [t for t in self.market.open.values() if t.symbol == symbol]:
                self._stop(trade)
            for trade in [t for t in self.market.pending.values() if t.symbol == symbol]:
                self._trigger(trade)

    def close_by_hand(self, ticket: int) -> None:
        """Let a human close a position in the terminal."""
        with self.lock:
            trade = self.market.open[ticket]
            self._closed(trade, trade.volume, self.market.exit_price(trade), "MANUAL")

    def refuse(self, code: str) -> None:
        """Reject the next submission with a code of protocol.md 8."""
        self._refusals.append(code)

    def lose(self, *, executed: bool) -> None:
        """Let the next call end without an answer; `executed` says whether it ran all the same."""
        self._losses.append(executed)

    def lines(self) -> list[LedgerLine]:
        """Return the ledger so far."""
        return read_ledger(self.path)

    def begun(self) -> int:
        """Return how many submissions were begun."""
        return sum(line.phase == "begin" for line in self.lines())

    # --- what the EA does with it ----------------------------------------------------------------

    def market_ms(self) -> int:
        """Return the broker's clock as the EA tells it: UTC ms, whole seconds."""
        return self._clock.wall_ms() // 1000 * 1000

    def submit(self, act: Act, *, dies_inside: bool = False) -> Done | Refused:
        """Carry out one submission; its begin is on file before anything happens.

        Raises:
            CallLost: no answer comes; with `dies_inside` none ever does, and it ran.
        """
        with self.lock:
            self._n += 1
            number = self._n
            self._write(self._line("begin", number, act))
        if self.slow_s:
            time.sleep(self.slow_s)
        with self.lock:
            lost = self._losses.popleft() if self._losses else None
            if lost is False:
                self._write(self._line("end", number, act, {"outcome": "LOST"}))
                raise CallLost
            done = self._carry_out(act)
            self._write(self._line("end", number, act, _result_of(done)))
        if lost or dies_inside:
            raise CallLost
        return done

    def _carry_out(self, act: Act) -> Done | Refused:
        if self._refusals:
            return _refused(self._refusals.popleft())
        match act.op:
            case "OPEN":
                return self._open(act)
            case "CLOSE":
                return self._close(act)
            case "MODIFY":
                return self._modify(act)
            case _:
                return self._cancel(act)

    def _open(self, act: Act) -> Done | Refused:
        fields, market = act.fields, self.market
        symbol, kind = str(fields["symbol"]), str(fields["type"])
        volume = Decimal(str(fields["volume"]))
        if symbol not in market.quotes:
            return _refused("PRICE_OFF")
        bid, ask, _ = market.quotes[symbol]
        working = "_" in kind
        free = Decimal(market.account()["free_margin"])
        if not working and market.margin(symbol, volume) > free:
            return _refused("NO_MONEY")
        price = Decimal(str(fields["price"])) if working else ask if kind == "BUY" else bid
        status = "WORKING" if working else "FILLED"
        if self.partly is not None and not working:
            volume, self.partly, status = self.partly, None, "PARTIAL"
        trade = Trade(
            ticket=market.next_ticket(), symbol=symbol, type=kind, volume=volume,
            open_price=price, sl=Decimal(str(fields["sl"])), tp=Decimal(str(fields["tp"])),
            magic=act.magic, comment=act.comment, opened_ms=self.market_ms(),
            expiration_ms=int(fields["expiration"]) if working else 0,
        )  # fmt: skip
        (market.pending if working else market.open)[trade.ticket] = trade
        market.changed()
        self._tell("order_placed" if working else "position_opened", trade)
        return Done(status=status, trade=replace(trade))

    def _close(self, act: Act) -> Done | Refused:
        trade = self.market.open.get(int(act.fields["ticket"]))
        if trade is None:
            return _refused("INVALID_TICKET")
        volume = Decimal(str(act.fields["volume"])) or trade.volume
        if volume > trade.volume:
            return _refused("INVALID_VOLUME")
        closed = self._closed(trade, volume, self.market.exit_price(trade), "OURS")
        rest = self.market.remainder(closed.ticket)
        return Done(
            status="FILLED", trade=replace(closed), rest=rest.ticket if rest else 0,
            rest_volume=rest.volume if rest else Decimal(0),
        )  # fmt: skip

    def _modify(self, act: Act) -> Done | Refused:
        ticket, fields = int(act.fields["ticket"]), act.fields
        trade = self.market.open.get(ticket) or self.market.pending.get(ticket)
        if trade is None:
            return _refused("INVALID_TICKET")
        trade.sl, trade.tp = Decimal(str(fields["sl"])), Decimal(str(fields["tp"]))
        if ticket in self.market.pending and Decimal(str(fields["price"])):
            trade.open_price = Decimal(str(fields["price"]))
            trade.expiration_ms = int(fields["expiration"])
        self.market.changed()
        self._tell("position_modified" if ticket in self.market.open else "order_placed", trade)
        return Done(status="DONE", trade=replace(trade))

    def _cancel(self, act: Act) -> Done | Refused:
        trade = self.market.pending.get(int(act.fields["ticket"]))
        if trade is None:
            return _refused("INVALID_TICKET")
        self.market.cancel(trade, "CANCELLED", self.market_ms())
        self._tell("order_cancelled", trade)
        return Done(status="DONE", trade=replace(trade))

    # --- what the market does --------------------------------------------------------------------

    def _stop(self, trade: Trade) -> None:
        price, sign = self.market.exit_price(trade), 1 if trade.type == "BUY" else -1
        if trade.sl and (price - trade.sl) * sign <= 0:
            self._closed(trade, trade.volume, trade.sl, "SL")
        elif trade.tp and (price - trade.tp) * sign >= 0:
            self._closed(trade, trade.volume, trade.tp, "TP")

    def _trigger(self, trade: Trade) -> None:
        bid, ask, _ = self.market.quotes[trade.symbol]
        price = ask if side_of(trade.type) == "BUY" else bid
        below = trade.type in ("BUY_LIMIT", "SELL_STOP")
        reached = price <= trade.open_price if below else price >= trade.open_price
        if 0 < trade.expiration_ms <= self.market_ms():
            self.market.cancel(trade, "EXPIRED", self.market_ms())
            self._tell("order_expired", trade)
        elif reached:
            del self.market.pending[trade.ticket]
            trade.type, trade.opened_ms = side_of(trade.type), self.market_ms()
            self.market.open[trade.ticket] = trade
            self.market.changed()
            self._tell("position_opened", trade)

    def _closed(self, trade: Trade, volume: Decimal, price: Decimal, reason: str) -> Trade:
        closed = self.market.close(trade, volume, price, reason, self.market_ms())
        self._tell("position_closed", closed)
        return closed

    def _tell(self, kind: str, trade: Trade) -> None:
        body: dict[str, str | int] = {
            "type": kind, "symbol": trade.symbol, "ticket": trade.ticket, "side": trade.type,
            "volume": text_of(trade.volume), "price": text_of(trade.open_price),
            "open_price": text_of(trade.open_price), "sl": text_of(trade.sl),
            "tp": text_of(trade.tp), "magic": trade.magic, "comment": trade.comment,
            "time": self.market_ms(),
        }  # fmt: skip
        if kind == "position_closed":
            rest = self.market.remainder(trade.ticket)
            body |= {
                "close_price": text_of(trade.close_price), "profit": text_of(trade.profit),
                "net_profit": text_of(trade.profit), "reason": trade.reason,
                "remaining_ticket": rest.ticket if rest else 0,
                "remaining_volume": text_of(rest.volume) if rest else "0",
            }  # fmt: skip
        elif kind.startswith("order_"):
            body["expiration"] = trade.expiration_ms
        self.happened.append(body)

    # --- the ledger ------------------------------------------------------------------------------

    def _line(
        self,
        phase: str,
        n: int = 0,
        act: Act | None = None,
        result: dict[str, str | int] | None = None,
    ) -> LedgerLine:
        base = LedgerLine(
            phase=phase, n=n, wall_ms=self._clock.wall_ms(), market_ms=self.market_ms(),
            result=result or {},
        )  # fmt: skip
        if act is None:
            return base
        return LedgerLine(**asdict(base) | {
            "op": act.op, "magic": act.magic, "comment": act.comment,
            "deadline_wall_ms": act.deadline_ms,
            "fields": dict(act.fields) if phase == "begin" else {},
        })  # fmt: skip

    def _write(self, line: LedgerLine) -> None:
        with self.path.open("ab") as file:
            file.write(encode_line(line))


def _refused(code: str) -> Refused:
    return Refused(code=code, retcode=_RETCODES.get(code, 0))


def _result_of(done: Done | Refused) -> dict[str, str | int]:
    if isinstance(done, Refused):
        return {"outcome": "REJECTED", "code": done.code, "retcode": done.retcode}
    trade = done.trade
    price = trade.close_price if trade.closed_ms else trade.open_price
    return {
        "outcome": "EXECUTED", "status": done.status, "code": ReasonCode.NONE.value,
        "ticket": trade.ticket, "volume": text_of(trade.volume), "price": text_of(price),
        "profit": text_of(trade.profit),
    }  # fmt: skip


# --- the judge ---------------------------------------------------------------------------------


def paper_lines(
    lines: list[LedgerLine], signed: Mapping[str, SignedOrder], acct: str
) -> list[LedgerLine]:
    """Return an MT4 ledger as the judge of the paper ledger reads it.

    Only the magic differs: where it is the 31 bits of the tag, the paper broker's form of the same
    tag takes its place; any other magic stays, and breaks S3.
    """

    def owner(line: LedgerLine) -> tuple[Tag, int] | None:
        ticket = line.fields.get("ticket")
        for rid, order in signed.items():
            strategy = order.body.strategy if isinstance(order.body, Open) else 0
            rids = [rid]
            if order.op is Op.FLATTEN and isinstance(ticket, int):
                rids.append(child_rid(rid, ticket))
            for tag in (make_tag(acct, one) for one in rids):
                if line.comment.startswith(tag.comment):
                    return tag, strategy
        return None

    def translated(line: LedgerLine) -> LedgerLine:
        found = owner(line) if line.comment else None
        if found is None:
            return line
        tag, strategy = found
        magic = tag.mt5_magic(strategy) if line.magic == tag.mt4_magic else 0
        return replace(line, magic=magic)

    return [translated(line) for line in lines]


def judge_mt4(lines: list[LedgerLine], signed: Mapping[str, SignedOrder], acct: str) -> Verdict:
    """Judge S1, S2, S3 and S5 on the fake broker's ledger (bridge_core/host/ledger.py)."""
    return judge(paper_lines(lines, signed, acct), signed, acct)
