"""A MetaTrader 5 account made by hand, as records: what a terminal would show of it, and when.

Small and without rules: a test says what happened, the account keeps the books and shows them. A
deal, or an ended order, may be shown later than it happened (`late` looks later), by default never
before what happened earlier. `HandLink` is the link over such an account (`mt5_reader.Wants`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from msgspec import structs

from bridge_server.backends.mt5_link import Answer, CallOf, LinkStatus
from tests.support.clock import FakeClock

__all__ = ["HandAccount", "HandLink", "symbol_row", "tick_row"]

Row = dict[str, Any]
_BUY, _SELL = 0, 1
ZONE_MS: Final = 3 * 3_600_000


def symbol_row(name: str = "EURUSD", **over: Any) -> Row:
    """Return a `SymbolInfo`: market execution, IOC only, five digits."""
    row: Row = {
        "name": name, "digits": 5, "point": 0.00001, "trade_tick_size": 0.00001,
        "volume_min": 0.01, "volume_max": 500.0, "volume_step": 0.01, "volume_limit": 0.0,
        "trade_contract_size": 100000.0, "trade_stops_level": 0, "trade_freeze_level": 0,
        "trade_mode": 4, "trade_exemode": 2, "filling_mode": 2, "order_mode": 127,
        "expiration_mode": 15, "currency_base": "EUR", "currency_profit": "USD",
    }  # fmt: skip
    return row | over


def tick_row(bid: float, ask: float, time_msc: int) -> Row:
    """Return a `Tick` at a time on the broker's clock (ms)."""
    return {
        "time": time_msc // 1000, "time_msc": time_msc, "bid": bid, "ask": ask, "last": 0.0,
        "volume": 0, "flags": 1030, "volume_real": 0.0,
    }  # fmt: skip


