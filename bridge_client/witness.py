"""What this connector remembers of the other side: its clock and its log.

Pure: signed replies go in, an offset and a fork come out.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from operator import itemgetter
from typing import Final, NamedTuple

from bridge_core.protocol import chain
from bridge_core.protocol.chain import ChainFault, Head
from bridge_core.protocol.replies import LogPage

__all__ = ["Fork", "Now", "Offset", "Sample", "ServerClock", "Witness", "chain_page"]

_SAMPLES: Final = 8
_SAMPLE_LIFE_MS: Final = 300_000
_PAIRS: Final = 1024
_UNCERTAINTY: Final = itemgetter(0)


class Now(NamedTuple):
    """One reading of both clocks: UTC ms and monotonic ms."""

    wall_ms: int
    mono_ms: int


class Sample(NamedTuple):
    """Four timestamps of one exchange: ours on the monotonic clock, the server's in UTC ms.

    `received_ms` and `answered_ms` are the server's; they are equal when only one is known.
    """

    sent_mono_ms: int
    received_ms: int
    answered_ms: int
    back_mono_ms: int

    @property
    def uncertainty_ms(self) -> int:
        """Half of what the way there and back took."""
        way = (self.back_mono_ms - self.sent_mono_ms) - (self.answered_ms - self.received_ms)
        return max(0, way + 1) // 2

    @property
    def base_ms(self) -> int:
        """Server time minus monotonic time."""
        return (
            (self.received_ms - self.sent_mono_ms) + (self.answered_ms - self.back_mono_ms)
        ) // 2


class Offset(NamedTuple):
    """How far the server's clock is ahead of ours, ± uncertainty, in ms."""

    offset_ms: int
    uncertainty_ms: int


class ServerClock:
    """The server's time, carried on our monotonic clock.

    A step of this machine's wall clock changes the offset at once, and never the server time that
    settle and reduce operations are signed with.
    """

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self._samples: deque[tuple[int, Sample]] = deque(maxlen=_SAMPLES)

    def add(self, sample: Sample) -> None:
        """Take in one signed exchange; a server whose clock ran backwards counts as one stamp."""
        if sample.answered_ms < sample.received_ms:
            sample = sample._replace(received_ms=sample.answered_ms)
        self._samples.append((sample.uncertainty_ms, sample))

    def restart(self) -> None:
        """Forget: after a reconnect the other side may have set its clock."""
        self._samples.clear()

    def _best(self, now: Now) -> Sample | None:
        since = now.mono_ms - _SAMPLE_LIFE_MS
        samples = tuple(self._samples)  # at once: another thread may add one
        fresh = [pair for pair in samples if pair[1].back_mono_ms > since]
        best = min(fresh or samples, key=_UNCERTAINTY, default=None)
        return None if best is None else best[1]

    def server_ms(self, now: Now) -> int:
        """Return the server's UTC ms, or our own wall time while nothing is measured."""
        best = self._best(now)
        return now.wall_ms if best is None else now.mono_ms + best.base_ms

    def offset(self, now: Now) -> Offset | None:
        """Return the offset of the server's clock to this machine's wall clock."""
        best = self._best(now)
        if best is None:
            return None
        return Offset(now.mono_ms + best.base_ms - now.wall_ms, best.uncertainty_ms)


class Fork(NamedTuple):
    """Two things the server said about its log that cannot both be true."""

    why: str
    seen: Head
    shown: Head


class Witness:
    """Remembers (size, head) pairs of the server's log, the highest above all."""

    def __init__(self, pairs: Iterable[Head] = ()) -> None:
        """Start from the pairs that the journal kept."""
        self._pairs: OrderedDict[int, bytes] = OrderedDict((h.size, h.hash) for h in pairs)
        top = max(self._pairs, default=0)
        self.top = Head(top, self._pairs.get(top, chain.GENESIS))
        self._proven: Head | None = self.top if self._pairs else None

    @property
    def proven(self) -> Head:
        """Return the pair from which the next GET_LOG range must chain."""
        return self.top if self._proven is None else self._proven

    def observe(self, shown: Head, *, fresh_hello: bool = False) -> Fork | None:
        """Take in the pair of a verified reply; return the fork if it is one.

        Replies overtake each other, so only a fresh HELLO may not show less than was seen.
        """
        known = self._pairs.get(shown.size)
        if known is not None and known != shown.hash:
            return Fork("same size, another head", Head(shown.size, known), shown)
        if fresh_hello and shown.size < self.top.size:
            return Fork("shorter than what was seen", self.top, shown)
        if self._proven is None:
            self._proven = shown  # the past before our first look is the audit's business
        if known is None:
            self._pairs[shown.size] = shown.hash
            if len(self._pairs) > _PAIRS:
                self._pairs.popitem(last=False)
        if shown.size > self.top.size:
            self.top = shown
        return None

    def accept(self, pair: Head) -> None:
        """Start anew from a pair that an operator accepted."""
        self._pairs = OrderedDict({pair.size: pair.hash})
        self.top = self._proven = pair

    def check_page(self, page: LogPage) -> Fork | None:
        """Check that a GET_LOG page, asked from `proven.size + 1` on, extends what was seen."""
        start = self.proven
        for row in page.rows:
            following = chain_page(start, row.n, row.record, row.hash)
            if following is None:
                return Fork("the range does not chain", start, Head(row.n, _hash(row.hash) or b""))
            fork = self.observe(following)
            if fork is not None:
                return fork
            start = self._proven = following
        return None


def chain_page(start: Head, n: int, record: str, claimed: str) -> Head | None:
    """Return the head after one record, or None if it does not follow."""
    digest = _hash(claimed)
    if digest is None:
        return None
    end = chain.verify_range(start, [(n, record.encode("utf-8"), digest)])
    return None if isinstance(end, ChainFault) else end


def _hash(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
