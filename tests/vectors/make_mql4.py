"""Makes the vectors of the Advisor's self-test: `python -m tests.vectors.make_mql4`.

MQL4 reads no JSON and a header should stay short, so `mql4/Include/Bridge/Vectors.mqh` holds a
selection of `tests/vectors/*.json` and the HMAC cases of RFC 4231. The tests of the harness run
all of them through the same headers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from bridge_core.protocol.keys import Mode, derive
from bridge_core.protocol.operations import EA_OPS, Op, Purpose
from bridge_core.protocol.token import parse_ea_record, parse_request
from tests.vectors import make

__all__ = ["PATH", "RFC_4231", "build", "lines", "main"]

PATH: Final = Path(__file__).resolve().parents[2] / "mql4" / "Include" / "Bridge" / "Vectors.mqh"
WIDTH: Final = 94

# RFC 4231, section 4: key, data, HMAC-SHA-256. Case 5 is about truncation, which we do not have.
RFC_4231: Final = (
    (b"\x0b" * 20, b"Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50,
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50,
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    (b"\xaa" * 131, (b"This is a test using a larger than block-size key and a larger than "
     b"block-size data. The key needs to be hashed before being used by the HMAC algorithm."),
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
)  # fmt: skip

HEAD: Final = """\
//+------------------------------------------------------------------+
//| Vectors.mqh: made by `python -m tests.vectors.make_mql4`          |
//|                                                                   |
//| A selection of tests/vectors/*.json (protocol.md 15) and RFC 4231 |
//| for SelfTest.mqh. The keys in here are published: they sign       |
//| nothing real. Do not edit; a test compares.                       |
//+------------------------------------------------------------------+
#property strict

//--- A group's name, then its values, parted by tabs. Bytes are hex ("-": none); those of
//    tokens and bodies that must be refused stand behind "=" (text) or "#" (hex).
string g_vectors[] = {
"""
TAIL: Final = """\
};
//+------------------------------------------------------------------+
"""

Case = dict[str, Any]


def _read(name: str, part: str) -> list[Case]:
    content: dict[str, list[Case]] = json.loads((make.FOLDER / f"{name}.json").read_bytes())
    return content[part]


def _bytes(data: bytes) -> str:
    """Return bytes as a value: text behind `=` where it shows them, else hex behind `#`."""
    text = data.decode("latin-1")
    return f"={text}" if text.isascii() and text.isprintable() else f"#{data.hex()}"


def lines() -> Iterator[tuple[str, ...]]:
    """Yield each vector: its group and its values."""
    for key, data, digest in RFC_4231:
        yield "hmac", key.hex(), data.hex(), digest
    for case in _read("macs", "cases"):
        head, body = (case[part] or "-" for part in ("head", "body"))
        yield "mac", case["key"], case["purpose"], head, body, case["mac"]
    yield from _orders()
    yield from _refused()
    for case in _read("records", "cases"):
        yield "record", case["key"], case["record"], case["mac_ea"]
    for case in _read("decimals", "cases"):
        if case["request"]:
            whole, _, part = case["text"].partition(".")
            yield "decimal", case["text"], str(int(whole) * 10**8 + int(part.ljust(8, "0")))
    for case in _read("tags", "cases"):
        yield ("tag", case["acct"], case["rid"], str(case["mt4_magic"]), case["comment"],
               str(case["child_ticket"]), case["child_rid"])  # fmt: skip


def _orders() -> Iterator[tuple[str, ...]]:
    """Yield the signed requests that an Advisor is handed, one per operation."""
    for case in _read("requests", "cases"):
        if not case["ea"]:
            continue
        admin = case["purpose"] == Purpose.ADMIN_SRV
        purpose = Purpose.ADMIN_EA if admin else Purpose.ORDER_EA
        kid = case["parts"]["kid"]
        key = derive(make.KIDS[kid], mode=Mode.PAPER, acct=make.ACCT, kid=kid, purpose=purpose)
        yield ("order", key.hex(), purpose.value, case["token"], case["order_hash"], case["op"],
               case["body"])  # fmt: skip


def _refused() -> Iterator[tuple[str, ...]]:
    """Yield what must not be taken: each by name, no byte flips."""
    for case in _read("requests", "refused"):
        token = bytes.fromhex(case["token_hex"])
        if "bit" not in case["why"] and "byte" not in case["why"] and parse_request(token) is None:
            yield "no_token", _bytes(token)
    for case in _read("bodies", "refused"):
        if case["op"] == Op.OPEN and Op.OPEN in EA_OPS:
            yield "no_body", case["op"], _bytes(bytes.fromhex(case["body_hex"]))
    for case in _read("records", "refused"):
        if parse_ea_record(bytes.fromhex(case["record_hex"])) is None:
            yield "no_record", bytes.fromhex(case["record_hex"]).decode()
    for case in _read("decimals", "refused"):
        text = case["text"]
        if text and text.isascii() and text.isprintable():
            yield "no_decimal", text


def _literal(values: Iterable[str]) -> str:
    """Return the MQL4 source of one vector: neighbouring literals become one string."""
    text = "\t".join(values).replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    parts: list[str] = []
    while text:
        cut = WIDTH
        while len(text) > cut and text[cut - 1] == "\\":
            cut -= 1  # an escape stays whole
        parts.append(text[:cut])
        text = text[cut:]
    return "\n".join(f'   "{part}"' for part in parts)


def build() -> bytes:
    """Return the header's bytes, with LF: git writes CRLF where MetaEditor works."""
    body = ",\n".join(_literal(values) for values in lines())
    return (HEAD + body + "\n" + TAIL).encode("ascii")


def main() -> int:
    """Write the header."""
    PATH.write_bytes(build())
    print(f"{PATH.name}: {sum(1 for _ in lines())} vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
