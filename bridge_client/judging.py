"""The connector's picture and its judgement on it, for everything that asks what may be signed.

An entry is judged by a picture that is not older than 2 s; an older one is asked for anew, once
and bounded, and without an answer the entry is refused. What closes, cancels or stops never waits
for one: it is judged by what is known.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from bridge_client.book import ADDED, Book, Seen
from bridge_client.link import Link, refusal_of
from bridge_client.order import Order
from bridge_client.risk import RiskMonitor
from bridge_client.risk_keeper import RiskKeeper
from bridge_client.seen import Money
from bridge_client.transport import HOP
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.errors import BridgeError, TransportError
from bridge_core.protocol.messages import Query
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import Page, SyncReply, dec, decode_reply
from bridge_core.protocol.views import CauseView, DealView, LimitView, SymbolView
from bridge_core.risk.entry import added, tightens
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import Amount, Policy
from bridge_core.risk.sizing import size_for_risk
from bridge_core.risk.usage import limit_rows

__all__ = ["Judge"]

# A picture takes a moment; of thousands of positions, and of a long day's deals, some seconds.
_LOOK_S: Final = 8.0
# An order that would not wait at all still waits so long for its picture: three questions at most.
_LEAST_S: Final = 1.0
# Asked for again a little before it is too old, so that it still holds when the order is signed.
_PICTURE_MS: Final = limits.QUOTE_AGE_MS_MAX * 3 // 4
# tick_value and session move slowly.
_SYMBOLS_MS: Final = 60_000
_SYMBOLS_AGAIN_MS: Final = 2_000
_PAGES_MAX: Final = 200
_PAPER: Final = "paper"
_TRADES: Final = ("BUY", "SELL")
_EVERYTHING: Final = Query(symbol="", since=0, until=0, first=0, count=0)
# Refusals that no newer picture of the account can change.
_STANDING: Final = frozenset(
    {
        ReasonCode.SYMBOL_NOT_ALLOWED, ReasonCode.TYPE_NOT_ALLOWED, ReasonCode.NO_LIMIT,
        ReasonCode.MAX_DEVIATION, ReasonCode.MAX_VOLUME, ReasonCode.TRADING_HOURS,
        ReasonCode.DUPLICATE_INTENT,
    }
)  # fmt: skip
# What is refused because something is not known; the server may have said why.
_BLIND: Final = frozenset(
    {
        ReasonCode.NO_ACCOUNT, ReasonCode.NO_QUOTE, ReasonCode.STALE_QUOTE,
        ReasonCode.SYMBOL_UNKNOWN, ReasonCode.NO_CONVERSION,
    }
)  # fmt: skip
_AWAY: Final = frozenset({"BROKER_LINK", "EA_STALE", "RECOVERING"})
_HALTED: Final = "HALTED"


class Judge:
    """One connector's judgement. Thread-safe. `live` gives the orders whose worst case counts."""

    def __init__(
        self, link: Link, book: Book, policy: Policy, keeper: RiskKeeper, monitor: RiskMonitor
    ) -> None:
        self._link, self._book = link, book
        self.policy, self.keeper, self._monitor = policy, keeper, monitor
        self._turn = threading.Lock()
        self._symbols_epoch = -1
        self._told: tuple[int, list[CauseView]] = (-1, [])
        self.live: Callable[[], Iterable[Order]] = lambda: ()

    # --- the picture ----------------------------------------------------------------------------

    def picture(self, but: Order | None = None) -> Picture:
        """Return what is known now; hold `keeper.lock` as long as its state is looked at.

        `but` is the order that is judged: it is not in its own way.
        """
        now, seen = self._link.clocks(), self._book.seen
        # First the orders: one that ends meanwhile is counted twice, never not at all.
        flying = (*self._flying(but), *self._book.ended())
        if seen is None or seen.money is None:
            return Picture(
                policy=self.policy, now_wall_ms=now.wall_ms, market_ms=now.wall_ms, identity=None,
                account=None, positions={}, orders={}, quotes={}, symbols=self._book.symbols,
                flying=flying,
            )  # fmt: skip
        money, age_ms = seen.money, seen.age_ms(now.mono_ms)
        return Picture(
            policy=self.policy,
            now_wall_ms=seen.now_ms(now.mono_ms),
            market_ms=self._market_ms(money, age_ms, seen.now_ms(now.mono_ms)),
            identity=money.identity,
            account=money.account if age_ms <= limits.QUOTE_AGE_MS_MAX else None,
            positions=seen.positions,
            orders=seen.orders,
            quotes=seen.quotes,
            symbols=self._book.symbols,
            flying=flying,
            state=None if money.zone_ms is None else self.keeper.state,
            swings=self._book.swings(),
        )

    @staticmethod
    def _market_ms(money: Money, age_ms: int, now_ms: int) -> int:
        told = money.market_ms + age_ms
        # A dead market has no newest tick to tell the time by; a paper account has its own time.
        return told if money.identity.kind == _PAPER else max(told, now_ms)

    def _flying(self, but: Order | None) -> list[Flying]:
        return [
            order.flying
            for order in self.live()
            if order is not but
            and order.flying is not None
            and order.life is not None
            # Until it is settled the book does not count it yet.
            and not (order.over and order.settled.is_set())
            and order.counted not in ADDED
        ]

    def verdict(self, order: Proposal, but: Order | None = None) -> Refusal | None:
        """Return the first refusal on what is known now, or None."""
        with self.keeper.lock:
            picture = self.picture(but)
            whole = self._with_ticket(order)
            refusal = self._monitor.judge(whole, picture)
            # After the checks, as its codes are the last ones: a latch stops what adds something.
            if refusal is None and added(whole, picture) is not None:
                refusal = self.keeper.refusal()
            return refusal

    def _with_ticket(self, order: Proposal) -> Proposal:
        seen = self._book.seen
        if not order.ticket or seen is None:
            return order
        position, pending = seen.positions.get(order.ticket), seen.orders.get(order.ticket)
        held = position or pending
        if held is None:
            return order
        price = order.price
        if order.kind == "MODIFY" and pending is not None and not price:
            price = pending.price
        kind = held.type if order.kind == "MODIFY" else order.type
        if order.kind == "CLOSE":  # how much of it is there now the server knows, not this picture
            position = None
        return replace(
            order, symbol=held.symbol, type=kind, price=price, position=position, pending=pending,
            ours=order.ticket not in seen.foreign,
        )  # fmt: skip

    def fresh_verdict(
        self, order: Proposal, until: float, but: Order | None = None
    ) -> Refusal | None:
        """Return the verdict, on a new picture where it hangs on one; asks at most once."""
        refusal = self.verdict(order, but)
        if not self._needs_picture(order):
            return refusal
        if refusal is not None and refusal.code in _STANDING:
            return refusal
        if refusal is None and self._is_new():
            return None
        missing = self.look(until, again=refusal)
        return self._plain(missing if missing is not None else self.verdict(order, but))

    def _plain(self, refusal: Refusal | None) -> Refusal | None:
        # Nothing is known of an account whose server has said that it is halted, or away.
        if refusal is None or refusal.code not in _BLIND:
            return refusal
        (epoch, causes), hello = self._told, self._link.session.hello
        if epoch != self._link.transport.epoch and hello is not None:
            causes = hello.causes
        named = [one.cause for one in causes if not one.symbol]
        if self._link.state == _HALTED:
            return Refusal(ReasonCode.HALTED, limit=",".join(named))
        if _AWAY.intersection(named):
            return Refusal(ReasonCode.BROKER_DOWN, limit=",".join(named))
        return refusal

    def _needs_picture(self, order: Proposal) -> bool:
        if order.kind != "MODIFY":
            return order.kind == "OPEN"
        known = self._with_ticket(order)
        return (known.position or known.pending) is not None and not tightens(known)

    def size(self, order: Proposal, risk: Amount, until: float) -> tuple[str, Decimal | Refusal]:
        """Return its type, and the largest volume on the grid within a risk.

        An order without a price is one at the market; its side is that on which the stop loses.
        """
        missing = None if self._is_new() else self.look(until)
        if missing is not None:
            return "", missing
        with self.keeper.lock:
            picture = self.picture()
            typed = replace(order, type=_type_of(order, picture))
            return typed.type, size_for_risk(typed, picture, risk)

    def limit_rows(self) -> tuple[LimitView, ...]:
        """Return this connector's limits with what is used of them, as far as it is known."""
        with self.keeper.lock:
            return limit_rows(self.picture())

    # --- asking ---------------------------------------------------------------------------------

    def _is_new(self) -> bool:
        seen, now_ms = self._book.seen, self._link.clocks().mono_ms
        return (
            seen is not None
            and seen.age_ms(now_ms) <= _PICTURE_MS
            and self._symbols_are_new(_SYMBOLS_MS)
            and self._history_since(seen) is None
        )

    def _symbols_are_new(self, age_ms: int) -> bool:
        at_ms = self._book.symbols_mono_ms
        same_link = self._symbols_epoch == self._link.transport.epoch
        return at_ms is not None and same_link and self._link.clocks().mono_ms - at_ms <= age_ms

    def _history_since(self, seen: Seen) -> int | None:
        if seen.money is None:
            return None
        return self.keeper.history_since(seen.money, self._link.clocks().mono_ms)

    def look(self, until: float, again: Refusal | None = None) -> Refusal | None:
        """Ask for a new picture, until a time (s); return why there is none.

        Who finds another one asking waits and takes its answer. After a refusal `again` what was
        just seen is not enough.
        """
        left = max(_LEAST_S, min(_LOOK_S, until - time.monotonic()))
        until, before = time.monotonic() + left, self._book.seen
        if not self._turn.acquire(timeout=left):
            return Refusal(ReasonCode.NO_ACCOUNT, value="no answer to SYNC_ALL")
        try:
            seen = self._book.seen
            if seen is not before and self._is_new():
                return None
            self._read(until, again)
        except TransportError as error:
            return Refusal(ReasonCode.NO_CONNECTION, value=error.detail)
        except BridgeError as error:
            return Refusal(ReasonCode.NO_ACCOUNT, value=error.code)
        finally:
            self._turn.release()
        return None

    def _read(self, until: float, again: Refusal | None) -> None:
        closed = again is not None and again.code is ReasonCode.SESSION_CLOSED
        if not self._symbols_are_new(_SYMBOLS_AGAIN_MS if closed else _SYMBOLS_MS):
            self._read_symbols(until)
        seen = self.sync(until)[1]
        since = self._history_since(seen)
        if since is None or seen.money is None:
            return
        try:
            self._read_day(seen, since, until)
        except BridgeError:
            # A broker that is busy with another order: as long as nothing was closed, what was
            # read before still holds.
            if not self.keeper.day_known(seen.money, self._link.clocks().mono_ms):
                raise
        if seen.age_ms(self._link.clocks().mono_ms) > _PICTURE_MS:
            self.sync(until)  # the day took long to read: what was seen before it is old by now

    def sync(self, until: float) -> tuple[SyncReply, Seen]:
        """Ask for everything at one moment, until a time (s), and take it in.

        Raises:
            TransportError: no authenticated connection, or no answer in time.
            BridgeError: the server refused the question.
        """
        if not self._link.ready(until):
            raise TransportError("NO_CONNECTION", f"hop={HOP} why={self._link.why!r}")
        asked = self._book.asking(self._link.clocks().mono_ms)
        answer = self._link.answer(Op.SYNC_ALL, _EVERYTHING, _left(until))
        if answer.status != Status.OK:
            raise refusal_of(answer)
        reply = decode_reply(SyncReply, answer.body)
        self._link.state = reply.state or self._link.state
        self._told = (self._link.transport.epoch, reply.causes)
        seen = self._book.saw_all(reply, asked, answer.time)
        if seen.money is not None and seen.asked is asked:
            self.keeper.saw(seen.money, seen.positions.values(), answer.time)
        return reply, seen

    def _read_symbols(self, until: float) -> None:
        epoch, at_ms = self._link.transport.epoch, self._link.clocks().mono_ms
        rows: list[SymbolView] = []
        for _ in range(_PAGES_MAX):
            page = self._page(Op.GET_SYMBOL, 0, len(rows), until)
            rows += page.symbols
            if not page.symbols or len(rows) >= page.total:
                break
        self._book.saw_symbols(rows, at_ms)
        self._symbols_epoch = epoch

    def _read_day(self, seen: Seen, since_ms: int, until: float) -> None:
        deals: list[DealView] = []
        at_ms = self._link.clocks().mono_ms
        for _ in range(_PAGES_MAX):
            page = self._page(Op.GET_HISTORY, since_ms, len(deals), until)
            deals += page.deals
            if not page.deals or len(deals) >= page.total:
                break
        else:
            return  # more deals than we can read: what is not known refuses
        total = sum((_net(one) for one in deals if one.type in _TRADES), Decimal(0))
        assert seen.money is not None
        self.keeper.realise(total, seen.money, at_ms, seen.now_ms(at_ms))

    def _page(self, op: Op, since_ms: int, first: int, until: float) -> Page:
        body = Query(symbol="", since=since_ms, until=0, first=first, count=0)
        return self._link.ask(op, body, Page, _left(until))


def _type_of(order: Proposal, picture: Picture) -> str:
    quote = picture.quotes.get(order.symbol)
    bid, ask = (quote.bid, quote.ask) if quote is not None else (order.price, order.price)
    side = "BUY" if order.sl < (order.price or ask) else "SELL"
    if not order.price:
        return side
    better = order.price < ask if side == "BUY" else order.price > bid
    return f"{side}_LIMIT" if better else f"{side}_STOP"


def _left(until: float) -> float:
    return max(_LEAST_S, until - time.monotonic())


def _net(deal: DealView) -> Decimal:
    return dec(deal.profit) + dec(deal.swap) + dec(deal.commission)
