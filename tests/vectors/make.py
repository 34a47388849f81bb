"""Makes the shared test vectors: `python -m tests.vectors.make` (protocol.md 15).

Everything is fixed (keys, times, request ids), so two runs write the same bytes. The root keys in
here are published and must never sign anything real.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from bridge_core.protocol.chain import GENESIS, Record, encode_record, link
from bridge_core.protocol.events import EventBody, event_topic, tick_stream, tick_topic
from bridge_core.protocol.keys import Mode, derive, request_purpose
from bridge_core.protocol.messages import Request, encode_body
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose, Scope
from bridge_core.protocol.replies import Child, OrderView, encode_reply
from bridge_core.protocol.signing import (
    NO_ORDER_HASH,
    Frames,
    RequestKeys,
    ea_record_mac,
    mac,
    mac_input,
    order_hash,
    request_hash,
    sign_event,
    sign_reply,
    sign_request,
)
from bridge_core.protocol.tag import child_rid, make_tag
from bridge_core.protocol.token import (
    NO_INCARNATION,
    EaRecord,
    EventToken,
    ReplyToken,
    RequestToken,
    parse_request,
)
from bridge_core.protocol.views import StreamPoint
from tests.vectors import examples, refused

__all__ = ["FOLDER", "build", "main"]

FOLDER: Final = Path(__file__).resolve().parent
TRADE_ROOT: Final = bytes(range(32))
OPERATOR_ROOT: Final = bytes(range(32, 64))
EVENT_ROOT: Final = bytes(range(64, 96))
ACCT: Final = "demo"
KIDS: Final = {"trade-1": TRADE_ROOT, "operator-1": OPERATOR_ROOT, "event-1": EVENT_ROOT}
RID: Final = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
INC: Final = "00112233445566ff"
IAT: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HEAD: Final = bytes(range(96, 128)).hex()

Case = dict[str, Any]


def _key(kid: str, purpose: Purpose, mode: Mode = Mode.PAPER) -> bytes:
    return derive(KIDS[kid], mode=mode, acct=ACCT, kid=kid, purpose=purpose)


def keys() -> list[Case]:
    """Return derived keys, each input varied once."""
    wanted = [("trade-1", purpose, Mode.PAPER, ACCT) for purpose in Purpose]
    wanted += [
        ("trade-1", Purpose.ORDER_SRV, Mode.LIVE, ACCT),
        ("trade-1", Purpose.ORDER_SRV, Mode.PAPER, "demo2"),
        ("operator-1", Purpose.ADMIN_SRV, Mode.PAPER, ACCT),
        ("operator-1", Purpose.ADMIN_EA, Mode.PAPER, ACCT),
        ("event-1", Purpose.EVENT_SRV, Mode.PAPER, ACCT),
    ]
    return [
        {
            "root": KIDS[kid].hex(),
            "mode": mode.value,
            "acct": acct,
            "kid": kid,
            "purpose": purpose.value,
            "key": derive(KIDS[kid], mode=mode, acct=acct, kid=kid, purpose=purpose).hex(),
        }
        for kid, purpose, mode, acct in wanted
    ]


def macs() -> list[Case]:
    """Return MAC inputs and MACs, with bytes on both sides of each border."""
    secret = _key("trade-1", Purpose.ORDER_SRV)
    cases = [
        ("order>srv", b"head:", b"body"),
        ("order>srv", b"head:b", b"ody"),
        ("order>srv", b"", b""),
        ("order>ea", b"head:", b"body"),
        ("req", b"\x00\xff", b"\x00" * 300),
    ]
    return [
        {
            "key": secret.hex(),
            "purpose": purpose,
            "head": head.hex(),
            "body": body.hex(),
            "input": mac_input(purpose, head, body).hex(),
            "mac": mac(secret, purpose, head, body).hex(),
        }
        for purpose, head, body in cases
    ]


def _sign(op: Op, body: Request, *, ea: bool, n: int, scope: Scope | None = None) -> Frames:
    spec = OPERATIONS[op]
    if scope is None:
        scope = Scope.OPERATOR if spec.purpose is Purpose.ADMIN_SRV else Scope.TRADE
    kid = "operator-1" if scope is Scope.OPERATOR else "trade-1"
    token = RequestToken(
        prefix=spec.prefix,
        kid=kid,
        acct=ACCT,
        op=op.value,
        rid=f"{int(RID, 16) + n:032x}",
        iat=IAT + n,
        ttl=5000,
        inc=NO_INCARNATION if op is Op.HELLO else INC,
    )
    srv, executor = request_purpose(op, scope)
    ea_key = _key(kid, executor) if ea and executor else None
    return sign_request(
        token, encode_body(body), RequestKeys(_key(kid, srv), srv, ea_key, executor)
    )


def _request_case(op: Op, frames: Frames, purpose: Purpose, *, ea: bool) -> Case:
    parts = parse_request(frames.token)
    assert parts is not None
    return {
        "op": op.value,
        "ea": ea,
        "parts": parts._asdict(),
        "purpose": purpose.value,
        "token": frames.token.decode(),
        "body": frames.body.decode(),
        "req_hash": request_hash(frames),
        "order_hash": order_hash(frames, parts),
    }


def requests() -> list[Case]:
    """Return one signed request per operation, without and (where it applies) with mac-ea.

    The last two are an operator's HALT: the stop lane under its admin keys.
    """
    cases: list[Case] = []
    for n, (op, body) in enumerate(examples.BODIES.items()):
        spec = OPERATIONS[op]
        cases += [
            _request_case(op, _sign(op, body, ea=ea, n=n), spec.purpose, ea=ea)
            for ea in ((False, True) if spec.purpose_ea else (False,))
        ]
    halt = examples.BODIES[Op.HALT]
    for ea in (False, True):
        frames = _sign(Op.HALT, halt, ea=ea, n=len(examples.BODIES), scope=Scope.OPERATOR)
        cases.append(_request_case(Op.HALT, frames, Purpose.ADMIN_SRV, ea=ea))
    return cases


def _record(status: str, hashed: str) -> EaRecord:
    return EaRecord(
        "trade-1", ACCT, RID, "OPEN", hashed, status, "-" if status == "FILLED" else "FENCED",
        4711 if status == "FILLED" else 0, "0.10", "1.08512", "1.08000", "0", IAT + 40,
    )  # fmt: skip


def records() -> list[Case]:
    """Return EA records and their MACs: an order that ran, and a tombstone."""
    secret = _key("trade-1", Purpose.REPLY_EA)
    opened = _sign(Op.OPEN, examples.BODIES[Op.OPEN], ea=True, n=0)
    parts = parse_request(opened.token)
    assert parts is not None
    made = (_record("FILLED", order_hash(opened, parts)), _record("DENIED", NO_ORDER_HASH))
    return [
        {
            "key": secret.hex(),
            "parts": record._asdict(),
            "record": record.text().decode(),
            "mac_ea": ea_record_mac(secret, record.text()),
        }
        for record in made
    ]


def replies() -> list[Case]:
    """Return signed replies: a fill, a refusal, a flatten, and one attested by an EA."""
    request = _sign(Op.OPEN, examples.BODIES[Op.OPEN], ea=False, n=0)
    attested = records()[0]
    child = Child(ticket=7, rid=child_rid(RID, 7), status="DONE", op="CLOSE")
    bodies = {
        "FILLED": ("-", OrderView(rid=RID, op="OPEN", status="FILLED", final=True, ticket=4711,
                                  volume="0.10", price="1.08512", evidence="BROKER"), "", "-"),
        "DENIED": ("MAX_VOLUME", OrderView(rid=RID, op="OPEN", status="DENIED", code="MAX_VOLUME",
                                           final=True, by="server", limit="0.10", value="1.00",
                                           headroom="0.04"), "", "-"),
        "DONE": ("-", OrderView(rid=RID, op="FLATTEN", status="DONE", final=True,
                                children=[child]), "", "-"),
        "UNKNOWN": ("NO_ANSWER", OrderView(rid=RID, op="OPEN", code="NO_ANSWER",
                                           ea=attested["record"], ea_mac=attested["mac_ea"]),
                    attested["record"], attested["mac_ea"]),
    }  # fmt: skip
    secret = _key("trade-1", Purpose.REPLY_SRV)
    cases: list[Case] = []
    for n, (status, (code, view, _, mac_ea)) in enumerate(bodies.items()):
        token = ReplyToken(
            "trade-1", ACCT, RID, IAT + 50 + n, status, code, request_hash(request), INC, n, HEAD,
            mac_ea,
        )  # fmt: skip
        frames = sign_reply(token, encode_reply(view), secret)
        cases.append(
            {
                "key": secret.hex(),
                "token": frames.token.decode(),
                "body": frames.body.decode(),
                "request_token": request.token.decode(),
                "request_body": request.body.decode(),
            }
        )
    return cases


def events() -> list[Case]:
    """Return signed events: a tick, a close and a heartbeat."""
    own = f"srv-{INC}"
    made = [
        (tick_topic(ACCT, "EURUSD"), tick_stream(INC, "EURUSD"), 1,
         EventBody(type="tick", symbol="EURUSD", bid="1.08500", ask="1.08512", time=IAT)),
        (event_topic(ACCT), own, 1,
         EventBody(type="position_closed", symbol="EURUSD", ticket=4711, deal=4713, side="BUY",
                   volume="0.10", close_price="1.08000", profit="-51.20", commission="-0.70",
                   net_profit="-51.90", reason="SL", time=IAT)),
        (event_topic(ACCT), own, 1,
         EventBody(type="heartbeat", server_time=IAT, streams=[StreamPoint(stream=own, seq=1)])),
    ]  # fmt: skip
    secret = _key("event-1", Purpose.EVENT_SRV)
    cases: list[Case] = []
    for topic, stream, seq, body in made:
        token = EventToken("event-1", ACCT, stream, seq, IAT + 10)
        frames = sign_event(token, encode_reply(body), secret)
        cases.append(
            {
                "key": secret.hex(),
                "topic": topic.decode(),
                "token": frames.token.decode(),
                "body": frames.body.decode(),
            }
        )
    return cases


def tags() -> list[Case]:
    """Return broker tags and the rids of a FLATTEN's children."""
    cases: list[Case] = []
    for n in range(8):
        rid = f"{(int(RID, 16) * (n + 1)) % 2**128:032x}"
        tag = make_tag(ACCT, rid)
        cases.append(
            {
                "acct": ACCT,
                "rid": rid,
                "strategy": n * 585,
                "mt5_magic": str(tag.mt5_magic(n * 585)),
                "mt4_magic": tag.mt4_magic,
                "comment": tag.comment,
                "child_ticket": 4711 + n,
                "child_rid": child_rid(rid, 4711 + n),
            }
        )
    return cases


