"""What can go wrong between a server and its MetaTrader 5 terminal, and what may come of it.

A row is one signed order, one fault, and its outcomes: `may` are the words that the strategy may
be told in the end (status and code), `runs` how often the broker may have executed it. A row that
may run or not must still be told the truth; that is the judge's affair (S6), not the table's.

The four points of a call, of which the second is three: the terminal has the request, and the
broker executes it at once, a moment later, or never.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tests.support.fake_metatrader5.faults import ACCEPTED, ANSWERED, BEFORE, EXECUTED

__all__ = [
    "CODES", "DONE", "FILLS", "LOSSES", "ORDERS", "PLACES", "READS", "Fill", "Place", "Reading",
    "Row", "readings", "rows",
]  # fmt: skip

ABSENT: Final = "DENIED ABSENT"
DOWN: Final = "DENIED BROKER_DOWN"
REFUSED: Final = "DENIED BROKER_REJECTED"
OFF: Final = "DENIED TRADE_DISABLED"

# The orders that meet the faults, and what each is called when it was done.
DONE: Final[Mapping[str, str]] = {
    "buy": "FILLED", "sell": "FILLED", "limit": "WORKING", "close": "FILLED",
    "modify": "DONE", "cancel": "DONE",
}  # fmt: skip
ORDERS: Final = tuple(DONE)


class Place(NamedTuple):
    """One of the points, the broker's deed there, and whether the order has run in the end."""

    point: str
    how: Mapping[str, Any]
    runs: int


PLACES: Final[Mapping[str, Place]] = {
    "before": Place(BEFORE, {}, 0),
    "accepted, now": Place(ACCEPTED, {"execute": "now"}, 1),
    "accepted, later": Place(ACCEPTED, {"execute": "later", "after_s": 0.05}, 1),
    "accepted, never": Place(ACCEPTED, {"execute": "never"}, 0),
    "executed": Place(EXECUTED, {}, 1),
    "answered": Place(ANSWERED, {}, 1),
}


class _Loss(NamedTuple):
    """How an answer is lost; `only`: at this place alone; `unrun`: what is told if it never ran."""

    kind: str
    how: Mapping[str, Any] = {}
    only: str = ""
    unrun: str = ABSENT


def _error(code: int, text: str | None = None, **more: Any) -> _Loss:
    how: dict[str, Any] = {"code": code, "text": text}
    return _Loss("error", how | more.pop("how", {}), **more)


LOSSES: Final[Mapping[str, _Loss]] = {
    "-1": _error(-1),
    "-2 of the terminal": _error(-2, "Terminal: Invalid params"),
    "-3": _error(-3),
    "-4": _error(-4),
    # The package's own words that nothing left this machine: true before, and only there.
    "-5": _error(-5, only="before", unrun=REFUSED),
    "-7": _error(-7, only="before", unrun=REFUSED),
    "-8": _error(-8, only="before", unrun=OFF),
    "-10004": _error(-10004, only="before", unrun=DOWN),
    "-10000": _error(-10000),
    "-10001": _error(-10001),
    "-10002": _error(-10002),
    "-10002, then -10001": _error(-10002, how={"kept": True}),
    "never seen": _error(-9999, "a word that nobody knows"),
    "hang": _Loss("hang"),
    "worker killed": _Loss("kill_worker"),
    "terminal killed": _Loss("kill_terminal"),
    "None, and Success": _Loss("none"),
    "the answer of another call": _Loss("out_of_step"),
    **{
        f"retcode {code}": _Loss("retcode", {"code": code})
        for code in (10011, 10012, 10023, 10028, 10031, 10039, 10005, 12345)
    },
}
# What is quick enough for every run; the rest runs with the long ones. Each loss at one place at
# least, each place with a loss of each family: an error, a death, a hang, a code.
_QUICK: Final[Mapping[str, tuple[str, ...]]] = {
    "-1": ("before", "executed"),
    "-2 of the terminal": ("answered",),
    "-3": ("accepted, later",),
    "-4": ("accepted, now",),
    "-5": ("before",),
    "-7": ("before",),
    "-8": ("before",),
    "-10000": ("before", "answered"),
    "-10001": ("before", "accepted, later"),
    "-10002": ("accepted, now", "accepted, never"),
    "-10002, then -10001": ("executed",),
    "-10004": ("before",),
    "never seen": ("answered",),
    "hang": ("accepted, later", "executed"),
    "worker killed": ("before", "accepted, later", "answered"),
    "terminal killed": ("accepted, never", "executed"),
    "None, and Success": ("executed",),
    "the answer of another call": ("answered",),
    "retcode 10011": ("accepted, now",),
    "retcode 10012": ("accepted, never", "accepted, later"),
    "retcode 10031": ("before", "executed"),
    "retcode 12345": ("answered", "before"),
}


