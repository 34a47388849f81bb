"""The crash points of the hop between server and Expert Advisor, as data.

S = server, E = the EA with its terminal, B = broker. `required` is what the recovery table asks
for, in its words; NX: it did not happen (here DENIED), EXEC: it did (here FILLED), UNKNOWN is only
on the way. A row has several places, which take turns; each says who dies where.
"""

from __future__ import annotations

import errno
from typing import Any, Final, NamedTuple

from tests.crash.stage import Plan
from tests.crash.table import failing
from tests.support.faulty_disk import Call

__all__ = ["CLOSES", "HANGS", "ROWS", "TIMES", "End", "Place", "Row"]

TIMES: Final = 20
Command = tuple[str | int, ...]


class End(NamedTuple):
    """A final outcome in the EA's own word, and how often the broker has been asked for it."""

    status: str
    code: str
    begun: int


FILLED: Final = End("FILLED", "-", 1)
FENCED: Final = End("DENIED", "FENCED", 0)  # never seen, or seen and not begun: it never will be
ABSENT: Final = End("DENIED", "ABSENT", 0)  # the intent is on file, the broker was not asked
BEGUN_ABSENT: Final = End("DENIED", "ABSENT", 1)
FULL: Final = End("DENIED", "JOURNAL_FULL", 0)  # by the server; the EA swears to the rest

DIE: Final[list[list[Any]]] = [["die"]]
IN_CALL_MS: Final = 1_000


class Place(NamedTuple):
    """Who dies where, or what goes wrong.

    how       a scenario of crash_play.py
    end       what has to come of it
    terminal  a command to the terminal beforehand (terminal/control.hpp)
    during    another while OrderSend runs, which then lasts for `IN_CALL_MS`
    server    where S meets its end (doomed_relay.py)
    """

    how: str
    end: End
    terminal: Command = ()
    during: Command = ()
    server: Plan = {}


class Row(NamedTuple):
    """One row of the recovery table.

    call     the broker call of the order: OrderSend opens a position, OrderClose closes one
    faults   the server stands on a faulty disk
    call_ms  how long the server waits for a broker call (0: a minute, as it is)
    """

    number: int
    what: str
    required: str
    places: tuple[Place, ...]
    times: int = TIMES
    faults: bool = False
    call_ms: int = 0
    call: str = "OrderSend"

    @property
    def long_turns(self) -> bool:
        """Whether a turn waits for more than one bound, as a rule."""
        return self.number in (17, 19, 42)

    @property
    def id(self) -> str:
        """The row's name in a report."""
        op = "" if self.call == "OrderSend" else " (CLOSE)"
        return f"{self.number} {self.what}{op}"


def _die(end: End, function: str, moment: str, k: int = 1) -> Place:
    return Place("E dies", end, terminal=("die", function, moment, k))


def _late(end: End, *command: str | int) -> Place:
    return Place("E dies later", end, during=command)


def _power(end: End, *command: str | int) -> Place:
    return Place("all die", end, terminal=command)


