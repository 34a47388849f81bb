"""The dealer: takes a request, acts on it once, and words the answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from tests.support.fake_metatrader5.asks import Accepted, Answer, Ask, Plan, Refused
from tests.support.fake_metatrader5.books import OrderRow
from tests.support.fake_metatrader5.codes import (
    TEXTS,
    Action,
    Execution,
    Filling,
    Kind,
    Reason,
    Ret,
    State,
    TimeKind,
)
from tests.support.fake_metatrader5.engine import Engine
from tests.support.fake_metatrader5.lifecycle import Life
from tests.support.fake_metatrader5.rows import order_row, position_row
from tests.support.fake_metatrader5.rules import Rules

__all__ = ["Dealer", "Executed"]

ZERO: Final = Decimal(0)


class Executed(Exception):  # noqa: N818  not an error: the answer of the broker, on its way out
    """Carries a refusal out of an execution."""

    def __init__(self, retcode: int) -> None:
        super().__init__(retcode)
        self.retcode = retcode


class Dealer:
    """Everything here runs under the broker's lock."""

    def __init__(self, engine: Engine, rules: Rules, life: Life) -> None:
        self._engine = engine
        self._rules = rules
        self._life = life
        self._book = engine.book
        self.plans: deque[Plan] = deque()
        self._due: list[tuple[int | None, int, Callable[[], object]]] = []
        self._recent: deque[int] = deque()
        self._n = 0
        self._request_id = 0

    # --- taking it -------------------------------------------------------------------------------

    def accept(self, request: Mapping[str, Any], *, linked: bool) -> Accepted | Refused:
        """Take a request, or refuse it at once; either way it is in the ledger."""
        ask = self._begin(request)
        wrong: int | None = None
        if not linked:
            wrong = Ret.CONNECTION
        elif self._too_many():
            wrong = Ret.TOO_MANY_REQUESTS
        wrong = wrong or self._rules.all(ask)
        if wrong is not None:
            return Refused(n=self._n, retcode=wrong, answer=self.refuse(self._n, wrong))
        plan = self.plans.popleft() if self.plans else Plan()
        order = self._book.orders.get(ask.order)
        seen = None if order is None else replace(order)
        return Accepted(n=self._n, ask=ask, plan=plan, seen=seen)

    def turn_away(self, request: Mapping[str, Any], retcode: int, *, checked: bool) -> Answer:
        """Refuse a request, or its check, in the terminal: no rule has seen it."""
        if checked:
            self._begin(request, "check", retcode=int(retcode))
            return self._answer(retcode)
        self._begin(request)
        return self.refuse(self._n, retcode)

    def check(self, request: Mapping[str, Any], *, linked: bool) -> tuple[Ask, int]:
        """Return what order_check says of form and funds; a no is in the ledger."""
        ask = Ask.of(request)
        wrong = self._rules.form(ask) if linked else Ret.CONNECTION
        if wrong is not None:
            self._begin(request, "check", retcode=int(wrong))
        return ask, int(wrong or Ret.GOOD)

    def _begin(self, request: Mapping[str, Any], at: str = "begin", **more: Any) -> Ask:
        ask = Ask.of(request)
        self._n += 1
        order = self._book.orders.get(ask.order)
        spec = self._engine.market.spec(order.symbol if order is not None else ask.symbol)
        self._engine.ledger.write(
            at, n=self._n, request=_plain(request), book=self._view(ask),
            point=str(spec.point) if spec is not None else "0", **more,
        )  # fmt: skip
        return ask

    def refuse(
        self, n: int, retcode: int, *, quotes: tuple[Decimal, Decimal] | None = None
    ) -> Answer:
        """Word a refusal and write it down; `quotes` when the server made it."""
        answer = self._answer(retcode)
        if quotes is not None:
            self._request_id += 1
            answer |= {"bid": float(quotes[0]), "ask": float(quotes[1])}
            answer["request_id"] = self._request_id
        self._engine.ledger.write("end", n=n, retcode=int(retcode), answer=answer)
        return answer

    def _too_many(self) -> bool:
        terms, now = self._engine.terms, self._engine.clock.mono_ms()
        while self._recent and self._recent[0] <= now - terms.rate_ms:
            self._recent.popleft()
        if terms.rate_requests and len(self._recent) >= terms.rate_requests:
            return True
        self._recent.append(now)
        return False

    def _view(self, ask: Ask) -> dict[str, Any]:
        held, order = self._rules.named(ask), self._book.orders.get(ask.order)
        if order is not None and ask.action in (Action.MODIFY, Action.REMOVE):
            return order_row(order, self._engine.market)
        if held is not None:
            return position_row(held, self._engine.market, self._engine.money)
        return {}

    # --- acting on it ----------------------------------------------------------------------------

    def execute(self, accepted: Accepted) -> Answer:
        """Act once, by the plan that a test may have made for this request."""
        ask, plan = accepted.ask, accepted.plan
        if plan.prices is not None:
            self._engine.market.quote(ask.symbol, *plan.prices)
            self._life.priced(ask.symbol)
        if plan.retcode and not plan.executed:
            self._note_rejection(ask, plan.retcode)
            return self.refuse(accepted.n, plan.retcode, quotes=self._quotes(ask))
        wrong = self._rules.all(ask)
        if wrong is None and self._was_changed(accepted):
            wrong = Ret.ORDER_CHANGED
        if wrong is not None:
            return self.refuse(accepted.n, wrong, quotes=self._quotes(ask))
        try:
            done = self._act(ask, plan)
        except Executed as no:
            return self.refuse(accepted.n, no.retcode, quotes=self._quotes(ask))
        self._request_id += 1
        answer = self._answer(Ret.DONE) | {"request_id": self._request_id} | done
        told = answer
        if plan.retcode:
            told = self._answer(plan.retcode) | {"request_id": self._request_id}
            if plan.retcode in (Ret.PLACED, Ret.DONE, Ret.DONE_PARTIAL):
                told = answer | {"retcode": plan.retcode, "comment": TEXTS[plan.retcode]}
        self._engine.ledger.write(
            "end", n=accepted.n, retcode=int(told["retcode"]), answer=told,
            order=int(answer["order"]), executed=True,
        )  # fmt: skip
        return told

    def _was_changed(self, accepted: Accepted) -> bool:
        # Somebody else was faster: what the request was about is no longer what it was.
        order = self._book.orders.get(accepted.ask.order)
        return accepted.seen is not None and order is not None and order != accepted.seen

    def _note_rejection(self, ask: Ask, retcode: int) -> None:
        # What a dealer refuses is an order all the same: it is in the history as REJECTED.
        if retcode == Ret.REJECT and ask.action in (Action.DEAL, Action.PENDING):
            self._engine.end(self._order(ask), State.REJECTED)

    def _act(self, ask: Ask, plan: Plan, reason: int = Reason.EXPERT) -> Answer:
        match ask.action:
            case Action.DEAL:
                return self._deal(ask, plan, reason)
            case Action.PENDING:
                return self._place(ask, plan, reason)
            case Action.SLTP:
                held = self._rules.named(ask)
                assert held is not None
                held.sl, held.tp = ask.sl, ask.tp
                held.update_ms = self._engine.clock.now_ms()
                return {}
            case Action.MODIFY:
                return self._modify(ask)
            case Action.REMOVE:
                self._engine.end(self._book.orders[ask.order], State.CANCELED)
                return {"order": ask.order}
            case _:
                return self._close_by(ask, reason)

    def by_hand(self, ask: Ask, reason: int) -> Answer:
        """Act for a person in the terminal: no rule and no plan."""
        return self._act(ask, Plan(), reason)

    def _order(self, ask: Ask, reason: int = Reason.EXPERT) -> OrderRow:
        hedging = self._engine.terms.hedging
        held = self._book.positions.get(ask.position) if hedging else None
        spec = self._engine.market.spec(ask.symbol)
        bare = spec is not None and spec.drops_stops and ask.action == Action.DEAL
        return OrderRow(
            ticket=self._book.next_order(), symbol=ask.symbol, kind=Kind(ask.type),
            volume=ask.volume, left=ask.volume, price=ask.price, stoplimit=ask.stoplimit,
            sl=ZERO if bare else ask.sl, tp=ZERO if bare else ask.tp,
            filling=ask.type_filling, magic=ask.magic,
            comment=self._engine.terms.stored_comment(ask.comment), reason=reason,
            position_id=held.identifier if held else 0, closes=held.ticket if held else 0,
            setup_ms=self._engine.clock.now_ms(),
        )  # fmt: skip

    def _deal(self, ask: Ask, plan: Plan, reason: int) -> Answer:
        self._quote_stands(ask)
        parts = plan.parts or (ask.volume,)
        if ask.type_filling == Filling.FOK and sum(parts) < ask.volume:
            raise Executed(Ret.REJECT)
        order = self._engine.add(self._order(ask, reason))
        if plan.then:
            self._later(plan.after_ms, order.ticket, lambda: self.finish(order.ticket, plan.then))
            return self._told(ask, order, Ret.PLACED)
        self._part(order, parts[0])
        for number, part in enumerate(parts[1:], start=1):
            if plan.gap_ms:
                due = plan.gap_ms * number
                self._later(due, order.ticket, partial(self._part, order, part))
            else:
                self._part(order, part)
        if not plan.gap_ms:
            self._rest(order)
        else:
            self._later(plan.gap_ms * len(parts), order.ticket, lambda: self._rest(order))
        whole = not order.left
        return self._told(ask, order, Ret.DONE if whole else Ret.DONE_PARTIAL)

    def _quote_stands(self, ask: Ask) -> None:
        spec = self._engine.market.spec(ask.symbol)
        assert spec is not None
        now = self._engine.market.price(ask.symbol, Kind(ask.type))
        if abs(now - ask.price) <= ask.deviation * spec.point or not ask.price:
            return
        if spec.exemode == Execution.INSTANT:
            raise Executed(Ret.REQUOTE)
        if spec.exemode == Execution.REQUEST:
            raise Executed(Ret.PRICE_CHANGED)

    def _part(self, order: OrderRow, volume: Decimal) -> None:
        if order.ticket not in self._book.orders:
            return
        room = self._room(order)
        if not room:  # somebody else has closed it
            self._engine.end(order, State.REJECTED)
            return
        price = self._engine.market.price(order.symbol, order.kind)
        order.price = order.price or price
        self._engine.fill(order, min(volume, order.left, room), price)
        if order.ticket in self._book.orders and not self._room(order):
            self._engine.end(order, State.CANCELED)

    def _room(self, order: OrderRow) -> Decimal:
        """How much an order can still do: a close cannot do more than there is to close."""
        if not order.closes:
            return order.left
        held = self._book.position_of(order.position_id)
        return held.volume if held is not None else ZERO

    def _rest(self, order: OrderRow) -> None:
        # RETURN leaves what is not filled in the book; everything else takes it back.
        if order.ticket in self._book.orders and order.filling != Filling.RETURN:
            self._engine.end(order, self._engine.terms.rest_state)

    def _told(self, ask: Ask, order: OrderRow, retcode: int) -> Answer:
        deals = self._book.deals_of(order.ticket)
        filled = sum((each.volume for each in deals), ZERO)
        value = sum((each.volume * each.price for each in deals), ZERO)
        known = self._engine.terms.answer_deal and bool(deals)
        bid, ask_price = self._quotes(ask)
        return {
            "retcode": int(retcode), "deal": deals[0].ticket if known else 0,
            "order": order.ticket, "volume": float(filled or order.volume),
            "price": float(value / filled) if known else 0.0, "bid": float(bid),
            "ask": float(ask_price), "comment": TEXTS[retcode],
        }  # fmt: skip

    def _place(self, ask: Ask, plan: Plan, reason: int) -> Answer:
        order = self._order(ask, reason)
        order.state, order.time_kind = State.PLACED, ask.type_time
        order.expiration_s = ask.expiration if ask.type_time >= TimeKind.SPECIFIED else 0
        self._engine.add(order)
        if plan.then:
            self._later(plan.after_ms, order.ticket, lambda: self.finish(order.ticket, plan.then))
        bid, ask_price = self._quotes(ask)
        return {
            "order": order.ticket, "volume": float(order.volume), "bid": float(bid),
            "ask": float(ask_price), "comment": order.comment,
            "retcode": int(Ret.PLACED if plan.then else Ret.DONE),
        }  # fmt: skip

    def _modify(self, ask: Ask) -> Answer:
        order = self._book.orders[ask.order]
        order.price, order.stoplimit = ask.price, ask.stoplimit
        order.sl, order.tp = ask.sl, ask.tp
        order.time_kind = ask.type_time
        order.expiration_s = ask.expiration if ask.type_time >= TimeKind.SPECIFIED else 0
        return {"order": order.ticket}

    def _close_by(self, ask: Ask, reason: int) -> Answer:
        first = self._book.positions[ask.position]
        second = self._book.positions[ask.position_by]
        order = self._order(ask, reason)
        order.kind, order.symbol = Kind.CLOSE_BY, first.symbol
        order.volume = order.left = min(first.volume, second.volume)
        deals = self._engine.close_by(self._engine.add(order), first, second)
        return {
            "deal": deals[0].ticket, "order": order.ticket, "volume": float(order.volume),
            "price": float(deals[0].price),
        }  # fmt: skip

    # --- later -----------------------------------------------------------------------------------

    def _later(self, after_ms: int | None, ticket: int, act: Callable[[], object]) -> None:
        due = None if after_ms is None else self._engine.clock.mono_ms() + after_ms
        self._due.append((due, ticket, act))

    def advance(self) -> None:
        """Do what has become due; time passes for the broker only when somebody looks."""
        now = self._engine.clock.mono_ms()
        due = [each for each in self._due if each[0] is not None and each[0] <= now]
        for each in sorted(due, key=lambda each: each[0] or 0):
            self._due.remove(each)
            each[2]()
        self._life.expire()

    def finish(self, ticket: int, how: str) -> None:
        """End an active order: fill, reject, cancel or expire."""
        self._due = [each for each in self._due if each[1] != ticket]
        order = self._book.orders.get(ticket)
        if order is None:
            return
        if how == "fill":
            self._part(order, order.left)
        else:
            states = {"reject": State.REJECTED, "cancel": State.CANCELED, "expire": State.EXPIRED}
            self._engine.end(order, states[how])

    # --- words -----------------------------------------------------------------------------------

    def _quotes(self, ask: Ask) -> tuple[Decimal, Decimal]:
        quote = self._engine.market.quotes.get(ask.symbol)
        return (quote.bid, quote.ask) if quote else (ZERO, ZERO)

    @staticmethod
    def _answer(retcode: int) -> Answer:
        return {
            "retcode": int(retcode), "deal": 0, "order": 0, "volume": 0.0, "price": 0.0,
            "bid": 0.0, "ask": 0.0, "comment": TEXTS.get(retcode, "Unknown error"),
            "request_id": 0, "retcode_external": 0,
        }  # fmt: skip


def _plain(request: Mapping[str, Any]) -> dict[str, Any]:
    whole = {name: getattr(_EMPTY, name) for name in Ask.__struct_fields__ if name != "mad"}
    plain = {name: request.get(name, value) for name, value in whole.items()}
    return {
        name: float(value) if isinstance(value, Decimal) else value for name, value in plain.items()
    }


_EMPTY: Final = Ask()
