"""The Advisor's key file: one spelling, clear refusals, no secret in any message."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import pytest
from zmq.utils import z85

from bridge_core.protocol.keys import request_purpose
from bridge_core.protocol.operations import EA_OPS, Scope, granted
from tests.mql4.core import Core
from tests.mql4.needs import needs_compiler

pytestmark = needs_compiler

NAME: Final = "bridge.key"
LOAD: Final = ("keys_load", NAME)
HEAD: Final = ("keys_head",)


def _key(n: int) -> str:
    # No row of letters or digits, which the canary would find in an account's number.
    return hashlib.sha256(f"key {n}".encode()).hexdigest()


SERVER, PUBLIC, SECRET = (z85.encode(bytes.fromhex(_key(n))).decode() for n in (50, 51, 52))
SCOPES: Final = {"t1-ab12": "trade", "r1": "reduce", "q1": "query", "op-1": "operator"}


def _set(n: int, kid: str, scope: str) -> str:
    return f"set {kid} {scope} {'-' if scope == 'query' else _key(2 * n)} {_key(2 * n + 1)}"


def _lines(mode: str = "live") -> list[str]:
    sets = [_set(n, kid, scope) for n, (kid, scope) in enumerate(SCOPES.items(), start=1)]
    if mode == "paper":
        sets = [f"set {kid} {scope} - -" for kid, scope in SCOPES.items()]
    return ["ztb-ea/1", "account demo", f"mode {mode}", "endpoint tcp://127.0.0.1:5557",
            f"server_public {SERVER}", f"curve_public {PUBLIC}", f"curve_secret {SECRET}",
            f"event ev-1 {_key(40)}", *sets, "end"]  # fmt: skip


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


def _write(core: Core, lines: list[str], end: str = "\n") -> None:
    (core.files / NAME).write_bytes("".join(line + end for line in lines).encode("latin-1"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_key_file_is_read_with_either_line_end(core: Core, end: str) -> None:
    _write(core, _lines(), end)
    answers = core.run([LOAD, HEAD, ("keys_changed",), *(("keys_set", kid) for kid in SCOPES)])
    assert answers[0] == ["1", ""]
    assert answers[1] == ["demo", "0", "tcp://127.0.0.1:5557", SERVER, PUBLIC, SECRET, "ev-1",
                          _key(40), "4", "0"]  # fmt: skip
    assert answers[2] == ["0"]
    for n, (kid, scope) in enumerate(SCOPES.items(), start=1):
        order = "-" if scope == "query" else _key(2 * n)
        assert answers[2 + n] == [str(n - 1), scope, order, _key(2 * n + 1)], kid


def test_a_paper_file_holds_no_key_that_signs_or_attests(core: Core) -> None:
    _write(core, _lines("paper"))
    answers = core.run([LOAD, HEAD, *(("keys_set", kid) for kid in SCOPES)])
    assert answers[0] == ["1", ""]
    assert answers[1][1] == "1"
    assert [answer[2:] for answer in answers[2:]] == [["-", "-"]] * len(SCOPES)
    live = _lines()
    _write(core, [*_lines("paper")[:8], live[8], "end"])
    good, why = core.one(*LOAD)
    assert good == "0"
    assert "line 9" in why
    assert "paper" in why


def test_each_scope_grants_what_the_protocol_grants(core: Core) -> None:
    _write(core, _lines())
    asked = [(kid, op) for kid in (*SCOPES, "nobody") for op in sorted(EA_OPS)]
    answers = core.run([LOAD, *(("keys_grants", kid, op) for kid, op in asked)])[1:]
    for (kid, op), answer in zip(asked, answers, strict=True):
        wanted = ["0", ""]
        if kid in SCOPES and op in granted(Scope(SCOPES[kid])):
            purpose = request_purpose(op, Scope(SCOPES[kid]))[1]
            assert purpose is not None
            wanted = ["1", purpose.value]
        assert answer == wanted, (kid, op)
    for kid in SCOPES:
        assert core.run([LOAD, ("keys_grants", kid, "SETTLE")])[1] == ["0", ""]


def _replaced(n: int, line: str) -> list[str]:
    lines = _lines()
    lines[n - 1] = line
    return lines


WEAK: Final = "aa" * 32
MALFORMED: Final = {
    "other title": (1, _replaced(1, "ztb-ea/2")),
    "other case": (2, _replaced(2, "Account demo")),
    "bad alias": (2, _replaced(2, "account de mo")),
    "empty alias": (2, _replaced(2, "account ")),
    "other mode": (3, _replaced(3, "mode demo")),
    "other host": (4, _replaced(4, "endpoint tcp://192.168.1.5:5557")),
    "host name": (4, _replaced(4, "endpoint tcp://localhost:5557")),
    "port 0": (4, _replaced(4, "endpoint tcp://127.0.0.1:0")),
    "port 65536": (4, _replaced(4, "endpoint tcp://127.0.0.1:65536")),
    "port with a zero": (4, _replaced(4, "endpoint tcp://127.0.0.1:05557")),
    "short CURVE key": (5, _replaced(5, f"server_public {SERVER[:-1]}")),
    "CURVE key of one letter": (6, _replaced(6, "curve_public " + "0" * 40)),
    "letter outside Z85": (7, _replaced(7, f"curve_secret {SECRET[:-1]}~")),
    "order of lines": (5, [*_lines()[:4], _lines()[5], _lines()[4], *_lines()[6:]]),
    "event kid": (8, _replaced(8, f"event E {_key(40)}")),
    "weak event key": (8, _replaced(8, f"event ev-1 {WEAK}")),
    "upper-case key": (9, _replaced(9, _set(1, "t1-ab12", "trade").upper())),
    "upper-case hex": (9, _replaced(9, f"set t1-ab12 trade {_key(2).upper()} {_key(3)}")),
    "63 digits": (9, _replaced(9, f"set t1-ab12 trade {_key(2)[:-1]} {_key(3)}")),
    "weak order key": (9, _replaced(9, f"set t1-ab12 trade {WEAK} {_key(3)}")),
    "weak reply key": (9, _replaced(9, f"set t1-ab12 trade {_key(2)} {WEAK}")),
    "no order key": (9, _replaced(9, f"set t1-ab12 trade - {_key(3)}")),
    "no reply key": (9, _replaced(9, f"set t1-ab12 trade {_key(2)} -")),
    "query with an order key": (11, _replaced(11, f"set q1 query {_key(2)} {_key(3)}")),
    "unknown scope": (9, _replaced(9, f"set t1-ab12 admin {_key(2)} {_key(3)}")),
    "two spaces": (9, _replaced(9, f"set t1-ab12  trade {_key(2)} {_key(3)}")),
    "trailing space": (9, _replaced(9, _set(1, "t1-ab12", "trade") + " ")),
    "unknown word": (9, _replaced(9, "key " + _key(2))),
    "kid twice": (10, _replaced(10, _set(1, "t1-ab12", "trade"))),
    "kid of the events": (10, _replaced(10, _set(1, "ev-1", "trade"))),
    "no end": (13, _lines()[:-1]),
    "no sets": (9, [*_lines()[:8], "end"]),
    "a line after the end": (14, [*_lines(), "end"]),
    "an empty line": (9, [*_lines()[:8], "", *_lines()[8:]]),
    "33 sets": (41, [*_lines()[:8], *(_set(n, f"k{n}", "trade") for n in range(33)), "end"]),
    "cut off in the head": (6, _lines()[:5]),
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_file_is_refused_by_its_line_and_says_no_secret(core: Core, what: str) -> None:
    line, lines = MALFORMED[what]
    _write(core, lines)
    good, why = core.one(*LOAD)
    assert good == "0"
    assert f"key file {NAME}: line {line}:" in why
    assert "ztb init" in why
    for words in (" ".join(lines)).split():
        if len(words) > 32:
            assert words[:12] not in why


def test_what_is_no_text_or_no_file_is_refused_too(core: Core) -> None:
    good, why = core.one(*LOAD)
    assert good == "0"
    assert "missing" in why
    assert "ztb init" in why
    for raw in (b"", b"\x00" * 100, b"\xff\xfe" + "ztb-ea/1".encode("utf-16-le"),
                b"\xef\xbb\xbf" + "\n".join(_lines()).encode(), b"x" * 20_000,
                "\n".join(_lines()).encode().replace(b"demo", b"d\x00mo")):  # fmt: skip
        (core.files / NAME).write_bytes(raw)
        assert core.one(*LOAD)[0] == "0", raw[:20]
    _write(core, [*_lines()[:8], *(_set(n, f"k{n}", "trade") for n in range(32)), "end"])
    assert core.run([LOAD, HEAD])[1][8] == "32"


def test_a_changed_file_is_adopted_and_a_malformed_one_leaves_the_old_keys(core: Core) -> None:
    with core.session() as session:
        _write(core, _lines())
        assert session.run([LOAD, ("keys_changed",)]) == [["1", ""], ["0"]]
        _write(core, [*_lines()[:9], _set(9, "new", "trade"), "end"])
        answers = session.run([("keys_changed",), LOAD, HEAD, ("keys_set", "new"),
                               ("keys_set", "r1"), ("keys_grants", "r1", "CLOSE")])  # fmt: skip
        assert answers[0] == ["1"]
        assert answers[1] == ["1", ""]
        assert answers[2][8:] == ["2", "0"]
        assert answers[3] == ["1", "trade", _key(18), _key(19)]
        # a set that is gone signs no order; its reply key still attests what it began
        assert answers[4] == ["-1", "", "-", _key(5)]
        assert answers[5] == ["0", ""]
        _write(core, _lines()[:-1])
        answers = session.run([("keys_changed",), LOAD, ("keys_changed",), ("keys_set", "new")])
        assert [a[0] for a in answers] == ["1", "0", "0", "1"]
        (core.files / NAME).unlink()
        answers = session.run([("keys_changed",), LOAD, ("keys_changed",), ("keys_set", "new")])
        assert [a[0] for a in answers] == ["1", "0", "0", "1"]
        lines = _lines()
        lines[3] = "endpoint tcp://127.0.0.1:6000"
        _write(core, lines)
        assert session.run([LOAD, HEAD])[1][8:] == ["4", "1"]
        assert session.run([("keys_set", "r1")]) == [["1", "reduce", _key(4), _key(5)]]
