"""One small terminal per test; or a stand-in terminal with an account's folder for the doctor."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.mt5.doctor import House, NearLink
from tests.server.mt5.small import Small
from tests.support.fake_metatrader5 import FakeTerminal
from tests.support.fake_metatrader5.broker import Broker
from tests.support.fake_metatrader5.terms import SymbolTerms, Terms


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


@pytest.fixture
def near(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """The same house, whose doctor starts no worker: for what the worker has no part in."""
    monkeypatch.setattr("bridge_server.checks_mt5.Mt5Link", NearLink)
    return house


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    terms = Terms(symbols=(SymbolTerms(selected=True, streaming=True),))
    broker = Broker(terms)
    broker.price("EURUSD", "1.10000", "1.10010")
    with FakeTerminal(tmp_path / "terminal", broker, scale=0.01) as terminal:
        made = House(tmp_path, terminal, terms)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the terminal's lock lies
        yield made
        assert terminal.count("order_send") == 0, "a doctor sends no order"
