"""Signs and publishes events: one sequence per stream, a heartbeat that carries them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from bridge_core.protocol import limits
from bridge_core.protocol.events import EventBody, event_topic, tick_stream, tick_topic
from bridge_core.protocol.replies import encode_reply
from bridge_core.protocol.signing import Frames, sign_event
from bridge_core.protocol.token import EventToken
from bridge_core.protocol.views import StreamPoint

__all__ = ["Publisher"]

# More would pass the bound of an event; the first is the server's own stream. A stream that is
# left out still shows its gaps by its own numbers.
_HEARTBEAT_STREAMS: Final = 150


class Publisher:
    """Numbers events from 1 within each stream of this incarnation."""

    def __init__(
        self,
        acct: str,
        incarnation: str,
        event_key: tuple[str, bytes],
        publish: Callable[[bytes, Frames], None],
    ) -> None:
        self._acct = acct
        self._incarnation = incarnation
        self._kid, self._key = event_key
        self._publish = publish
        self._stream = f"srv-{incarnation}"
        self._last: dict[str, int] = {self._stream: 0}
        self.too_large = 0

    def points(self) -> list[StreamPoint]:
        """Return the last number given in every stream."""
        return [StreamPoint(stream=name, seq=seq) for name, seq in self._last.items()]

    def publish(self, event: EventBody, now_ms: int) -> None:
        """Publish one event under the next number of its stream."""
        if event.type == "tick":
            stream = tick_stream(self._incarnation, event.symbol)
            topic = tick_topic(self._acct, event.symbol)
        else:
            stream, topic = self._stream, event_topic(self._acct)
        seq = self._last[stream] = self._last.get(stream, 0) + 1
        self._send(topic, stream, seq, msgspec.structs.replace(event, server_time=now_ms))

    def relay(self, stream: str, seq: int, event: Frames) -> None:
        """Pass on an executor's own signed event, unopened; its stream is listed from now on.

        A new stream takes the place of the executor's earlier ones: they have ended.
        """
        if stream not in self._last:
            own = stream.partition("-")[0] + "-"
            for name in [one for one in self._last if one.startswith(own)]:
                del self._last[name]
        self._last[stream] = max(seq, self._last.get(stream, 0))
        self._publish(event_topic(self._acct), event)

    def heartbeat(self, state: str, now_ms: int) -> None:
        """Publish the heartbeat; it takes no number (protocol.md 10)."""
        points = self.points()[:_HEARTBEAT_STREAMS]
        event = EventBody(type="heartbeat", state=state, streams=points, server_time=now_ms)
        self._send(event_topic(self._acct), self._stream, self._last[self._stream], event)

    def _send(self, topic: bytes, stream: str, seq: int, event: EventBody) -> None:
        body = encode_reply(event)
        if len(body) > limits.EVENT_BODY_BYTES_MAX:  # the gap shows: the client asks SYNC_ALL
            self.too_large += 1
            return
        token = EventToken(
            kid=self._kid, acct=self._acct, stream=stream, seq=seq, time=event.server_time
        )
        self._publish(topic, sign_event(token, body, self._key))
