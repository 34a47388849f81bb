"""The crash points of the path to MetaTrader 5, as data.

S = server, W = its worker, T = the terminal, B = broker. `required` is what the recovery table
asks for, in its words; NX: it did not happen (here DENIED), EXEC: it did; UNKNOWN is only on the
way. A row has several places and several orders, which take turns.
"""

from __future__ import annotations

import errno
from typing import Any, Final, NamedTuple

from tests.crash.stage import Plan
from tests.crash.table import failing
from tests.support.fake_metatrader5.faults import ACCEPTED, ANSWERED, BEFORE, EXECUTED, Kind
from tests.support.faulty_disk import Call

__all__ = ["DIE", "ORDERS", "PART", "ROWS", "TIMES", "VOLUME", "End", "Fault", "Row", "allowed"]

TIMES: Final = 20
VOLUME: Final = "0.05"
PART: Final = "0.02"  # of it
CALL_MS: Final = 2_000  # instead of the minute, where a call is to hang


class Order(NamedTuple):
    """A kind of order: on which account, and what it is told as when it was carried out.

    `trace`: by what the broker's records show it.
    """

    name: str
    margin_mode: str
    done: str
    trace: str = "TAG"


ORDERS: Final = (
    Order("OPEN", "hedging", "FILLED"),
    Order("CLOSE", "hedging", "FILLED"),
    Order("OPEN", "netting", "FILLED"),
    Order("CLOSE", "netting", "FILLED"),
    Order("PENDING", "hedging", "WORKING"),
    Order("MODIFY", "hedging", "DONE", "SHAPE"),
    Order("MOVE", "netting", "DONE", "SHAPE"),
    Order("CANCEL", "netting", "DONE", "SHAPE"),
    Order("CLOSE PART", "netting", "FILLED"),
    Order("MODIFY", "netting", "DONE", "SHAPE"),
    Order("CLOSE PART", "hedging", "FILLED"),
)
FLATTEN: Final = Order("FLATTEN", "hedging", "DONE", "BROKER")
FLATTENS: Final = (FLATTEN, FLATTEN._replace(margin_mode="netting"))
_FILLS: Final = tuple(one for one in ORDERS if one.name in ("OPEN", "CLOSE"))


class End(NamedTuple):
    """A final outcome, how it is known, and how often the broker has been asked for it."""

    status: str
    code: str
    evidence: str
    begun: int


DONE: Final = End("done", "-", "trace", 1)  # of any order, in its own words
ABORTED: Final = End("DENIED", "ABORTED_RESTART", "SERVER", 0)
ABSENT: Final = End("DENIED", "ABSENT", "ABSENT", 0)
BEGUN_ABSENT: Final = End("DENIED", "ABSENT", "ABSENT", 1)
FULL: Final = End("DENIED", "JOURNAL_FULL", "SERVER", 0)
NOT_BEGUN: Final = End("DENIED", "BROKER_DOWN", "BROKER", 0)  # proof, not absence
FENCED: Final = End("DENIED", "FENCED", "ABSENT", 0)  # no row is left of it
PARTIAL: Final = End("PARTIAL", "-", "TAG", 1)
# The ticket at hand was closed; of the others those that found no worker were not begun.
REST_FAILED: Final = End("PARTIAL", "CHILD_FAILED", "BROKER", 1)


def end_of(end: End, order: Order) -> End:
    """Return an end in the words of an order."""
    if end is not DONE:
        return end
    return End(order.done, "-", order.trace, 3 if order.name == "FLATTEN" else 1)


def allowed(end: End, order: Order) -> tuple[End, ...]:
    """Return what may come of it: how fast a new worker is there decides of a FLATTEN's rest."""
    if end != REST_FAILED:
        return (end_of(end, order),)
    return (end, end._replace(begun=2), end_of(DONE, order))


class Fault(NamedTuple):
    """A fault of the stand-in: where in which call, what, and how."""

    point: str
    kind: Kind
    how: dict[str, Any] = {}  # never changed
    name: str = "order_send"


class Place(NamedTuple):
    """Who dies where, or what goes wrong.

    how     a scenario of crash_play.py
    end     what has to come of it
    fault   what the terminal meets with
    server  where S meets its end (doomed_link.py)
    """

    how: str
    end: End
    fault: Fault | None = None
    server: Plan = {}


