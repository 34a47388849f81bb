"""Replies: signed with the reply key of the kid that asked, bound to request and record."""

from __future__ import annotations

import msgspec
import pytest

from bridge_core.protocol.chain import Head
from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.operations import Op, Purpose, Scope
from bridge_core.protocol.replies import OrderView, RefusalReply, StateReply, decode_reply
from bridge_core.protocol.signing import Frames, VerifiedBody, reply_mac_holds, request_hash
from bridge_core.protocol.token import ReplyToken, parse_reply
from bridge_server.replier import Replier, Subject
from tests.support.builders import ACCT, INC, KID, NOW, RID, key_set, open_order, sign

_SETS = {KID: key_set(), "watch": key_set(Scope.QUERY, kid="watch", root=2)}
_HEAD = Head(7, b"\xab" * 32)
_REQUEST = sign(Op.OPEN, open_order(), _SETS[KID])
_SUBJECT = Subject(KID, RID, request_hash(_REQUEST))


def _replier() -> Replier:
    return Replier(ACCT, _SETS, INC, lambda: _HEAD)


def _verified(frames: Frames | None, kid: str = KID) -> tuple[ReplyToken, VerifiedBody]:
    assert frames is not None
    token = parse_reply(frames.token)
    assert token is not None
    body = reply_mac_holds(frames, token, _SETS[kid].keys[Purpose.REPLY_SRV])
    assert body is not None
    return token, body


def test_a_reply_is_bound_to_its_request_its_run_and_the_record() -> None:
    reply = _replier().reply(_SUBJECT, Status.OK, ReasonCode.NONE, StateReply(time=NOW), NOW)
    token, body = _verified(reply)
    assert token._replace(mac_srv="-") == ReplyToken(
        kid=KID, acct=ACCT, rid=RID, time=NOW, status="OK", code="-",
        req_hash=request_hash(_REQUEST), inc=INC, log_size=7, log_head="ab" * 32,
    )  # fmt: skip
    assert decode_reply(StateReply, body).time == NOW


def test_a_reply_is_signed_with_the_key_of_the_kid_that_asked() -> None:
    subject = msgspec.structs.replace(_SUBJECT, kid="watch")
    reply = _replier().reply(subject, Status.OK, ReasonCode.NONE, StateReply(), NOW)
    assert _verified(reply, "watch")[0].kid == "watch"
    assert reply is not None
    token = parse_reply(reply.token)
    assert token is not None
    assert reply_mac_holds(reply, token, _SETS[KID].keys[Purpose.REPLY_SRV]) is None


def test_a_kid_that_is_no_longer_held_gets_no_reply() -> None:
    subject = msgspec.structs.replace(_SUBJECT, kid="gone")
    assert _replier().reply(subject, Status.OK, ReasonCode.NONE, StateReply(), NOW) is None
    refusal = Refusal(ReasonCode.SCOPE)
    assert _replier().refusal(subject, Status.DENIED, refusal, NOW) is None


def test_a_refusal_carries_who_why_and_the_numbers() -> None:
    refusal = Refusal(ReasonCode.RATE, limit="50/s", value="51", headroom="0")
    token, body = _verified(_replier().refusal(_SUBJECT, Status.DENIED, refusal, NOW))
    assert (token.status, token.code) == ("DENIED", "RATE")
    assert decode_reply(RefusalReply, body) == RefusalReply(
        by="server", code="RATE", limit="50/s", value="51", headroom="0", time=NOW
    )


@pytest.mark.parametrize("mac", ["-", "c" * 64])
def test_the_eas_word_travels_as_the_ea_made_it(mac: str) -> None:
    view = OrderView(rid=RID, ea="EA_REC", ea_mac=mac)
    token, _ = _verified(_replier().reply(_SUBJECT, Status.FILLED, ReasonCode.NONE, view, NOW))
    assert token.mac_ea == mac
