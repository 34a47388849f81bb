"""What a reader must refuse: each with the reason, as bytes in hex where text could not hold it."""

from __future__ import annotations

from typing import Any, Final

from bridge_core.protocol.messages import Request, encode_body
from bridge_core.protocol.operations import Op

__all__ = ["DECIMALS", "bodies", "chains", "events", "records", "replies", "requests"]

Case = dict[str, Any]

DECIMALS: Final[list[Case]] = [
    {"text": text}
    for text in (
        "", "-0", "-0.00", "+1", "01", ".5", "1.", "1e5", "1E+5", "NaN", "Infinity", "1_0", " 1",
        "1 ", "1\n", "0x10", "1,5", "1.123456789", "1234567890123456", "\uff11",
    )
]  # fmt: skip


def _case(why: str, token: bytes, body: bytes) -> Case:
    return {"why": why, "token_hex": token.hex(), "body_hex": body.hex()}


def _field(token: str, index: int, value: str) -> bytes:
    parts = token.split(":")
    parts[index] = value
    return ":".join(parts).encode()


def _flips(token: bytes, body: bytes, step: int) -> list[Case]:
    made = []
    for at in range(0, len(token), step):
        raw = bytearray(token)
        raw[at] ^= 1
        made.append(_case(f"token byte {at} flipped", bytes(raw), body))
    for at in range(0, len(body), step):
        raw = bytearray(body)
        raw[at] ^= 1
        made.append(_case(f"body byte {at} flipped", token, bytes(raw)))
    return made


def requests(good: Case) -> list[Case]:
    """Return tokens that do not parse, or parse and do not verify under the vector's own key."""
    text, body = good["token"], good["body"].encode()
    token = text.encode()
    mac = text[-64:]
    fields: list[tuple[str, int, str]] = [
        ("old prefix", 0, "RISK_FAIL"),
        ("other prefix", 0, "AUTH_PASS"),
        ("version 4", 1, "4"),
        ("upper-case kid", 2, "Trade-1"),
        ("other kid", 2, "trade-2"),
        ("other account", 3, "demo2"),
        ("lower-case op", 4, "open"),
        ("other op", 4, "CLOSE"),
        ("rid of zeros", 5, "0" * 32),
        ("upper-case rid", 5, "0F1E2D3C4B5A69788796A5B4C3D2E1F0"),
        ("12-digit time", 6, "176722560000"),
        ("time with a sign", 6, "+767225600000"),
        ("time with full-width digits", 6, "\uff11767225600000"),
        ("time with an underscore", 6, "1_67225600000"),
        ("time later by 1 ms", 6, str(int(text.split(":")[6]) + 1)),
        ("ttl 199", 7, "199"),
        ("ttl 10001", 7, "10001"),
        ("ttl with leading zero", 7, "05000"),
        ("longer ttl", 7, "6000"),
        ("short incarnation", 8, "0" * 15),
        ("mac-ea of zeros", 9, "0" * 64),
        ("no mac", 10, "-"),
        ("empty mac", 10, ""),
        ("8 digits of the mac", 10, mac[:8]),
        ("63 digits of the mac", 10, mac[:63]),
        ("65 digits of the mac", 10, mac + "0"),
        ("128 digits of the mac", 10, mac * 2),
        ("upper-case mac", 10, mac.upper()),
        ("mac of zeros", 10, "0" * 64),
    ]
    made = [_case(why, _field(text, index, value), body) for why, index, value in fields]
    made += [
        _case("token of version 4.3", b"RISK_PASS:7a3f9e8b:2026-01-15T02:08:33Z", body),
        _case("token of version 4.3", b"RISK_PASS:00000000:20260115T020833Z", body),
        _case("newline after the token", token + b"\n", body),
        _case("NUL after the token", token + b"\x00", body),
        _case("one field more", token + b":HS256", body),
        _case("empty token", b"", body),
        _case("empty body", token, b""),
        _case("last byte of the token moved into the body", token[:-1], token[-1:] + body),
    ]
    return made + _flips(token, body, 7)


def _mutations(raw: bytes) -> list[tuple[str, bytes]]:
    middle = raw.index(b",") if b"," in raw else len(raw) - 1
    return [
        ("truncated", raw[:-1]),
        ("truncated in the middle", raw[:middle]),
        ("leading space", b" " + raw),
        ("trailing newline", raw + b"\n"),
        ("space after a colon", raw.replace(b":", b": ", 1)),
        ("byte order mark", b"\xef\xbb\xbf" + raw),
        ("unknown field", raw[:-1] + b',"x":1}'),
        ("first field twice", raw[:1] + raw[1:middle] + b"," + raw[1:]),
        ("escaped key", raw[:2] + b"\\u00" + raw[2:3].hex().encode() + raw[3:]),
        ("upper-case key", raw[:2] + raw[2:3].upper() + raw[3:]),
        ("in a list", b"[" + raw + b"]"),
        ("twice", raw + raw),
        ("not ASCII", raw[:-1].rstrip(b'"') + b'\xc3\xa9"}'),
    ]