class Row(NamedTuple):
    """One row of the recovery table.

    faults    the server stands on a faulty disk
    trade_ms  how long the server waits for a broker call (0: a minute, as it is)
    ttl_ms    how long an order lives
    """

    number: int
    what: str
    required: str
    places: tuple[Place, ...]
    orders: tuple[Order, ...] = ORDERS
    faults: bool = False
    trade_ms: int = 0
    ttl_ms: int = 5_000

    @property
    def id(self) -> str:
        """The row's name in a report."""
        op = " (FLATTEN)" if self.orders is FLATTENS else ""
        return f"{self.number} {self.what}{op}"

    def turn(self, n: int) -> tuple[Place, Order]:
        """Return what the nth turn plays: each place with each order, sooner or later.

        Each row begins with another order, so that the rows' first turns have them all.
        """
        places, orders = self.places, self.orders
        shifted = n + n // _common(places, orders) + ROWS.index(self)
        return places[n % len(places)], orders[shifted % len(orders)]

    def times(self, times: int) -> int:
        """Return how many turns, so many at least, play every place."""
        return max(times, len(self.places))


def _common(places: tuple[Place, ...], orders: tuple[Order, ...]) -> int:
    """After so many turns the same pairs would come again."""
    n = len(places)
    while n % len(orders):
        n += len(places)
    return n


_DEATHS: Final[tuple[Kind, ...]] = ("kill_worker", "kill_terminal")
DIE: Final[list[list[Any]]] = [["die"]]


def _at(point: str, kind: Kind, **how: Any) -> Fault:
    return Fault(point, kind, how)


def _dying(number: int, what: str, required: str, *places: Place, **row: Any) -> Row:
    return Row(number, what, required, places, **row)


# Where order_send may be when somebody dies, and what comes of it.
_MOMENTS: Final[tuple[tuple[str, dict[str, Any], End], ...]] = (
    (EXECUTED, {}, DONE),
    (ACCEPTED, {"execute": "never"}, BEGUN_ABSENT),
    (BEFORE, {}, ABSENT),
    (ACCEPTED, {"execute": "later", "after_s": 0.1}, DONE),
    (ANSWERED, {}, DONE),
    (ACCEPTED, {}, DONE),
)


def _everywhere(how: str, kind: Kind, *, ends: tuple[End, ...] = ()) -> tuple[Place, ...]:
    """Return this death at each moment of the call; `ends` only the moments that end so."""
    return tuple(
        Place(how, end, Fault(point, kind, words))
        for point, words, end in _MOMENTS
        if not ends or end in ends
    )


_HANGS: Final = tuple(_everywhere("call hangs", "hang"))
_ORPHANS: Final = (
    Place("S dies while W hangs", DONE, _at(ACCEPTED, "hang")),
    Place("S dies while W hangs", BEGUN_ABSENT, _at(ACCEPTED, "hang", execute="never")),
    Place("S dies while W hangs", ABSENT, _at(BEFORE, "hang")),
    Place("S dies, W returns", DONE, _at(EXECUTED, "hang")),
    Place("S dies, W returns", DONE, _at(ANSWERED, "hang")),
)

