"""The crash matrix as data: every point of the table of crash points that the paper path has.

C = connector, S = server, B = broker. A number that stands twice has two causes; `joined` means
that J1 and J2 are one commit because nothing queues, `split` that the order has to wait. Where a
row has several places, runs take turns.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tests.crash.stage import Plan
from tests.support.faulty_disk import Action, Call

__all__ = [
    "ABSENT", "DISKS", "FOUND", "POINTS", "RECOVERIES", "End", "Point",
]  # fmt: skip


class End(NamedTuple):
    """An outcome, how it is known, and how many submissions the broker has begun for it."""

    status: str
    code: str
    evidence: str
    begun: int

    def __str__(self) -> str:
        code = "" if self.code == "-" else f" {self.code}"
        return f"{self.status}{code} by {self.evidence or 'C'}"


FILLED: Final = End("FILLED", "-", "BROKER", 1)
FOUND: Final = End("FILLED", "-", "TAG", 1)
ABORTED: Final = End("DENIED", "ABORTED_RESTART", "SERVER", 0)
ABSENT: Final = End("DENIED", "ABSENT", "ABSENT", 0)
BEGUN_ABSENT: Final = End("DENIED", "ABSENT", "ABSENT", 1)
FENCED: Final = End("DENIED", "FENCED", "SERVER", 0)
NEVER_SEEN: Final = End("DENIED", "FENCED", "ABSENT", 0)  # fenced, and B's records were read
EXPIRED: Final = End("DENIED", "EXPIRED", "SERVER", 0)
HALTED: Final = End("DENIED", "HALTED", "SERVER", 0)
FULL: Final = End("DENIED", "JOURNAL_FULL", "SERVER", 0)
FLAT: Final = End("DONE", "-", "BROKER", 2)

DIE: Final[list[list[Any]]] = [["die"]]
SOON: Final[list[list[Any]]] = [["stall", 100], ["die"]]  # what was sent is on its way by then


def during(commit: str, file: str) -> tuple[Plan, ...]:
    """Return deaths within one commit: at each of its calls, before, half way and after.

    It is not the first of its WAL file, whose header would be synced before.
    """
    write, sync = int(Call.WRITE), int(Call.SYNC)
    hits = [
        (write, Action.KILL_BEFORE, 0), (write, Action.KILL_TORN, 0), (write, Action.KILL_TORN, 1),
        (write, Action.KILL_AFTER, 2), (sync, Action.KILL_BEFORE, 0),
        (sync, Action.KILL_AFTER, 0),
    ]  # fmt: skip
    rules = [[calls, int(action), f"{file}-wal", 0, skip, 1] for calls, action, skip in hits]
    return tuple({f"{commit} commits": [["rules", [rule]]]} for rule in rules)


def _durable(before: End, after: End, *, first: int = 1) -> tuple[End, ...]:
    # Of `first` places before the COMMIT and `during` one: durable once its last write is done.
    return (before,) * (first + 4) + (after,) * 2


def failing(commit: str, call: Call, error: int, times: int) -> Plan:
    """Return a disk that fails from one commit on, so many times (-1: until it is healed)."""
    rule = [int(call), int(Action.FAIL), "journal.db", error, 0, times]
    return {f"{commit} commits": [["rules", [rule]]]}


def _any_call(place: str, file: str, how: Sequence[tuple[Call, Action]], error: int,
              count: int) -> tuple[Plan, ...]:  # fmt: skip
    """Return plans that let the 0th to the last call after a place fail, `how` taking turns.

    `count` is more than an order has: the last ones hit nothing, or what comes after it.
    """
    ways = [how[n % len(how)] for n in range(count)]
    return tuple({place: [["rules", [[int(call), int(action), file, error, n, 1]]]]}
                 for n, (call, action) in enumerate(ways))  # fmt: skip


class Point(NamedTuple):
    """One row: what happens, where exactly, and how it may end.

    `how` names a scenario; `server` and `client` are where S and C die, a place for each turn;
    `again` is where S dies in its recovery. `each` ties an outcome to each place; without it any
    of `ends` may follow.
    """

    number: int
    what: str
    how: str
    form: str = "joined"
    server: tuple[Plan, ...] = ()
    client: tuple[Plan, ...] = ()
    again: tuple[Plan, ...] = ()
    ends: tuple[End, ...] = (FILLED,)
    each: tuple[End, ...] = ()
    ttl_ms: int = 5_000

    @property
    def id(self) -> str:
        """The row's name in a report."""
        return f"{self.number} {self.what}" + (" (split)" if self.form == "split" else "")

    @property
    def turns(self) -> int:
        """How many places take turns."""
        return max(1, len(self.server), len(self.client), len(self.again))

    def allowed(self, turn: int) -> tuple[End, ...]:
        """The outcomes that a run may have."""
        return (self.each[turn % len(self.each)],) if self.each else self.ends

    @property
    def needs_faults(self) -> bool:
        """Whether the faulty disk has to be there."""
        plans = (*self.server, *self.client, *self.again)
        words = [word[0] for plan in plans for at in plan.values() for word in at]
        return "rules" in words or "mute" in words