def bodies(good: dict[Op, Request]) -> list[Case]:
    """Return bodies that are not the one legal encoding, and values out of bounds for OPEN."""
    made: list[Case] = []
    for op, body in good.items():
        made += [
            {"op": op.value, "why": why, "body_hex": changed.hex()}
            for why, changed in _mutations(encode_body(body))
        ]
    raw = encode_body(good[Op.OPEN])
    swaps: list[tuple[str, bytes, bytes]] = [
        ("negative volume", b'"0.10"', b'"-0.10"'),
        ("exponent", b'"0.10"', b'"1e-1"'),
        ("NaN", b'"0.10"', b'"NaN"'),
        ("number for a text", b'"0.10"', b"0.10"),
        ("null", b'"0.10"', b"null"),
        ("nine decimals", b'"0.10"', b'"0.100000000"'),
        ("ten integer digits", b'"0.10"', b'"1234567890"'),
        ("text for a number", b":20,", b':"20",'),
        ("fraction for a number", b":20,", b":20.0,"),
        ("true for a number", b":20,", b":true,"),
        ("deviation out of bounds", b":20,", b":1000001,"),
        ("unknown type", b'"BUY"', b'"BUY_NOW"'),
        ("lower-case type", b'"BUY"', b'"buy"'),
        ("empty symbol", b'"EURUSD"', b'""'),
        ("symbol with a colon", b'"EURUSD"', b'"EUR:USD"'),
        ("symbol ending in a space", b'"EURUSD"', b'"EURUSD "'),
        ("symbol with a Cyrillic letter", b'"EURUSD"', '"\u0415URUSD"'.encode()),
        ("symbol with a newline", b'"EURUSD"', b'"EURUSD\\n"'),
        ("order id with a space", b'"atlas-17"', b'"atlas 17"'),
        ("order id too long", b'"atlas-17"', b'"' + b"a" * 37 + b'"'),
        ("comment with a backslash", b"Strategy_v1", b"Strategy\\\\v1"),
        ("comment too long", b"Strategy_v1", b"x" * 65),
        ("strategy out of bounds", b'"strategy":1', b'"strategy":4096'),
    ]
    made += [
        {"op": "OPEN", "why": why, "body_hex": raw.replace(old, new, 1).hex()}
        for why, old, new in swaps
    ]
    made.append({"op": "GET_STATUS", "why": "both ids empty",
                 "body_hex": b'{"rid":"","client_order_id":""}'.hex()})  # fmt: skip
    return made


def records(good: Case) -> list[Case]:
    """Return EA records that do not parse or whose MAC does not hold."""
    text = good["record"]
    fields = [("other status", 7, "DENIED"), ("negative price", 11, "-1.0"), ("kid", 2, "trade-2"),
              ("ticket with leading zero", 9, "04711"), ("19-digit ticket", 9, "9" * 19),
              ("other volume", 10, "0.11"), ("other hash", 6, "0" * 64)]  # fmt: skip
    return [
        {"why": why, "record_hex": _field(text, index, value).hex(), "mac_ea": good["mac_ea"]}
        for why, index, value in fields
    ]


def replies(good: Case) -> list[Case]:
    """Return replies a client must treat as if nothing had arrived."""
    text, body = good["token"], good["body"].encode()
    fields = [("other rid", 4, "f" * 32), ("other status", 6, "DENIED"), ("other code", 7, "BODY"),
              ("other request", 8, "0" * 64), ("lower-case status", 6, "filled"),
              ("status of 33 letters", 6, "A" * 33)]  # fmt: skip
    made = [_case(why, _field(text, index, value), body) for why, index, value in fields]
    made.append(_case("the request sent back", good["request_token"].encode(), body))
    return made + _flips(text.encode(), body, 11)


def events(good: Case) -> list[Case]:
    """Return events a client must ignore."""
    text, body = good["token"], good["body"].encode()
    fields = [("other stream", 4, "srv-0000000000000000"), ("other number", 5, "2"),
              ("number with leading zero", 5, "01"), ("other time", 6, "1767225600011"),
              ("stream ending in a space", 4, "srv ")]  # fmt: skip
    made = [_case(why, _field(text, index, value), body) for why, index, value in fields]
    return made + _flips(text.encode(), body, 11)


def chains(good: list[Case]) -> list[Case]:
    """Return logs that were tampered with and the first index that does not hold."""
    edited = [dict(row) for row in good]
    edited[1] = {**edited[1], "record": edited[1]["record"].replace("OPEN", "CLOSE")}
    exchanged = [good[0], {**good[2], "n": 2}, {**good[1], "n": 3}, good[3]]
    return [
        {"why": "record 2 edited", "rows": edited, "first_bad": 2},
        {"why": "record 2 removed", "rows": [good[0], *good[2:]], "first_bad": 2},
        {"why": "records 2 and 3 exchanged", "rows": exchanged, "first_bad": 2},
        {"why": "record 1 removed", "rows": good[1:], "first_bad": 1},
    ]