ROWS: Final[tuple[Row, ...]] = (
    Row(16, "S after J2, before the call / before sending to E",
        "UNKNOWN → E says not seen + fence at E, or broker absence → NX",
        (Place("S dies", FENCED, server={"j2 committed": DIE}),
         Place("S dies", FENCED, server={"call": DIE}))),
    Row(17, "fsync error at J1 / J2",
        "JOURNAL_FATAL; J1: no call, NX (a surviving row aborts at restart); "
        "J2: **no call**, UNK, then 15",
        (Place("fsync fails", FENCED, server=failing("j1", Call.SYNC, errno.EIO, 1)),),
        faults=True),
    Row(18, "disk full at J1 / J2",
        "J1: NX JOURNAL + in-memory tombstone; J2: no call; reads and status still served",
        (Place("disk is full", FULL, server=failing("j1", Call.WRITE, errno.ENOSPC, -1)),),
        faults=True),
    Row(19, "hop S→E lost",
        "no EA ack → UNKNOWN → ask E: not seen → fence at E → NX",
        (Place("hop loses", FENCED, server={"lost": [["say"]]}),
         Place("E dies deaf", FENCED, server={"call": [["say"], ["stall", 500]]}))),
    Row(20, "E dies before its intent record",
        "E restart: boot fence, scan by tag absent → NX",
        (_die(FENCED, "FileFlush", "before"),
         Place("E dies", FENCED, terminal=("tear", 0)),
         _die(FENCED, "FileWrite", "before"),
         Place("E dies", FENCED, terminal=("tear", 1)),
         Place("E dies", FENCED, terminal=("tear", 200)))),
    Row(21, "E after intent record, before OrderSend",
        "E scans orders + history by tag; absent → NX",
        (_die(ABSENT, "FileFlush", "inside"),
         _die(ABSENT, "FileFlush", "after"))),
    Row(22, "E/terminal dies inside OrderSend, B executes",
        "tag found → EXEC with true fill",
        (_die(FILLED, "OrderSend", "inside"),
         _die(FILLED, "OrderSend", "after"))),
    Row(23, "as 22, B never got it",
        "absence rule → NX",
        (_die(BEGUN_ABSENT, "OrderSend", "before"),
         Place("E is killed in the call", BEGUN_ABSENT))),
    Row(24, "terminal loses B during OrderSend (128 / 10012 / 10031)",
        "UNKNOWN → evidence → EXEC or NX; never resent",
        (Place("B is lost", FILLED, terminal=("fail", "OrderSend", "128x")),
         Place("B is lost", BEGUN_ABSENT, terminal=("fail", "OrderSend", "128")),
         Place("B is lost", FILLED, terminal=("fail", "OrderSend", "128@500")),
         Place("B is lost", FILLED, terminal=("fail", "OrderSend", "6x")),
         Place("B is lost", FILLED, terminal=("fail", "OrderSend", "1x")))),
    Row(25, "B executes, answer lost; S or E dies before result record",
        "tag found → EXEC",
        (_late(FILLED, "die", "FileWrite", "before", 1),
         Place("S is killed in the call", FILLED),
         _late(FILLED, "die", "FileFlush", "before", 1),
         Place("S dies", FILLED, server={"busy": DIE}),
         _late(FILLED, "tear", 100))),
    Row(26, "E result recorded, dies before replying",
        "S asks on reconnect → stored signed result",
        (_late(FILLED, "die", "zmq_send", "before", 1),
         _die(FILLED, "FileFlush", "inside", 2),
         _late(FILLED, "die", "zmq_send", "before", 3))),
    Row(27, "E reply lost / S dies before reading it",
        "as 26",
        (Place("S is killed unread", FILLED),
         Place("S dies", FILLED, server={"answer": DIE}),
         _late(FILLED, "die", "zmq_send", "after", 3))),
    Row(28, "S read result, dies before J3",
        "as 26, or tag",
        (Place("S dies", FILLED, server={"answered": DIE}),
         Place("S dies", FILLED, server={"j3 begins": DIE}),
         Place("S dies", FILLED, server={"j3 commits": DIE}))),
    Row(37, "S, E and terminal die together (power)",
        "broker scan by tag → EXEC or NX",
        (_power(FILLED, "die", "OrderSend", "inside"),
         _power(BEGUN_ABSENT, "die", "OrderSend", "before"),
         _power(FENCED, "die", "FileFlush", "before"),
         _power(ABSENT, "die", "FileFlush", "inside"),
         _power(FILLED, "die", "FileFlush", "inside", 2))),
    Row(42, "worker hangs inside `order_send`",
        "watchdog ends worker; UNKNOWN; no second worker until reconciled",
        (Place("call hangs", FILLED),
         Place("call hangs", BEGUN_ABSENT, terminal=("fail", "OrderSend", "128"))),
        call_ms=1_000),
)  # fmt: skip

# The last row once more, with the minute that the server really gives a broker call.
HANGS: Final = ROWS[-1]._replace(what=f"{ROWS[-1].what}, for a minute", times=1, call_ms=0)


def _closing(row: Row) -> Row:
    """The row with a CLOSE, which leaves no tag at the broker: its ticket is the evidence."""
    swap = {"OrderSend": "OrderClose"}
    places = [
        place._replace(terminal=tuple(swap.get(str(word), word) for word in place.terminal))
        for place in row.places
        if not place.server
    ]
    return row._replace(places=tuple(places), times=len(places), call="OrderClose")


CLOSES: Final = tuple(_closing(row) for row in ROWS if row.number in (*range(20, 28), 37))