def _both(number: int, what: str, places: tuple[Plan, ...], *ends: End) -> tuple[Point, ...]:
    return tuple(Point(number, what, "dies", form, places, ends=ends)
                 for form in ("joined", "split"))  # fmt: skip


# C dies here while S dies there; the last two: S has answered.
_PAIRS: Final[tuple[tuple[Plan, Plan, End], ...]] = (
    ({"intent committed": DIE}, {}, NEVER_SEEN),
    ({"sent": SOON}, {"j1 begins": DIE}, NEVER_SEEN),
    ({"sent": SOON}, {"j1 committed": DIE}, ABSENT),
    ({"sent": SOON}, {"call": DIE}, ABSENT),
    ({"sent": SOON}, {"act": DIE}, BEGUN_ABSENT),
    ({"sent": SOON}, {"did": DIE}, FOUND),
    ({"sent": SOON}, {"answered": DIE}, FOUND),
    ({"sent": SOON}, {"j3 committed": DIE}, FILLED),
    ({"arrived": DIE}, {"replied": DIE}, FILLED),
    ({"read": DIE}, {"replied": DIE}, FILLED),
)

POINTS: Final[tuple[Point, ...]] = (
    # --- C dies ------------------------------------------------------------------------------
    Point(1, "C before its intent is written: there never was an order", "client-free",
          client=({"intent begins": DIE},)),
    Point(2, "C during the commit of its intent", "client", ttl_ms=300,
          client=({"intent commits": DIE}, *during("intent", "atlas.db")),
          each=_durable(FILLED, FENCED)),
    Point(3, "C after its intent, before it sends", "client", ttl_ms=300,
          client=({"intent committed": DIE},), ends=(FENCED,)),
    Point(4, "C while it sends: a part of the message is with ZeroMQ", "client", ttl_ms=300,
          client=({"sending": DIE},), ends=(FENCED,)),
    Point(4, "C right after it sent: the message may have left", "client", ttl_ms=2_000,
          client=({"sent": DIE},), ends=(FENCED, FILLED)),
    Point(5, "C with the message in its queue only", "client", ttl_ms=300,
          client=({"intent committed": [["mute"]], "sent": SOON},), ends=(FENCED,)),
    # --- the network ---------------------------------------------------------------------------
    Point(6, "the network loses the first copy", "first-lost", ttl_ms=5_000),
    Point(6, "the network loses every copy", "all-lost", ttl_ms=300, ends=(FENCED,)),
    Point(7, "a copy arrives after the deadline, before the fence", "late", ttl_ms=1_000,
          ends=(EXPIRED,)),
    Point(7, "a copy arrives after the deadline and after the fence", "late-fenced", ttl_ms=1_000,
          ends=(FENCED,)),
    Point(8, "the network doubles the request", "doubled"),
    Point(9, "S is down: nothing is signed, the id stays free", "down"),
    Point(9, "S is down: the message reaches the next run", "next-run", ttl_ms=2_000,
          ends=(NEVER_SEEN,)),
    # --- S dies --------------------------------------------------------------------------------
    Point(10, "S with the message in its inbound queue", "inbound", ttl_ms=2_000,
          ends=(NEVER_SEEN,)),
    *(point._replace(ttl_ms=2_000) for point in (
        *_both(11, "S after the MAC holds, before J1", ({"j1 begins": DIE},), NEVER_SEEN),
        Point(12, "S during J1, which is J2 as well", "dies", "joined",
              ({"j1 commits": DIE}, *during("j1", "journal.db")),
              each=_durable(NEVER_SEEN, ABSENT)),
        Point(12, "S during J1", "dies", "split",
              ({"j1 commits": DIE}, *during("j1", "journal.db")),
              each=_durable(NEVER_SEEN, ABORTED)),
    )),
    Point(13, "S after J1, before J2", "dies", "split", ({"j1 committed": DIE},), ends=(ABORTED,)),
    Point(14, "S stalls after the joint J1 and J2 beyond the deadline", "stalls", ttl_ms=1_500,
          server=({"j2 committed": [["stall", 1_700]]},), ends=(EXPIRED,)),
    Point(14, "S stalls between J1 and J2 beyond the deadline", "stalls", "split", ttl_ms=1_500,
          server=({},), ends=(EXPIRED,)),
    Point(15, "S during J2", "dies", "split", ({"j2 commits": DIE}, *during("j2", "journal.db")),
          each=_durable(ABORTED, ABSENT)),
    *_both(16, "S after J2, before the call", ({"j2 committed": DIE}, {"call": DIE}), ABSENT),
    Point(17, "fsync fails at the joint J1 and J2", "fsync", ttl_ms=3_000,
          ends=(ABSENT, NEVER_SEEN), server=(failing("j1", Call.SYNC, errno.EIO, 1),)),
    Point(17, "fsync fails at J1", "fsync", "split", ttl_ms=3_000, ends=(ABORTED, NEVER_SEEN),
          server=(failing("j1", Call.SYNC, errno.EIO, 1),)),
    Point(17, "fsync fails at J2", "fsync", "split", ttl_ms=3_000, ends=(ABORTED, ABSENT),
          server=(failing("j2", Call.SYNC, errno.EIO, 1),)),
    # A refusal that the disk has no room for is forgotten once no copy can be fresh any more.
    Point(18, "the disk is full at the joint J1 and J2", "full", ttl_ms=10_000, ends=(FULL,),
          server=(failing("j1", Call.WRITE, errno.ENOSPC, -1),)),
    Point(18, "the disk is full at J1", "full", "split", ttl_ms=10_000, ends=(FULL,),
          server=(failing("j1", Call.WRITE, errno.ENOSPC, -1),)),
    Point(18, "the disk is full at J2", "full", "split", ttl_ms=10_000, ends=(FULL,),
          server=(failing("j2", Call.WRITE, errno.ENOSPC, -1),)),
    *_both(23, "S during the call, B never gets it", ({"act": DIE},), BEGUN_ABSENT),
    *_both(25, "S during the call, B has done it", ({"did": DIE},), FOUND),
    *_both(28, "S has the answer, before J3", ({"answered": DIE}, {"j3 begins": DIE}), FOUND),
    *(point._replace(each=_durable(FOUND, FILLED)) for point in
      _both(29, "S during J3", ({"j3 commits": DIE}, *during("j3", "journal.db")))),
    *_both(30, "S after J3, before its reply", ({"j3 committed": DIE},), FILLED),
    *_both(31, "S with the reply in its outbound queue",
           ({"j3 committed": [["mute"]], "replied": DIE}, {"replied": DIE}), FILLED),
    # --- the way back --------------------------------------------------------------------------
    Point(32, "the reply is lost", "reply-lost"),
    Point(32, "the reply is late", "reply-late"),
    Point(32, "the reply comes twice", "reply-twice"),
    Point(33, "C with the reply in its queue", "client", client=({"arrived": DIE},)),
    Point(34, "C has read the reply, before and during its commit", "client",
          client=({"read": DIE}, {"outcome begins": DIE}, {"outcome commits": DIE},
                  *during("outcome", "atlas.db"))),
    Point(35, "C has committed, its caller has been told nothing", "client",
          client=({"returned": [["stall", 5_000]], "outcome committed": DIE},)),
    Point(36, "C and S both", "pair", ttl_ms=3_000,
          client=tuple(pair[0] for pair in _PAIRS), server=tuple(pair[1] for pair in _PAIRS),
          each=tuple(pair[2] for pair in _PAIRS)),
    # --- disks -----------------------------------------------------------------------------------
    Point(38, "S's disk is destroyed after J2: B never got it", "disk-gone", ttl_ms=2_000,
          server=({"call": DIE},), ends=(NEVER_SEEN,)),
    Point(38, "S's disk is destroyed after J2: B did it", "disk-gone", ttl_ms=2_000,
          server=({"did": DIE},), ends=(FOUND,)),
    Point(39, "S is restored from an older snapshot", "snapshot"),
    Point(40, "S's tail is cut off, C had witnessed it", "tail-seen"),
    Point(40, "S's tail is cut off after J2, nobody had seen it", "tail",
          server=({"j3 committed": DIE},), ends=(FOUND,)),
    Point(40, "S's tail is cut off before J1, nobody had seen it", "tail-all", ttl_ms=2_000,
          server=({"j3 committed": DIE},), ends=(FOUND,)),
    Point(41, "C's disk is destroyed, the order was known", "client-disk"),
    Point(41, "C's disk is destroyed with the order in flight", "client-disk-flying",
          server=({"call": DIE}, {"did": DIE}), each=(ABSENT, FOUND)),
    # --- people ----------------------------------------------------------------------------------
    Point(43, "the kill switch between J1 and J2", "halt", "split", ends=(HALTED,)),
    Point(44, "the kill switch after J2", "halt"),
    Point(44, "the kill switch after J2, then S dies", "halt-dies",
          server=({"act": DIE}, {"did": DIE}), each=(BEGUN_ABSENT, FOUND)),
    Point(45, "the key is revoked while an accepted order flies", "revoked",
          server=({"call": DIE}, {"did": DIE}), each=(ABSENT, FOUND)),
    Point(45, "the key is revoked before the order arrives", "revoked-before", ends=(NEVER_SEEN,)),
)  # fmt: skip