class HandAccount:
    """Books of an account. `zone_ms` is the broker's clock minus UTC; times come from `clock`."""

    def __init__(self, clock: FakeClock, *, netting: bool = False) -> None:
        self.clock = clock
        self.netting = netting
        self.zone_ms = ZONE_MS
        self.apart_ms = 0  # so much later is a deal dated than the position that it changed
        self.positions: dict[int, Row] = {}  # by identifier
        self.orders: dict[int, Row] = {}
        self.ended: list[Row] = []
        self.deals: list[Row] = []
        self.hidden: dict[int, int] = {}  # deal or ended order -> looks until it is shown
        self.in_order = True
        self.login, self.server = 5001, "Hand-Demo"
        self.margin_mode = 0 if netting else 2
        self.trade_mode = 0
        self.balance = 10_000.0
        self._next = 100

    def now(self) -> int:
        """Return the broker's clock, ms."""
        return self.clock.wall_ms() + self.zone_ms

    def number(self) -> int:
        """Return a number that was never given."""
        self._next += 1
        return self._next

    def look(self) -> None:
        """Let one look pass: what is hidden comes nearer to being shown."""
        self.hidden = {one: left - 1 for one, left in self.hidden.items() if left > 1}

    def hide(self, number: int, late: int) -> None:
        """Show a deal or an ended order only after so many looks."""
        if self.in_order:
            late = max([late, *self.hidden.values()])
        if late:
            self.hidden[number] = late

    def shown_deals(self) -> list[Row]:
        """Return the deals that the terminal shows."""
        return [dict(row) for row in self.deals if row["ticket"] not in self.hidden]

    def shown_ended(self) -> list[Row]:
        """Return the ended orders that the terminal shows."""
        return [dict(row) for row in self.ended if row["ticket"] not in self.hidden]

    # --- what happens --------------------------------------------------------------------------

    def deal(self, side: int, volume: str, **over: Any) -> int:
        """Let an order of a side execute; `at` is the position it names (identifier).

        On a netting account it goes into the one position of the symbol, whatever it names.
        """
        order = over.pop("order", 0) or self.number()
        late = over.pop("late", 0)
        held = self.positions.get(over.pop("at", 0))
        if self.netting:
            held = next(iter(self.positions.values()), None)
        lots = Decimal(volume) if side == _BUY else -Decimal(volume)
        ticket = self.number()
        identifier = held["identifier"] if held else order
        entry = self._apply(held, lots, order, over)
        at = self.now() + self.apart_ms
        row: Row = {
            "ticket": ticket, "order": order, "time": at // 1000, "time_msc": at, "type": side,
            "entry": entry, "magic": 0, "position_id": identifier, "reason": 3,
            "volume": float(volume), "price": 1.1, "commission": -0.07, "swap": 0.0,
            "profit": 0.0, "fee": 0.0, "symbol": "EURUSD", "comment": "", "external_id": "",
        }  # fmt: skip
        self.deals.append(row | over)
        self.hide(ticket, late)
        return identifier if identifier in self.positions else 0

    def _apply(self, held: Row | None, lots: Decimal, order: int, over: Row) -> int:
        had = Decimal(0)
        if held is not None:
            had = Decimal(str(held["volume"])) * (1 if held["type"] == _BUY else -1)
        now = had + lots
        if held is None:
            self._open(order, now, over)
            return 0
        held["time_update_msc"] = self.now()
        if not now:
            del self.positions[held["identifier"]]
            return 1
        held["volume"] = float(abs(now))
        if had * now < 0:
            held["type"], held["ticket"] = (_BUY if now > 0 else _SELL), order
            held["price_open"], held["sl"], held["tp"] = 1.1, 0.0, 0.0
            return 2
        return 0 if had * lots > 0 else 1

    def _open(self, order: int, lots: Decimal, over: Row) -> None:
        self.positions[order] = {
            "ticket": order, "time": self.now() // 1000, "time_msc": self.now(),
            "time_update": self.now() // 1000, "time_update_msc": self.now(),
            "type": _BUY if lots > 0 else _SELL, "magic": over.get("magic", 0),
            "identifier": order, "reason": over.get("reason", 3), "volume": float(abs(lots)),
            "price_open": over.get("price", 1.1), "sl": 0.0, "tp": 0.0, "price_current": 1.1,
            "swap": 0.0, "profit": 0.0, "symbol": over.get("symbol", "EURUSD"),
            "comment": over.get("comment", ""), "external_id": "",
        }  # fmt: skip

    def place(self, kind: int = 2, volume: str = "0.10", **over: Any) -> int:
        """Put a pending order on the books and return its ticket."""
        ticket = self.number()
        row: Row = {
            "ticket": ticket, "time_setup": self.now() // 1000, "time_setup_msc": self.now(),
            "time_done": 0, "time_done_msc": 0, "time_expiration": 0, "type": kind,
            "type_time": 0, "type_filling": 2, "state": 1, "magic": 0, "position_id": 0,
            "position_by_id": 0, "reason": 3, "volume_initial": float(volume),
            "volume_current": float(volume), "price_open": 1.05, "sl": 0.0, "tp": 0.0,
            "price_current": 1.1, "price_stoplimit": 0.0, "symbol": "EURUSD", "comment": "",
            "external_id": "",
        }  # fmt: skip
        self.orders[ticket] = row | over
        return ticket

    def fill(self, ticket: int, volume: str, late: int = 0) -> None:
        """Fill a pending order, or a part of it."""
        row = self.orders[ticket]
        left = Decimal(str(row["volume_current"])) - Decimal(volume)
        row["volume_current"] = float(left)
        row["state"] = 3
        side = row["type"] % 2
        held = next((p for p in self.positions.values() if p["identifier"] == ticket), None)
        at = held["identifier"] if held else 0
        self.deal(side, volume, order=ticket, late=late, at=at, magic=row["magic"])
        if not left:
            self.end(ticket, 4, late)

    def end(self, ticket: int, state: int, late: int = 0) -> None:
        """Let an order end in a state (2 cancelled, 4 filled, 5 rejected, 6 expired)."""
        row = self.orders.pop(ticket)
        done = {"state": state, "time_done": self.now() // 1000, "time_done_msc": self.now()}
        self.ended.append(row | done)
        self.hide(ticket, late)

    def account(self) -> Row:
        """Return an `AccountInfo`."""
        profit = sum(row["profit"] for row in self.positions.values())
        return {
            "login": self.login, "server": self.server, "trade_mode": self.trade_mode,
            "margin_mode": self.margin_mode, "leverage": 100, "currency": "USD",
            "balance": self.balance, "equity": self.balance + profit, "profit": profit,
            "margin": 0.0, "margin_free": self.balance + profit, "margin_level": 0.0,
            "credit": 0.0,
        }  # fmt: skip


class HandLink:
    """The link over a hand-made account: answers at once, counts, and breaks when told to.

    `before` is called with the name of each call before it is answered.
    """

    def __init__(self, account: HandAccount) -> None:
        self.account = account
        self.symbols: dict[str, Row] = {"EURUSD": symbol_row()}
        self.ticks: dict[str, Row] = {}
        self.selected: set[str] = set()
        self.asked: list[str] = []
        self.answers: dict[str, Answer] = {}  # what a function says instead
        self.before: Callable[[str], None] = lambda _name: None
        self.status = LinkStatus(
            alive=True, linked=True, why="", linked_mono=1, account=account.account(), connects=1
        )

    def put(self, **over: Any) -> None:
        """Change the status."""
        self.status = structs.replace(self.status, **over)

    def beat(self) -> LinkStatus:
        """Return the status, with the account as it is shown now."""
        if self.status.alive:
            self.put(account=self.account.account())
        return self.status

    def call(self, name: str, *args: object, **kwargs: object) -> Answer:
        """Answer one call."""
        return self.calls(CallOf(name, args, kwargs))[0]

    def calls(self, *calls: CallOf) -> list[Answer]:
        """Answer several calls."""
        return [self._answer(one) for one in calls]

    def _answer(self, call: CallOf) -> Answer:
        self.asked.append(call.name)
        self.before(call.name)
        if not self.status.alive:
            return Answer(ok=False, text="connecting: nobody is there")
        if call.name in self.answers:
            return self.answers[call.name]
        value = self._value(call.name, call.args, call.kwargs)
        if value is None:
            return Answer(ok=False, code=-4, text="Terminal: Not found")
        return Answer(ok=True, value=value, code=1, text="Success")

    def _value(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        account = self.account
        match name:
            case "account_info":
                return account.account()
            case "positions_get":
                return [dict(row) for row in account.positions.values()]
            case "orders_get":
                return [dict(row) for row in account.orders.values()]
            case "symbol_select":
                self.selected.add(args[0])
                return args[0] in self.symbols or None
            case "symbol_info":
                return self.symbols.get(args[0])
            case "symbol_info_tick":
                return self.ticks.get(args[0]) if args[0] in self.selected else None
        if name.startswith("history_"):
            orders = "orders" in name
            rows = account.shown_ended() if orders else account.shown_deals()
            # Whether orders are found by their placing or by their end is not documented.
            time = "time_setup_msc" if orders else "time_msc"
            if "ticket" in kwargs:
                return [row for row in rows if row["ticket"] == kwargs["ticket"]]
            found = [row for row in rows if args[0] * 1000 <= row[time] < args[1] * 1000 + 1000]
            return len(found) if name.endswith("_total") else found
        raise AssertionError(f"nobody calls {name} to read")
