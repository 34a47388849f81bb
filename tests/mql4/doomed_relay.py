"""A server in front of an EA that meets its end at a named place (tests/support/doom.py).

The places of doomed_server.py about the order and its journal hold here too. The hop's own, all
about an EXEC of the order with the comment `subject`:
call: before anything leaves. lost: the hop loses it, S believes that it left (plan any word).
sent: it has been given to ZeroMQ. busy: BUSY has come. answer: the ANSWER has come and nobody has
looked at it. answered: it has been understood, before J3.

Each EXEC is told as `sent`. A plan may come later: write it to the file `plan`, send SIGUSR1, and
`armed` is the answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from bridge_core.host.clock import Clock
from bridge_core.protocol import limits
from bridge_core.protocol.messages import Open
from bridge_server import lifecycle
from bridge_server.backends.ea import EaBackend
from bridge_server.backends.ea_hop import FromEa
from bridge_server.core.ports import Backend, Outcome, Submission
from bridge_server.core.trading_state import CAUSES, Cause
from bridge_server.settings import ServerSettings
from bridge_server.wiring import Hop, build_backend
from tests.support.doom import SUBJECT
from tests.support.doomed_server import Fate, arm_later, serve
from tests.support.zygote import Channel

__all__ = ["run"]

_LINGER_MS: Final = 50


class _Places:
    """Hooks one EA backend and its link."""

    def __init__(self, backend: EaBackend) -> None:
        self._execute = backend.execute
        self._put = backend.link._put
        self._hear = backend.link._hear
        self._ours = False
        backend.execute = self.execute  # type: ignore[method-assign]
        backend.link._put = self.put  # type: ignore[method-assign]
        backend.link._hear = self.hear  # type: ignore[method-assign]

    def execute(self, submission: Submission) -> Outcome:
        said = submission.body.comment if isinstance(submission.body, Open) else ""
        self._ours = said == SUBJECT
        if self._ours:
            Fate.doom.at("call")
        outcome = self._execute(submission)
        if self._ours:
            Fate.doom.at("answered")
        self._ours = False
        return outcome

    def put(self, route: bytes, parts: list[bytes]) -> bool:
        if not self._ours or not parts[0].startswith(b"EXEC:"):
            return self._put(route, parts)
        lost = "lost" in Fate.doom.places
        taken = lost or self._put(route, parts)
        Fate.doom.channel.say(word="sent", taken=taken)
        Fate.doom.at("lost" if lost else "sent")
        return taken

    def hear(self, route: bytes, message: FromEa) -> None:
        if self._ours and message.verb == "BUSY":
            Fate.doom.at("busy")
        if self._ours and message.verb == "ANSWER" and b'"rid"' in message.body:
            Fate.doom.at("answer")
        self._hear(route, message)


def _backend(settings: ServerSettings, base: Path, clock: Clock, hop: Hop) -> Backend:
    backend = build_backend(settings, base, clock, hop)
    assert isinstance(backend, EaBackend)
    _Places(backend)
    return backend


def run(given: dict[str, Any], channel: Channel) -> int:
    """Serve until the end; `given` is the plan, with `config`, `plan` and perhaps `call_ms`.

    `call_ms` replaces the minute that a broker call may take. Conditions clear at once, as in
    quick_server.py.
    """
    for cause in (Cause.EA_STALE, Cause.BROKER_LINK):
        CAUSES[cause] = CAUSES[cause]._replace(linger_ms=_LINGER_MS)
    if given.get("call_ms"):
        vars(limits)["EA_BUSY_MS_MAX"] = given["call_ms"]
        vars(lifecycle)["CALL_MS_MAX"] = given["call_ms"]
    arm_later(Path(given["plan"]), channel)
    return serve(given, channel, _backend)
