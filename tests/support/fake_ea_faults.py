"""What a fake EA does wrong, and when: delays, drops, copies, deaths and lies.

    faults.delay_s["ANSWER"] = 0.4            every ANSWER leaves so much later (until removed)
    faults.drop("ANSWER")                     the next one is lost
    faults.copy("ANSWER")                     the next one is sent twice
    faults.die("after_intent")                dies there, once: one of POINTS
    faults.lies.append(no_record)             each answer about an order passes through every lie

Kinds of messages are the hop heads: HELLO BEAT BYE BUSY ANSWER EVENT TICK. A lie takes an answer's
Word and the liar's tools and returns the Word to send; the EA's own journal keeps the truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from bridge_core.protocol.signing import ea_record_mac
from bridge_core.protocol.token import parse_ea_record

__all__ = [
    "POINTS", "Died", "Faults", "Lie", "Tools", "Word", "altered_record", "another_status",
    "forged_record", "no_record", "record_of", "resigned",
]  # fmt: skip

POINTS: Final = (
    "before_intent", "after_intent", "call_before", "call_after", "after_call", "after_result",
    "before_reply", "after_reply",
)  # fmt: skip
"""Where an EA can die: call_before: the broker never gets it; call_after: it ran, no return."""

Word = dict[str, Any]


class Died(BaseException):
    """The EA's process is gone at a named point."""


class Tools(NamedTuple):
    """What a liar may use: a function that signs any record with the kid's true `reply<ea`."""

    sign: Callable[[bytes], str]


Lie = Callable[[Word, Tools], Word]


class Faults:
    """Thread-safe enough: a test adds, the EA's thread takes away."""

    def __init__(self) -> None:
        self.delay_s: dict[str, float] = {}
        self.lies: list[Lie] = []
        self._drops: Counter[str] = Counter()
        self._copies: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()

    def drop(self, kind: str, times: int = 1) -> None:
        """Lose the next messages of a kind."""
        self._drops[kind] += times

    def copy(self, kind: str, times: int = 1) -> None:
        """Send the next messages of a kind twice."""
        self._copies[kind] += times

    def die(self, point: str) -> None:
        """Die when this point is next reached."""
        assert point in POINTS, point
        self._deaths[point] += 1

    def calm(self) -> None:
        """Forget everything that was ordered and has not happened yet."""
        self.delay_s.clear()
        self.lies.clear()
        for counter in (self._drops, self._copies, self._deaths):
            counter.clear()

    # --- the EA's side ------------------------------------------------------------------------

    def copies_of(self, kind: str) -> int:
        """Return how often a message is to be sent: 0, 1 or 2."""
        if self._drops[kind]:
            self._drops[kind] -= 1
            return 0
        if self._copies[kind]:
            self._copies[kind] -= 1
            return 2
        return 1

    def wants_death(self, point: str) -> bool:
        """Return whether the EA is to die here, and forget that it was."""
        if not self._deaths[point]:
            return False
        self._deaths[point] -= 1
        return True

    def reach(self, point: str) -> None:
        """Pass a named point.

        Raises:
            Died: here.
        """
        if self.wants_death(point):
            raise Died(point)

    def told(self, word: Word, tools: Tools) -> Word:
        """Return what is said instead of a word."""
        for lie in self.lies:
            word = lie(dict(word), tools)
        return word


# --- lies ----------------------------------------------------------------------------------------


def no_record(word: Word, _tools: Tools) -> Word:
    """Say the same without the EA's signature."""
    return word | {"record": "", "mac": "-"}


def another_status(status: str) -> Lie:
    """Return a lie: another status beside the true record (a relay that contradicts the EA)."""
    return lambda word, _tools: word | {"status": status}


def altered_record(**fields: Any) -> Lie:
    """Return a lie: these fields of the record changed, under the old MAC."""
    return lambda word, _tools: word | {"record": _changed(word["record"], fields)}


def resigned(**fields: Any) -> Lie:
    """Return a lie: these fields of the record changed and signed with the true key."""

    def lie(word: Word, tools: Tools) -> Word:
        record = _changed(word["record"], fields)
        return word | {"record": record, "mac": tools.sign(record.encode("ascii"))}

    return lie


def forged_record(key: bytes = bytes(range(32))) -> Lie:
    """Return a lie: the record under a MAC made with another key."""
    return lambda word, _tools: (
        word | {"mac": ea_record_mac(key, word["record"].encode("ascii"))}
        if word["record"]
        else word
    )


def record_of(other: Word) -> Lie:
    """Return a lie: the true record of another order."""
    return lambda word, _tools: word | {"record": other["record"], "mac": other["mac"]}


def _changed(record: str, fields: dict[str, Any]) -> str:
    parts = parse_ea_record(record.encode("ascii"))
    return record if parts is None else parts._replace(**fields).text().decode("ascii")
