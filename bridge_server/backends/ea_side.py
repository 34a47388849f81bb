"""The EA's side door (`core.executor.Attestor`): its word about rows, stops, events, its state.

Called by the loop's thread; answers come in the link's thread and wait in a queue that rings the
loop's bell. Nothing here blocks, and nothing here can make the EA trade.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct, structs

from bridge_core.host.clock import Clock
from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.protocol.events import EventBody
from bridge_core.protocol.operations import Op
from bridge_core.protocol.signing import Frames
from bridge_core.protocol.token import parse_event
from bridge_server.backends.ea_books import scan_of
from bridge_server.backends.ea_hop import Beat, FromEa, Rows, StateWord, make_head, read_body
from bridge_server.backends.ea_link import Call, EaLink, Reply
from bridge_server.backends.ea_session import EaStatus
from bridge_server.core.attested import Lie, NotSeen, Verdict, Word, judge_word
from bridge_server.core.executor import (
    Acknowledged,
    Alarm,
    ExecutorPost,
    ExecutorState,
    Inquiry,
    Relayed,
    Told,
)
from bridge_server.core.ports import Lost

__all__ = ["EaSide", "about"]

_POSTS_MAX: Final = 10_000
_AGAIN_MS: Final = 1_000
# How low the EA's state must be for a stop to count as taken.
_TAKEN: Final = {Op.HALT: ("HALTED",), Op.REDUCE_ONLY: ("REDUCE_ONLY", "HALTED")}


class _Held(Struct):
    frames: Frames
    under_way: bool = False


class EaSide:
    """One EA as the loop sees it. `acct` is the account's alias; `ring` wakes the loop."""

    def __init__(self, link: EaLink, acct: str, clock: Clock, ring: Callable[[], None]) -> None:
        self._link = link
        self._acct = acct
        self._clock = clock
        self._ring = ring
        self._posts: deque[ExecutorPost] = deque(maxlen=_POSTS_MAX)
        self._lock = threading.Lock()
        self._held: dict[Op, _Held] = {}
        self._said: dict[str, int] = {}
        self.event_seq: dict[str, int] = {}
        link.on_adopted = self._on_adopted
        link.on_twice = lambda reason: self.alarm("EA_TWICE", reason)

    # --- what the loop asks ------------------------------------------------------------------

    def about(self) -> ExecutorState:
        """Return how the EA stands."""
        return about(self._link, self._clock.mono_ms())

    def refuses(self, kid: str, *, entry: bool) -> Refusal | None:
        """Return why an order of this kid could not run at the EA now."""
        status = self._link.status
        beat = status.beat
        if beat is None or not status.alive(self._clock.mono_ms()):
            return Refusal(ReasonCode.BROKER_DOWN, limit="EA")
        if status.wrong_account:
            return Refusal(ReasonCode.ACCOUNT_MISMATCH, value=status.wrong_account)
        if not beat.connected:
            return Refusal(ReasonCode.BROKER_DOWN, limit="broker")
        if kid not in beat.kids:
            return Refusal(ReasonCode.EA_KEY, value=kid)
        if entry and abs(status.clock_ms) > limits.CLOCK_SKEW_MS_MAX:
            bound = str(limits.CLOCK_SKEW_MS_MAX)
            return Refusal(ReasonCode.CLOCK_SKEW, limit=bound, value=str(status.clock_ms))
        return None

    def take(self) -> list[ExecutorPost]:
        """Return what was posted, in order."""
        posts: list[ExecutorPost] = []
        while self._posts:
            posts.append(self._posts.popleft())
        return posts

    def alarm(self, code: str, reason: str) -> None:
        """Post an alarm, each second at most."""
        now = self._clock.mono_ms()
        if now - self._said.get(code, -_AGAIN_MS) >= _AGAIN_MS:
            self._said[code] = now
            self._post(Alarm(code, reason))

    def _post(self, post: ExecutorPost) -> None:
        self._posts.append(post)
        self._ring()

    # --- questions about rows ----------------------------------------------------------------

    def ask(self, inquiry: Inquiry) -> None:
        """Ask STATUS (or pass the FENCE on), then what follows from the answer."""
        rid = inquiry.wanted.rid
        if inquiry.fence is not None:
            call = Call(lambda n: make_head("FORWARD", n), inquiry.fence, limits.EA_QUERY_MS_MAX)
            self._link.hand_over(call, "FORWARD", lambda reply: self._told(inquiry, reply))
        else:
            self._link.query("STATUS", rid, then=lambda reply: self._told(inquiry, reply))

    def _told(self, inquiry: Inquiry, reply: Reply) -> None:
        verdict = self._verdict(inquiry, reply)
        wanted, beat = inquiry.wanted, self._link.status.beat
        known = beat is not None and wanted.kid in beat.kids
        if isinstance(verdict, NotSeen) and known and inquiry.bury:
            self._link.query(
                "TOMBSTONE", wanted.rid, wanted.kid, then=lambda late: self._buried(inquiry, late)
            )
        else:
            self._look(inquiry, verdict)

    def _buried(self, inquiry: Inquiry, reply: Reply) -> None:
        self._look(inquiry, self._verdict(inquiry, reply))

    def _look(self, inquiry: Inquiry, verdict: Verdict | None) -> None:
        # It does not know, perhaps for ever (a lost journal): what does the broker show?
        if isinstance(verdict, Lost) and inquiry.magic:
            self._link.query(
                "TAG", inquiry.magic, then=lambda late: self._looked(inquiry, verdict, late)
            )
        else:
            self._post(Told(wanted=inquiry.wanted, verdict=verdict))

    def _looked(self, inquiry: Inquiry, verdict: Verdict, reply: Reply) -> None:
        rows = read_body(Rows, reply.body) if reply.body is not None else None
        scan = scan_of(rows, 0, self._clock.wall_ms()) if rows is not None else None
        self._post(Told(wanted=inquiry.wanted, verdict=verdict, scan=scan))

    def _verdict(self, inquiry: Inquiry, reply: Reply) -> Verdict | None:
        if reply.body is None:
            return None
        word = read_body(Word, reply.body)
        verdict = judge_word(word, inquiry.wanted) if word is not None else Lie("no word")
        if isinstance(verdict, Lie):
            self.lied(inquiry.wanted.rid, verdict)
        return verdict

    def lied(self, rid: str, lie: Lie) -> None:
        """Count a word that cannot be true, and tell."""
        self._link.counters["ea_lies"] += 1
        self.alarm("EA_LIED", f"the EA's word about {rid} does not fit: {lie.why}")

    # --- stops ---------------------------------------------------------------------------------

    def forward(self, op: Op, frames: Frames) -> None:
        """Pass a HEARTBEAT on, once."""
        del op
        call = Call(lambda n: make_head("FORWARD", n), frames, limits.EA_QUERY_MS_MAX)
        self._link.hand_over(call, "FORWARD")

    def hold(self, op: Op, frames: Frames) -> None:
        """Pass a stop on until the EA has acknowledged it."""
        with self._lock:
            self._held[op] = _Held(frames)
        self._repeat()

    def release(self) -> None:
        """Forget every stop that is not acknowledged."""
        with self._lock:
            self._held.clear()

    def _on_adopted(self, status: EaStatus) -> None:
        with self._lock:
            for held in self._held.values():
                held.under_way = False
        self._watch(status)

    def _repeat(self) -> None:
        with self._lock:
            due = [(op, held) for op, held in self._held.items() if not held.under_way]
            for _, held in due:
                held.under_way = True
        for op, held in due:
            call = Call(lambda n: make_head("FORWARD", n), held.frames, limits.EA_QUERY_MS_MAX)
            self._link.hand_over(
                call,
                "FORWARD",
                lambda reply, op=op, held=held: self._stopped(op, held, reply),  # type: ignore[misc]
            )

    def _stopped(self, op: Op, held: _Held, reply: Reply) -> None:
        word = read_body(StateWord, reply.body) if reply.body is not None else None
        taken = word is not None and word.state in _TAKEN[op]
        with self._lock:
            held.under_way = False
            if taken and self._held.get(op) is held:
                del self._held[op]
        if taken:
            self._post(Acknowledged(op))

    # --- what the EA says by itself ------------------------------------------------------------

    def hear(self, message: FromEa, status: EaStatus) -> None:
        """Take a BEAT or an EVENT; in the link's thread."""
        if message.verb == "EVENT" and message.frames is not None:
            self._relay(message.frames, status)
            return
        self._watch(status)

    def _watch(self, status: EaStatus) -> None:
        if status.wrong_account:
            self.alarm("IDENTITY", f"the terminal shows {status.wrong_account}")
        self._repeat()

    def _relay(self, frames: Frames, status: EaStatus) -> None:
        token = parse_event(frames.token)
        stream = f"ea-{status.instance}"
        if token is None or (token.acct, token.stream) != (self._acct, stream):
            self._link.counters["ea_malformed"] += 1
            return
        self.event_seq[stream] = max(token.seq, self.event_seq.get(stream, 0))
        hint = read_body(EventBody, frames.body)
        self._post(Relayed(frames=frames, stream=stream, seq=token.seq, hint=hint))