def _steps(stage: str) -> tuple[Plan, ...]:
    around: tuple[Plan, ...] = ({f"{stage} begins": DIE}, {f"{stage} commits": DIE},
                                {f"{stage} committed": DIE})  # fmt: skip
    return around + during(stage, "journal.db")


_STARTS: Final[tuple[Plan, ...]] = (
    {"opened": DIE}, *_steps("start"), {"listening": DIE}, {"ready": DIE},
)  # fmt: skip

# S dies once more while it recovers: the outcome is the one that it would have been.
RECOVERIES: Final[tuple[Point, ...]] = (
    Point(194, "again at each step of a start", "recovery", server=({"did": DIE},),
          again=_STARTS, ends=(FOUND,)),
    Point(194, "again while what flew becomes UNKNOWN", "recovery", server=({"did": DIE},),
          again=_steps("unknown"), ends=(FOUND,)),
    Point(194, "again while B's records are read", "recovery", server=({"did": DIE},),
          again=({"scan": DIE},), ends=(FOUND,)),
    Point(194, "again while what was found is written", "recovery", server=({"did": DIE},),
          again=_steps("j3"), ends=(FOUND,)),
    Point(194, "again while an absence is written", "recovery", server=({"call": DIE},),
          again=_steps("j3"), ends=(ABSENT,)),
    Point(194, "again while what was queued is aborted", "recovery", "split",
          ({"j1 committed": DIE},), again=_steps("j3"), ends=(ABORTED,)),
    Point(194, "again while a fence is planted", "recovery", server=({"j1 begins": DIE},),
          again=_steps("fence"), ends=(NEVER_SEEN,), ttl_ms=2_000),
    Point(194, "a FLATTEN at its intent, then anywhere", "flatten",
          server=_steps("parent"), again=({"scan": DIE}, {"child committed": DIE}),
          each=(NEVER_SEEN, NEVER_SEEN, FLAT, *_durable(NEVER_SEEN, FLAT, first=0)), ttl_ms=3_000),
    Point(194, "a FLATTEN at a child, then at the next", "flatten",
          server=_steps("child"), again=({"child begins": DIE}, {"child committed": DIE}),
          ends=(FLAT,)),
    Point(194, "a FLATTEN at its end, then in recovery", "flatten",
          server=_steps("done"), again=({"done begins": DIE}, {"scan": DIE}),
          ends=(FLAT,)),
)  # fmt: skip

