"""Makes replies: binds each to its request and to the head of the record (protocol.md 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from bridge_core.protocol.chain import Head
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.keys import KeySet
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.replies import OrderView, RefusalReply, StatusReply, encode_reply
from bridge_core.protocol.signing import Frames, sign_reply
from bridge_core.protocol.token import NO_MAC, ReplyToken

__all__ = ["Replier", "Subject"]


class Subject(Struct, frozen=True):
    """The request a reply answers."""

    kid: str
    rid: str
    req_hash: str


class Replier:
    """Signs with the reply key of the kid that asked; time is UTC ms."""

    def __init__(
        self,
        acct: str,
        sets: Mapping[str, KeySet],
        incarnation: str,
        head: Callable[[], Head],
    ) -> None:
        self._acct = acct
        self._sets = sets
        self.incarnation = incarnation
        self._head = head

    def reply(
        self,
        subject: Subject,
        status: Status,
        code: ReasonCode | str,
        body: Struct,
        now_ms: int,
    ) -> Frames | None:
        """Return the signed reply, or None when the kid is no longer held."""
        key_set = self._sets.get(subject.kid)
        if key_set is None:
            return None
        size, head = self._head()
        told = body.order if isinstance(body, StatusReply) else body
        mac_ea = told.ea_mac if isinstance(told, OrderView) else NO_MAC
        token = ReplyToken(
            kid=subject.kid,
            acct=self._acct,
            rid=subject.rid,
            time=now_ms,
            status=status.value,
            code=str(code),
            req_hash=subject.req_hash,
            inc=self.incarnation,
            log_size=size,
            log_head=head.hex(),
            mac_ea=mac_ea,
        )
        return sign_reply(token, encode_reply(body), key_set.keys[Purpose.REPLY_SRV])

    def refusal(
        self, subject: Subject, status: Status, refusal: Refusal, now_ms: int
    ) -> Frames | None:
        """Return a signed refusal of something that is no order."""
        body = RefusalReply(
            by="server",
            code=refusal.code,
            limit=refusal.limit,
            value=refusal.value,
            headroom=refusal.headroom,
            nearest=list(refusal.nearest),
            time=now_ms,
        )
        return self.reply(subject, status, refusal.code, body, now_ms)