def about(link: EaLink, mono_ms: int) -> ExecutorState:
    """Return how the EA behind a link stands at a monotonic time (ms)."""
    status = link.status
    beat, alive = status.beat, status.alive(mono_ms)
    shown = ExecutorState(
        alive=alive, instance=status.instance, since_ms=status.since_ms, ms=link.took_ms,
        wrong_account=status.wrong_account, clock_ms=status.clock_ms,
        counters=(*sorted(link.counters.items()), ("ea_refused_keys", link.refused_keys)),
    )  # fmt: skip
    if beat is None:
        return shown
    note = (
        f"EA {beat.version} build {beat.build} instance {status.instance} {beat.state}, "
        f"caps {beat.max_lots} lots, {beat.max_positions} positions, "
        f"symbols {','.join(beat.symbols)}"
    )
    return structs.replace(
        shown,
        linked=alive and beat.connected,
        why=_why(link, mono_ms),
        kids=frozenset(beat.kids),
        state=beat.state,
        cause=beat.cause,
        caps=_told(beat, status),
        note=note[:400],
    )


def _told(beat: Beat, status: EaStatus) -> tuple[tuple[str, str], ...]:
    """Return what GET_LIMITS passes on of the EA's last word about itself; the doctor judges it."""
    return (
        ("ea_max_lots", beat.max_lots),
        ("ea_max_positions", str(beat.max_positions)),
        ("ea_symbols", ",".join(beat.symbols)),
        ("ea_state", f"{beat.state} {beat.cause}".strip()),
        ("ea_dead_man", beat.dead_man),
        ("ea_build", str(beat.build)),
        ("ea_version", beat.version),
        ("ea_dll", beat.dll),
        ("ea_login", str(beat.account)),
        ("ea_server", beat.server),
        ("ea_kind", beat.kind),
        ("ea_connected", str(beat.connected).lower()),
        ("ea_trade_allowed", str(beat.trade_allowed).lower()),
        ("ea_clock_ms", str(status.clock_ms)),
        ("ea_journal", beat.journal),
        ("ea_kids", ",".join(beat.kids)),
        ("ea_note", beat.note),
    )


def _why(link: EaLink, mono_ms: int) -> str:
    status, beat = link.status, link.status.beat
    if beat is None:
        return "no EA has connected yet"
    if status.gone:
        return "the EA said goodbye: its chart, its inputs or the terminal were closed"
    if not status.alive(mono_ms):
        return f"the EA has been silent for {(mono_ms - status.heard_mono) / 1000:.0f} s"
    found = (
        (status.wrong_account, f"the terminal shows {status.wrong_account}"),
        (not beat.connected, "the terminal is not connected to the broker"),
        (not beat.trade_allowed, "the terminal does not allow the EA to trade"),
        (beat.journal != "OK", f"the EA's journal is {beat.journal}"),
        (beat.state != "ACTIVE", f"the EA is {beat.state}: {beat.cause}"),
        (abs(status.clock_ms) > limits.CLOCK_SKEW_MS_MAX, f"its clock is {status.clock_ms} ms off"),
        (beat.note, beat.note),
    )
    return next((words for holds, words in found if holds), "")