_WRITE_FAILS: Final = ((Call.WRITE, Action.FAIL), (Call.WRITE, Action.FAIL_TORN))
_SYNC_FAILS: Final = ((Call.SYNC, Action.FAIL),)
_ANY_KILLS: Final = ((Call.WRITE | Call.SYNC | Call.TRUNCATE, Action.KILL_BEFORE),)
_UNWRITTEN: Final = (End("DENIED", "JOURNAL_FATAL", "", 0), End("DENIED", "JOURNAL_FULL", "", 0))
_BEGUN_FOUND: Final = (BEGUN_ABSENT, FOUND, FILLED)

# A disk that fails at one call after another, and power cuts: what no sync has covered is lost.
DISKS: Final[tuple[Point, ...]] = (
    Point(17, "EIO at any write of S's journal", "eio", ttl_ms=3_000,
          server=_any_call("j1 begins", "journal.db", _WRITE_FAILS, errno.EIO, 26),
          ends=(NEVER_SEEN, ABSENT, FOUND, FILLED)),
    Point(17, "EIO at any fsync of S's journal", "eio", ttl_ms=3_000,
          server=_any_call("j1 begins", "journal.db", _SYNC_FAILS, errno.EIO, 3),
          ends=(NEVER_SEEN, ABSENT, FOUND, FILLED)),
    Point(18, "S's disk fills at any write", "fills",
          server=tuple({"j1 begins": [["rules", [[int(Call.WRITE), int(Action.FAIL), "journal.db",
                                                  errno.ENOSPC, n, -1]]]]} for n in range(26)),
          ends=(FULL, FILLED)),
    Point(24, "EIO at any write of B's file", "broker-eio",
          server=_any_call("call", "paper.db", _WRITE_FAILS, errno.EIO, 20), ends=_BEGUN_FOUND),
    Point(24, "EIO at any fsync of B's file", "broker-eio",
          server=_any_call("call", "paper.db", _SYNC_FAILS, errno.EIO, 2), ends=_BEGUN_FOUND),
    Point(2, "EIO at any write of C's journal", "client-eio", ttl_ms=2_000,
          client=_any_call("intent begins", "atlas.db", _WRITE_FAILS, errno.EIO, 30),
          ends=(*_UNWRITTEN, FENCED, FILLED)),
    Point(2, "EIO at any fsync of C's journal", "client-eio", ttl_ms=2_000,
          client=_any_call("intent begins", "atlas.db", _SYNC_FAILS, errno.EIO, 4),
          ends=(*_UNWRITTEN, FENCED, FILLED)),
    Point(2, "C's disk is full at any write", "client-eio", ttl_ms=2_000,
          client=_any_call("intent begins", "atlas.db", _WRITE_FAILS[:1], errno.ENOSPC, 30),
          ends=(*_UNWRITTEN, FENCED, FILLED)),
    *(Point(37, f"S and B lose power at any call: {what}", how, ttl_ms=3_000,
            server=_any_call("j1 begins", "", _ANY_KILLS, 0, 48),
            ends=(NEVER_SEEN, ABSENT, BEGUN_ABSENT, FOUND, FILLED))
      for what, how in (("all is lost", "power"), ("some is lost", "power-some"))),
    *(Point(2, f"C loses power at any call: {what}", f"client-{how}", ttl_ms=3_000,
            client=_any_call("intent begins", "atlas.db", _ANY_KILLS, 0, 32),
            ends=(FENCED, FILLED))
      for what, how in (("all is lost", "power"), ("some is lost", "power-some"))),
    Point(5, "C loses power after it sent: the row is on its disk", "client-power-sent",
          client=({"sent": SOON},)),
)  # fmt: skip
