"""Rows about every pre-trade check: at its limit, a step over it, blind, with another order."""

from __future__ import annotations

from typing import Final

from tests.risk.case import Case
from tests.risk.cases_market import MARKET_CASES
from tests.risk.cases_money import MONEY_CASES
from tests.risk.cases_orders import ORDER_CASES

__all__ = ["CASES"]

CASES: Final[tuple[Case, ...]] = (*ORDER_CASES, *MARKET_CASES, *MONEY_CASES)
