"""A stormy day at a MetaTrader 5 terminal (tests/support/storm.py).

The storm kills the worker, the terminal and the server at points of a call, lets calls hang, loses
answers, refuses, fills in part or late, cuts the broker off, moves prices through stops, targets
and pending orders, and lets a person trade by hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from bridge_client import OrderResult
from bridge_client.evidence import signed_rows
from bridge_core.protocol.codes import Status
from bridge_core.protocol.messages import Modify
from bridge_core.protocol.operations import Op
from bridge_core.protocol.tag import make_tag
from tests.mt5.house import ACCT, House
from tests.support.fake_metatrader5.faults import ACCEPTED, ANSWERED, BEFORE, EXECUTED, POINTS, Kind
from tests.support.storm import Storm

__all__ = ["Mt5Storm"]

_HASH_MASK: Final = 2**40 - 1
_REFUSED: Final = (10004, 10006, 10013, 10016, 10018, 10021, 10024, 10030)
_UNSURE: Final = (10011, 10012, 10023, 10028, 10031, 12345)
_LOST: Final[tuple[tuple[str, Kind, dict[str, Any]], ...]] = (
    (ACCEPTED, "retcode", {"code": 10012, "execute": "now"}),
    (ACCEPTED, "retcode", {"code": 10012, "execute": "later", "after_s": 0.3}),
    (ACCEPTED, "retcode", {"code": 10031, "execute": "never"}),
    (ACCEPTED, "error", {"code": -1, "execute": "never"}),
    (EXECUTED, "error", {"code": -1}),
    (EXECUTED, "none", {}),
    (ANSWERED, "error", {"code": -10002}),
    (ANSWERED, "out_of_step", {}),
    (BEFORE, "error", {"code": -10001}),
    (BEFORE, "error", {"code": -10004}),
)
_READS: Final = ("positions_get", "history_deals_get", "account_info", "symbol_info_tick")
_DEEP_S: Final = 2.0  # so long a planned death is waited for
_ON_ITS_WAY_S: Final = 2.0  # no call takes longer


class Mt5Storm(Storm):
    """`settled` are the orders that a person has judged."""

    def __init__(self, house: House, seed: int) -> None:
        super().__init__(house, seed)
        self.house = house
        self.fair_orders = (4, 12)
        self.settled: set[str] = set()
        self._modifies: dict[str, Modify] = {}
        self._traceless: dict[str, float] = {}  # since when

    @property
    def troubles(self) -> Sequence[Callable[[], None]]:
        """What may go wrong, each as likely as any other."""
        return (
            self._refuse, self._lose, self._lose, self._lose, self._kill_worker, self._kill_worker,
            self._kill_terminal, self._kill_server, self._kill_server_in_a_call, self._hang,
            self._slow, self._partly, self._later, self._by_hand, self._cut_off, self._prices,
            self._prices, self._algo_off, self._unread,
        )  # fmt: skip

    # --- the broker ----------------------------------------------------------------------------

    def _refuse(self) -> None:
        code = self.random.choice((*_REFUSED, *_UNSURE))
        executed = code in _UNSURE and self.random.random() < 0.5
        self.house.broker.fail_next(code, executed=executed)

    def _partly(self) -> None:
        self.house.broker.fill_next("0.01", gap_ms=self.random.choice((0, 100)))

    def _later(self) -> None:
        then = self.random.choice(("fill", "fill", "reject", "cancel"))
        self.house.broker.place_next(then, self.random.choice((0, 100, 400)))

    def _prices(self) -> None:
        # Far enough for stops, targets and pending orders, and back again.
        for pips in (self.random.randrange(-400, 400), self.random.randrange(-50, 50)):
            bid = Decimal("1.08500") + pips * Decimal("0.0001")
            self.house.broker.price("EURUSD", bid, bid + Decimal("0.00012"))
            time.sleep(0.02)

    def _by_hand(self) -> None:
        broker = self.house.broker
        rows = [*broker.positions(), *broker.orders()]
        if not rows or self.random.random() < 0.2:
            broker.manual_buy("EURUSD", "0.01")
            return
        row = self.random.choice(rows)
        ticket = int(row["ticket"])
        try:
            if "price_current" in row and "volume_current" in row:
                broker.manual_remove(ticket)
            elif self.random.random() < 0.5:
                broker.manual_close(ticket)
            else:
                # Never back to what it was: no record at a broker tells that from a MODIFY that
                # did not run (protocol.md 7.3).
                own = Decimal(self.random.randrange(1, 500)) / 1000
                broker.manual_modify(ticket, sl=own if row["type"] == 0 else 200 + own, tp=0)
        except KeyError:  # a strategy was faster
            return

    def _cut_off(self) -> None:
        self.house.broker.link(False)
        time.sleep(0.2)
        self.house.broker.link(True, history_after_ms=100)

    # --- the terminal and its worker -------------------------------------------------------------

    def _lose(self) -> None:
        point, kind, how = self.random.choice(_LOST)
        self.house.terminal.faults.script("order_send", point, kind, **how)

    def _slow(self) -> None:
        seconds = self.random.choice((0.05, 0.3))
        self.house.terminal.faults.script("order_send", ACCEPTED, "delay", seconds=seconds)

    def _kill_worker(self) -> None:
        name = self.random.choice(("order_send", "order_send", *_READS))
        self.house.terminal.faults.script(name, self.random.choice(POINTS), "kill_worker")

    def _kill_terminal(self) -> None:
        name = self.random.choice(("order_send", *_READS))
        self.house.terminal.faults.script(name, self.random.choice(POINTS), "kill_terminal")

    def _hang(self) -> None:
        self.house.terminal.faults.script("order_send", self.random.choice(POINTS), "hang")

    def _algo_off(self) -> None:
        self.house.terminal.trade_allowed = False
        time.sleep(0.1)
        self.house.terminal.trade_allowed = True

    def _unread(self) -> None:
        terms = self.house.broker.terms
        terms.deal_visible_after_ms = self.random.choice((0, 0, 50, 200))
        terms.history_visible_after_ms = self.random.choice((0, 0, 50))

    # --- the server ------------------------------------------------------------------------------

    def _kill_server(self) -> None:
        self.house.kill_server()
        self.house.start_server()

    def _kill_server_in_a_call(self) -> None:
        faults, point = self.house.terminal.faults, self.random.choice(POINTS)
        one = faults.script("order_send", point, "kill_pid", pid=self.house.server_pid)
        until = time.monotonic() + _DEEP_S
        while one.times and time.monotonic() < until:
            time.sleep(0.01)
        one.times = 0
        self._kill_server()  # no order may have come: then here

    def calm(self) -> None:
        """Let nothing go wrong any more, and let a person judge what nobody else can."""
        super().calm()
        self.house.terminal.faults.calm()
        terms = self.house.broker.terms
        terms.deal_visible_after_ms = terms.history_visible_after_ms = 0

    def mend(self) -> None:
        """Start again what a trouble has ended; let a person judge what nobody else can."""
        super().mend()
        self.left()

    def left(self) -> list[OrderResult]:
        """Return the orders that have not ended.

        A MODIFY has left no trace where its ticket is gone, or shows levels of somebody else's: it
        is UNKNOWN until a person says what it was.
        """
        left = super().left()
        lost = [one for one in left if one.op is Op.MODIFY and self._has_no_trace(one)]
        if lost:
            with self.house.connector("operator", "operator") as operator:
                for one in lost:
                    word = "DONE" if self._was_done(one.rid) else "DENIED"
                    told = operator.settle(one.rid, word, one.ticket, "the broker's own books")
                    if told.status is Status.DONE:
                        self.settled.add(one.rid)
        return left

    def _has_no_trace(self, one: OrderResult) -> bool:
        body = self._signed(one.rid)
        if body is None:
            return False
        broker, known = self.house.broker, ((body.sl, body.tp), (body.old_sl, body.old_tp))
        rows = (*broker.positions(), *broker.orders())
        shown = [(row["sl"], row["tp"]) for row in rows if row["ticket"] == one.ticket]
        if any((float(sl), float(tp)) in shown for sl, tp in known):
            self._traceless.pop(one.rid, None)
            return False
        # What is on its way to the broker may still be done.
        since = self._traceless.setdefault(one.rid, time.monotonic())
        return time.monotonic() - since > _ON_ITS_WAY_S

    def _signed(self, rid: str) -> Modify | None:
        if rid not in self._modifies:
            for journal in (self.house.folder / "connector/state").glob("s*.db"):
                bodies = {row.rid: row.order.body for row in signed_rows(journal)}
                self._modifies |= {r: one for r, one in bodies.items() if isinstance(one, Modify)}
        return self._modifies.get(rid)

    def _was_done(self, rid: str) -> bool:
        lines, mine = self.house.broker.lines(), make_tag(ACCT, rid).mt5_hash
        ours = {
            line["n"]
            for line in lines
            if line["at"] == "begin" and line["request"]["magic"] & _HASH_MASK == mine
        }
        return any(line.get("executed") for line in lines if line.get("n") in ours)