class Row(NamedTuple):
    """One order with one fault in its `order_send`."""

    order: str
    loss: str
    place: str
    quick: bool

    @property
    def name(self) -> str:
        return f"{self.order}, {self.loss}, {self.place}"

    @property
    def script(self) -> tuple[str, str, dict[str, Any]]:
        """The point, the kind and the rest of the fault's words."""
        loss, place = LOSSES[self.loss], PLACES[self.place]
        return place.point, loss.kind, {**loss.how, **place.how}

    @property
    def runs(self) -> int:
        return PLACES[self.place].runs

    @property
    def may(self) -> frozenset[str]:
        return frozenset({DONE[self.order] if self.runs else LOSSES[self.loss].unrun})


# The losses that other orders than a BUY meet, each at every place; the first two in every run.
_EVERY_ORDER: Final = ("-10002", "retcode 10012", "worker killed", "terminal killed", "-1")
_QUICK_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "-10002": ("executed",), "retcode 10012": ("accepted, never",),
}  # fmt: skip


def rows() -> Iterator[Row]:
    """Every loss at every place for a BUY, the gravest ones for every other order."""
    for loss, one in LOSSES.items():
        for place in PLACES:
            if not one.only or one.only == place:
                yield Row("buy", loss, place, place in _QUICK.get(loss, ()))
    for order in ORDERS[1:]:
        for loss in _EVERY_ORDER:
            for place in PLACES:
                yield Row(order, loss, place, place in _QUICK_PLACES.get(loss, ()))


# --- what the broker says ------------------------------------------------------------------------

# A definite no is REJECTED with its code, and nothing ran.
CODES: Final[Mapping[int, str]] = {
    10004: "REQUOTE", 10006: "BROKER_REJECTED", 10007: "BROKER_REJECTED",
    10013: "BROKER_REJECTED", 10014: "INVALID_VOLUME", 10015: "INVALID_PRICE",
    10016: "INVALID_STOPS", 10017: "TRADE_DISABLED", 10018: "MARKET_CLOSED", 10019: "NO_MONEY",
    10020: "REQUOTE", 10021: "PRICE_OFF", 10022: "BROKER_REJECTED", 10024: "BROKER_REJECTED",
    10026: "TRADE_DISABLED", 10027: "TRADE_DISABLED", 10029: "BROKER_REJECTED",
    10030: "BROKER_REJECTED", 10032: "BROKER_REJECTED", 10033: "TOO_MANY_ORDERS",
    10034: "INVALID_VOLUME", 10035: "BROKER_REJECTED", 10038: "INVALID_VOLUME",
    10040: "TOO_MANY_ORDERS", 10041: "BROKER_REJECTED", 10042: "TRADE_DISABLED",
    10043: "TRADE_DISABLED", 10044: "TRADE_DISABLED", 10045: "BROKER_REJECTED",
    10046: "BROKER_REJECTED",
}  # fmt: skip


class Fill(NamedTuple):
    """What the broker plans for a BUY of 0.10: the control to call, and what is told."""

    control: str
    words: tuple[Any, ...]
    how: Mapping[str, Any]
    may: frozenset[str]
    volume: str = ""