ROWS: Final[tuple[Row, ...]] = (
    _dying(13, "S after J1, before J2", "NOT_SENT(ABORTED_RESTART), NX",
           Place("S dies with it queued", ABORTED, server={"j1 committed": DIE})),
    _dying(15, "S during J2 commit", "13 or 16",
           Place("S dies when its turn comes", ABORTED, server={"j2 commits": DIE}),
           Place("S dies when its turn comes", ABSENT, server={"j2 committed": DIE}),
           Place("S dies when its turn comes", ABORTED, server={"j2 begins": DIE})),
    _dying(16, "S after J2, before the call / before sending to W",
           "UNKNOWN → broker absence → NX",
           Place("S dies, W is at the gate", ABSENT, server={"sent": DIE}),
           Place("S dies", ABSENT, server={"j2 committed": DIE}),
           Place("S dies", ABSENT, server={"call": DIE}),
           Place("S dies", ABSENT, server={"ask": DIE})),
    _dying(16, "W after it was asked, before the call", "proof that nothing began → NX",
           Place("W dies at the gate", NOT_BEGUN),
           Place("T dies at the gate", NOT_BEGUN)),
    _dying(17, "fsync error at J1 / J2",
           "JOURNAL_FATAL; J1: no call, NX (a surviving row aborts at restart); "
           "J2: **no call**, UNK, then 15",
           Place("fsync fails", FENCED, server=failing("j1", Call.SYNC, errno.EIO, 1)),
           Place("fsync fails at its turn", ABORTED,
                 server=failing("j2", Call.SYNC, errno.EIO, 1)),
           faults=True, ttl_ms=4_000),
    _dying(18, "disk full at J1 / J2",
           "J1: NX JOURNAL + in-memory tombstone; J2: no call; reads and status still served",
           Place("disk is full", FULL, server=failing("j1", Call.WRITE, errno.ENOSPC, -1)),
           Place("disk is full at its turn", FULL,
                 server=failing("j2", Call.WRITE, errno.ENOSPC, -1)),
           faults=True),
    _dying(22, "T dies inside order_send", "tag found → EXEC with true fill; absent → NX",
           *_everywhere("W or T dies", "kill_terminal")),
    _dying(24, "terminal loses B during order_send (10012 / 10031)",
           "UNKNOWN → evidence → EXEC or NX; never resent",
           Place("B is lost", DONE, _at(ACCEPTED, "retcode", code=10012)),
           Place("B is lost", BEGUN_ABSENT, _at(ACCEPTED, "retcode", code=10031, execute="never")),
           Place("B is cut off", BEGUN_ABSENT, _at(BEFORE, "delay", seconds=0)),
           Place("B is cut off", DONE, _at(ACCEPTED, "error", code=-1)),
           Place("B is lost", DONE, _at(ACCEPTED, "retcode", code=10012, execute="later")),
           Place("B is lost", DONE, _at(ANSWERED, "none")),
           Place("B is lost", BEGUN_ABSENT, _at(ACCEPTED, "error", code=-10002, execute="never"))),
    _dying(25, "B executes, answer lost; S or W dies before the result is known",
           "tag found → EXEC",
           *_everywhere("W or T dies", "kill_worker", ends=(DONE,)),
           *_everywhere("S is killed in the call", "kill_pid", ends=(DONE,)),
           Place("S dies", DONE, server={"begun": DIE})),
    _dying(25, "as 25, B never got it", "absence rule → NX",
           *_everywhere("W or T dies", "kill_worker", ends=(ABSENT, BEGUN_ABSENT)),
           Place("S is killed in the call", BEGUN_ABSENT,
                 _at(ACCEPTED, "kill_pid", execute="never"))),
    _dying(27, "W's answer is in the pipe / S dies before reading it", "tag found → EXEC",
           Place("S is killed unread", DONE, _at(EXECUTED, "hang")),
           Place("S dies", DONE, server={"answer": DIE})),
    _dying(28, "S read result, dies before J3", "tag",
           Place("S dies", DONE, server={"j3 begins": DIE}),
           Place("S dies", DONE, server={"answered": DIE}),
           Place("S dies", DONE, server={"j3 commits": DIE})),
    _dying(37, "S, W and terminal die together (power)", "broker scan by tag → EXEC or NX",
           *_everywhere("all die", "hang")),
    _dying(42, "worker hangs inside order_send",
           "watchdog ends worker; UNKNOWN; no second worker until reconciled",
           *_HANGS, trade_ms=CALL_MS),
    _dying(42, "worker hangs inside order_send, S dies",
           "no second worker beside the orphan; what it hung in runs once at most",
           *_ORPHANS, trade_ms=CALL_MS),
    _dying(46, "partial fill, then B disconnects",
           "PART after scan, volume from deals, not from the request",
           Place("part is filled", PARTIAL, _at(ACCEPTED, "error", code=-1)),
           Place("part is filled", PARTIAL, _at(ACCEPTED, "kill_worker")),
           Place("part is filled", PARTIAL, _at(ACCEPTED, "kill_pid")),
           orders=_FILLS),
    _dying(194, "S again while it recovers", "idempotent: as if it had died once",
           *(Place("S dies again", DONE, server={place: DIE}) for place in (
               "scan", "j3 commits", "unknown commits", "listening", "start committed", "opened",
               "unknown committed", "j3 begins", "start commits"))),
    _dying(194, "W or T again while S recovers", "idempotent: as if it had died once",
           *(Place("W or T dies again", DONE, Fault(EXECUTED, kind, {}, name))
             for name in ("history_deals_get", "positions_get", "account_info")
             for kind in _DEATHS)),
    # --- FLATTEN ---------------------------------------------------------------------------------
    _dying(25, "W, T or S dies at a ticket, B executes", "every ticket once",
           *_everywhere("S is killed in the call", "kill_pid", ends=(DONE,)),
           *(place._replace(end=REST_FAILED) for place in (
               *_everywhere("W or T dies", "kill_worker", ends=(DONE,)),
               *_everywhere("W or T dies", "kill_terminal", ends=(DONE,)))),
           orders=FLATTENS),
    _dying(28, "S at its intent, at a ticket, at its end", "every ticket once",
           *(Place("S dies", DONE, server={place: DIE}) for place in (
               "child begins", "parent committed", "child commits", "child committed",
               "done begins", "done commits")),
           orders=FLATTENS),
    _dying(37, "S, W and terminal die together (power)", "every ticket once",
           *_everywhere("all die", "hang", ends=(DONE,)), orders=FLATTENS),
)  # fmt: skip
