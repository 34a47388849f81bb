"""The Python lines of docs/real-terminal.md, typed at the stand-in: none of them is a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_metatrader5 import FakeTerminal, load
from tests.support.fake_metatrader5.broker import Broker
from tests.support.fake_metatrader5.terms import SymbolTerms, Terms

PAGE = Path(__file__).resolve().parents[3] / "docs/real-terminal.md"
_TYPED = re.compile(r">>> ([^`\n]+)")


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What a prompt knows after the page's first lines."""
    broker = Broker(Terms(symbols=(SymbolTerms(selected=True, streaming=True),)))
    broker.price("EURUSD", "1.10000", "1.10010")
    with FakeTerminal(tmp_path, broker, scale=0.01) as terminal:
        mt5: Any = load()
        assert mt5.initialize(terminal.path, portable=True), mt5.last_error()
        yield {"mt5": mt5, "N": 1}
        mt5.shutdown()
        assert terminal.count("order_send") == 0, "the list sends no order by hand"


def _lines() -> list[str]:
    lines = [line.strip() for line in _TYPED.findall(PAGE.read_text("utf-8"))]
    assert lines[0] == "import MetaTrader5 as mt5"
    assert lines[1].startswith('mt5.initialize(r"C:\\MT5\\')
    return lines[2:]


def test_every_line_can_be_typed_and_sends_nothing(typed: dict[str, Any]) -> None:
    seen = {}
    for line in _lines():
        if line == "mt5.shutdown()":
            continue
        if re.match(r"[A-Za-z]+ = ", line):
            exec(line, typed)
        else:
            seen[line] = eval(line, typed)
    assert len(seen) >= 5
    good = next(value for line, value in seen.items() if '"A" * 28' in line)
    assert (good.retcode, good.request.comment) == (0, "A" * 28)
    unknown = next(value for line, value in seen.items() if "NOSUCH" in line)
    assert unknown == ((), (1, "Success"))
    trap = next(value for line, value in seen.items() if "request=CHECK" in line)
    assert trap[0] is None or trap[0].retcode != 0