def _fill(control: str, *words: Any, may: str, volume: str = "", **how: Any) -> Fill:
    return Fill(control, words, how, frozenset(may.split("|")), volume)


FILLS: Final[Mapping[str, Fill]] = {
    "10008, filled at once": _fill("place_next", "fill", 0, may="FILLED", volume="0.1"),
    "10008, filled later": _fill("place_next", "fill", 150, may="FILLED", volume="0.1"),
    "10008, filled too late to wait for": _fill(
        "place_next", "fill", 900, may="FILLED", volume="0.1"
    ),
    "10008, rejected later": _fill("place_next", "reject", 100, may="REJECTED BROKER_REJECTED"),
    "10008, rejected too late to wait for": _fill(
        "place_next", "reject", 900, may="REJECTED BROKER_REJECTED"
    ),
    "10008, cancelled later": _fill("place_next", "cancel", 100, may="REJECTED BROKER_REJECTED"),
    "10009, rejected later": _fill(
        "place_next", "reject", 100, may="REJECTED BROKER_REJECTED", retcode=10009
    ),
    "10010, the rest cancelled": _fill("fill_next", "0.04", may="PARTIAL", volume="0.04"),
    "10010, two deals and a rest": _fill("fill_next", "0.03", "0.02", may="PARTIAL", volume="0.05"),
    "10009, two deals": _fill("fill_next", "0.04", "0.06", may="FILLED", volume="0.1"),
    "10009, three deals after the answer": _fill(
        "fill_next", "0.04", "0.03", "0.03", may="FILLED", volume="0.1", gap_ms=60
    ),
    "10010, the second deal too late to wait for": _fill(
        "fill_next", "0.04", "0.06", may="FILLED", volume="0.1", gap_ms=900
    ),
    "10010 for the whole": _fill("fill_next", "0.1", may="FILLED", volume="0.1", retcode=10010),
    "10011 for two deals": _fill(
        "fill_next", "0.04", "0.06", may="FILLED", volume="0.1", retcode=10011
    ),
    "10012 for a part": _fill("fill_next", "0.04", may="PARTIAL", volume="0.04", retcode=10012),
}


# --- what is read around an order ----------------------------------------------------------------

# Whatever is not read leaves an order unsent or unknown, and unknown ends by what is read later.
READS: Final[Mapping[str, str]] = {
    "account_info": DOWN, "terminal_info": DOWN, "symbol_info_tick": f"DENIED NO_QUOTE|{DOWN}",
    "order_check": DOWN, "positions_get": DOWN, "orders_get": DOWN, "history_deals_get": DOWN,
    "history_orders_get": DOWN,
}  # fmt: skip


class Reading(NamedTuple):
    """A fault in what is read while an order is under way."""

    function: str
    point: str
    kind: str
    how: Mapping[str, Any]
    quick: bool

    @property
    def name(self) -> str:
        return f"{self.function}, {self.kind} {self.how.get('code', '')}, {self.point}"

    @property
    def may(self) -> frozenset[str]:
        return frozenset({"FILLED", *READS[self.function].split("|")})


_READ_FAULTS: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("none", {}), ("error", {"code": -1}), ("error", {"code": -10001}),
    ("error", {"code": -10002}), ("error", {"code": -10004}), ("hang", {}), ("kill_worker", {}),
    ("kill_terminal", {}), ("out_of_step", {}),
)  # fmt: skip


def readings() -> Iterator[Reading]:
    """Every fault in every function that is read, at the three points that reading has."""
    for number, function in enumerate(READS):
        for kind, how in _READ_FAULTS:
            for point in (BEFORE, EXECUTED, ANSWERED):
                # In every run: None where a record is expected, and one other fault of each.
                at = _READ_FAULTS[1 + number % (len(_READ_FAULTS) - 1)]
                quick = point == ANSWERED and (kind == "none" or (kind, how) == at)
                yield Reading(function, point, kind, how, quick)
