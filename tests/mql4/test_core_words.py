"""The Advisor's words and bounds are the protocol's (protocol.md 5.2, 7, 8, 9)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from bridge_core.protocol import limits
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.operations import EA_OPS, Scope
from bridge_core.protocol.signing import NO_ORDER_HASH

HEADERS: Final = Path(__file__).resolve().parents[2] / "mql4" / "Include" / "Bridge"


def _defines(name: str) -> dict[str, str]:
    text = (HEADERS / name).read_text("ascii")
    found = re.findall(r"^#define (\w+) (.*?)(?: +//.*)?$", text, re.MULTILINE)
    names = [word for word, _ in found]
    assert len(set(names)) == len(names), "a name is defined twice"
    return dict(found)


def _python(name: str) -> str:
    value: object = getattr(limits, name)
    return f'"{value.decode()}"' if isinstance(value, bytes) else str(value)


def test_each_bound_that_python_has_too_has_its_value_there() -> None:
    defines = _defines("Limits.mqh")
    shared = {name: value for name, value in defines.items() if hasattr(limits, name)}
    assert len(shared) >= 20
    assert shared == {name: _python(name) for name in shared}


def test_the_grammars_bounds_are_those_of_its_regular_expressions() -> None:
    defines = {name: int(value) for name, value in _defines("Limits.mqh").items()
               if value.isdigit()}  # fmt: skip
    source = Path(limits.__file__).with_name("token.py").read_text()
    most = {
        "KID_CHARS_MAX": r'_KID = rb"\[a-z0-9-\]\{2,(\d+)\}"',
        "ACCT_CHARS_MAX": r'_ACCT = rb"\[A-Za-z0-9_-\]\{1,(\d+)\}"',
        "OP_CHARS_MAX": r"\(\[A-Z_\]\{1,(\d+)\}\)",
    }
    for name, pattern in most.items():
        found = re.search(pattern, source)
        assert found is not None, name
        assert int(found[1]) == defines[name], name
    tails = {
        "WORD_CHARS_MAX": r'_WORD = .*\{0,(\d+)\}"',
        "NATURAL_CHARS_MAX": r"_NAT .*\{0,(\d+)\}",
    }
    for name, pattern in tails.items():
        found = re.search(pattern, source)
        assert found is not None, name
        assert int(found[1]) + 1 == defines[name], name
    assert defines["TIME_CHARS"] == 13
    assert defines["TIME_MS_MAX"] == 10**13 - 1


def test_bounds_that_are_the_advisors_own_are_few_and_all_marked_as_such() -> None:
    text = (HEADERS / "Limits.mqh").read_text("ascii")
    own = text.partition("//--- the Advisor's own")[2]
    grammar = text.partition("//--- the grammar's")[2].partition("//---")[0]
    for name in _defines("Limits.mqh"):
        assert hasattr(limits, name) or f"#define {name} " in own + grammar, name
    for line in own.splitlines():
        assert not line.startswith("#define") or "//" in line, f"no unit or reason: {line}"


def test_every_status_code_operation_and_scope_has_its_word() -> None:
    wanted = {f"STATUS_{status.name}": status.value for status in Status}
    wanted |= {f"CODE_{code.name}": code.value for code in ReasonCode}
    wanted |= {f"OP_{op.name}": op.value for op in EA_OPS}
    wanted |= {f"SCOPE_{scope.name}": scope.value for scope in Scope}
    wanted |= {"STATUS_NOT_SEEN": "NOT_SEEN", "NO_ORDER_HASH": NO_ORDER_HASH}
    assert _defines("Codes.mqh") == {name: f'"{word}"' for name, word in wanted.items()}


def test_headers_are_ascii_without_tabs_and_short() -> None:
    headers = sorted(HEADERS.glob("*.mqh"))
    assert len(headers) >= 15
    for path in headers:
        text = path.read_bytes().replace(b"\r\n", b"\n")
        lines = text.decode("ascii").split("\n")
        assert len(lines) <= 401, path.name
        assert max(len(line) for line in lines) <= 100, path.name
        assert "\t" not in text.decode("ascii"), path.name
