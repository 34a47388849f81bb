"""The backend contract on the MetaTrader 5 stand-in, hedging and netting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.contract import BackendContract
from tests.support.fake_metatrader5.broker import SymbolTerms, Terms
from tests.support.mt5_world import Mt5World, mt5_world


def _terms(margin_mode: str) -> Terms:
    return Terms(
        margin_mode=margin_mode, symbols=(SymbolTerms(selected=True, streaming=True),),
    )  # fmt: skip


class TestHedging(BackendContract):
    """Everything a backend must do, where each opening deal is a position of its own."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[Mt5World]:
        with mt5_world(tmp_path, _terms("hedging")) as world:
            yield world


class TestNetting(BackendContract):
    """The same where a symbol has one position."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[Mt5World]:
        with mt5_world(tmp_path, _terms("netting")) as world:
            yield world
