"""Rows of the matrix where the network loses, delays or doubles what is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge_client import Connector
from bridge_core.protocol.signing import Frames
from tests.crash.dying import PATIENCE_S, Scenario, buy, concluded, opened, settled
from tests.crash.stage import Run
from tests.crash.table import End, Point
from tests.crash.verdict import connector_row, judge_run
from tests.support.doom import SUBJECT
from tests.support.running import wait_until
from tests.support.zygote import Child

__all__ = ["NETWORK", "Wire"]


class Wire:
    """Between a connector and its socket: subclasses say what becomes of the subject's messages."""

    def __init__(self, bridge: Connector) -> None:
        self._transport = bridge._link.transport
        self._send, self._serve = self._transport.send, self._transport._serve
        self._transport.send = self.send  # type: ignore[method-assign]
        self._transport._serve = self.serve  # type: ignore[method-assign]
        self.rid = b""
        self.copies: list[Frames] = []
        self.replies: list[Frames] = []

    def send(self, frames: Frames) -> bool:
        """Pass everything but the subject's own copies."""
        if b":OPEN:" not in frames.token or f'"{SUBJECT}"'.encode() not in frames.body:
            self.ask(frames)
            return self._send(frames)
        self.rid = frames.token.split(b":")[5]
        self.copies.append(frames)
        return self.copy(frames)

    def serve(self, got: list[Frames]) -> None:
        """Pass every reply but those to the subject's own copies."""
        for frames in got:
            if self.rid and self.rid in frames.token:
                self.replies.append(frames)
                self.reply(frames)
            else:
                self._serve([frames])

    def copy(self, frames: Frames) -> bool:
        """Carry one copy; True means that it may have left."""
        return self._send(frames)

    def reply(self, frames: Frames) -> None:
        """Carry one reply."""
        self._serve([frames])

    def ask(self, frames: Frames) -> None:
        """Hear that another request is about to be sent."""


class FirstLost(Wire):
    """The first copy is lost."""

    def copy(self, frames: Frames) -> bool:
        return self._send(frames) if len(self.copies) > 1 else True


class AllLost(Wire):
    """Every copy is lost."""

    def copy(self, frames: Frames) -> bool:
        return True


class Late(Wire):
    """The copies arrive after the deadline, right before the first question that follows it."""

    before = True
    held = True

    def copy(self, frames: Frames) -> bool:
        return True

    def ask(self, frames: Frames) -> None:
        late = b":FENCE:" in frames.token
        if self.held and late and self.before and self.copies:
            self.held = False
            self._send(self.copies[0])


class LateFenced(Late):
    """The copies arrive after the fence."""

    def send(self, frames: Frames) -> bool:
        sent = super().send(frames)
        if b":FENCE:" in frames.token and self.held and self.copies:
            self.held = False
            self._send(self.copies[0])
        return sent

    before = False


class Doubled(Wire):
    """Every copy arrives twice."""

    def copy(self, frames: Frames) -> bool:
        return self._send(frames) and self._send(frames)


class ReplyLost(Wire):
    """The first reply is lost."""

    def reply(self, frames: Frames) -> None:
        if len(self.replies) > 1:
            self._serve([frames])


class ReplyLate(Wire):
    """The first reply arrives with the second."""

    def reply(self, frames: Frames) -> None:
        if len(self.replies) > 1:
            self._serve(self.replies)


class ReplyTwice(Wire):
    """Every reply arrives twice."""

    def reply(self, frames: Frames) -> None:
        self._serve([frames, frames])


def _over(kind: type[Wire]) -> Scenario:
    def play(run: Run, point: Point, turn: int) -> End:
        server = run.serve()
        bridge = opened(run)
        wire = kind(bridge)
        buy(bridge, point)
        told = settled(bridge)
        _same_replies(wire)
        return concluded(run, server, told)

    return play


def _same_replies(wire: Wire) -> None:
    # Whatever the number of copies: the stored reply, to the byte, once it is final.
    assert len({one for one in wire.replies if b":PENDING:" not in one.token}) <= 1


def server_is_down(run: Run, point: Point, turn: int) -> End:
    bridge = _bereft(run)
    told = buy(bridge, point, 0.1)
    assert (told.status, told.code, told.by) == ("DENIED", "NO_CONNECTION", "connector")
    bridge.close()
    assert connector_row(run.client_journal()) is None
    return judge_run(run, run.serve())


def _bereft(run: Run) -> Connector:
    server = run.serve()
    bridge = opened(run)
    server.kill()
    transport = bridge._link.transport
    wait_until(lambda: transport.look() > 0 and not transport.connected, PATIENCE_S)
    return bridge


class NextRun(Wire):
    """The first copy reaches the run after the one that it was signed for."""

    def __init__(self, bridge: Connector, restart: Callable[[], Child]) -> None:
        super().__init__(bridge)
        self._restart = restart
        self.server: Child | None = None

    def copy(self, frames: Frames) -> bool:
        """Restart the server, wait for the connection, and only then let the copy go."""
        if self.server is None:
            self.server = self._restart()
            wait_until(lambda: self._send(frames), PATIENCE_S)
            return True
        return self._send(frames)


def message_reaches_the_next_run(run: Run, point: Point, turn: int) -> End:
    server = run.serve()
    bridge = opened(run)

    def restart() -> Child:
        server.kill()
        return run.serve()

    wire = NextRun(bridge, restart)
    buy(bridge, point)
    told = settled(bridge)
    assert wire.server is not None
    assert b":UNKNOWN:STALE_INCARNATION:" in wire.replies[0].token
    return concluded(run, wire.server, told)


NETWORK: Final[dict[str, Scenario]] = {
    "first-lost": _over(FirstLost),
    "all-lost": _over(AllLost),
    "late": _over(Late),
    "late-fenced": _over(LateFenced),
    "doubled": _over(Doubled),
    "reply-lost": _over(ReplyLost),
    "reply-late": _over(ReplyLate),
    "reply-twice": _over(ReplyTwice),
    "down": server_is_down,
    "next-run": message_reaches_the_next_run,
}