def chain() -> list[Case]:
    """Return records of a log and the hash after each."""
    made = [
        Record(ts=IAT, kind="start", data={"mode": "paper"}),
        Record(ts=IAT + 1, kind="order", rid=RID, op="OPEN", state="ACCEPTED"),
        Record(ts=IAT + 2, kind="order", rid=RID, op="OPEN", state="DISPATCHING"),
        Record(ts=IAT + 3, kind="order", rid=RID, op="OPEN", state="FILLED",
               data={"ticket": "4711", "price": "1.08512"}),
    ]  # fmt: skip
    cases: list[Case] = []
    previous = GENESIS
    for n, record in enumerate(made, start=1):
        raw = encode_record(record)
        previous = link(previous, raw)
        cases.append({"n": n, "record": raw.decode(), "hash": previous.hex()})
    return cases


def build() -> dict[str, bytes]:
    """Return every vector file by name."""
    bodies = [
        {"op": op.value, "body": encode_body(body).decode()} for op, body in examples.BODIES.items()
    ]
    signed = {case["op"]: case for case in requests() if not case["ea"]}
    files: dict[str, dict[str, list[Case]]] = {
        "keys": {"cases": keys()},
        "macs": {"cases": macs()},
        "requests": {"cases": requests(), "refused": refused.requests(signed["OPEN"])},
        "bodies": {"cases": bodies, "refused": refused.bodies(dict(examples.BODIES))},
        "records": {"cases": records(), "refused": refused.records(records()[0])},
        "replies": {"cases": replies(), "refused": refused.replies(replies()[0])},
        "events": {"cases": events(), "refused": refused.events(events()[1])},
        "decimals": {"cases": examples.DECIMALS, "refused": refused.DECIMALS},
        "tags": {"cases": tags()},
        "chain": {"cases": chain(), "refused": refused.chains(chain())},
    }
    return {
        f"{name}.json": json.dumps({"protocol": 5, **content}, indent=1, ensure_ascii=True).encode()
        + b"\n"
        for name, content in files.items()
    }


def main() -> int:
    """Write the files."""
    for name, content in build().items():
        (FOLDER / name).write_bytes(content)
        print(f"{name}: {len(msgspec.json.decode(content)['cases'])} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
