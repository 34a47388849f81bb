"""The books as the package's records show them: dicts with exactly the record's fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tests.support.fake_metatrader5.books import DealRow, OrderRow, PositionRow
from tests.support.fake_metatrader5.codes import Kind
from tests.support.fake_metatrader5.market import Market
from tests.support.fake_metatrader5.money import Funds, Money
from tests.support.fake_metatrader5.terms import SymbolTerms, Terms

__all__ = ["Record", "account_row", "deal_row", "order_row", "position_row", "symbol_row"]

Record = dict[str, Any]
_MARGIN_MODES: Final = {"netting": 0, "exchange": 1, "hedging": 2}


def position_row(row: PositionRow, market: Market, money: Money) -> Record:
    """Return the fields of a TradePosition."""
    return {
        "ticket": row.ticket, "time": row.time_ms // 1000, "time_msc": row.time_ms,
        "time_update": row.update_ms // 1000, "time_update_msc": row.update_ms,
        "type": int(row.kind), "magic": row.magic, "identifier": row.identifier,
        "reason": int(row.reason), "volume": float(row.volume), "price_open": float(row.price),
        "sl": float(row.sl), "tp": float(row.tp),
        "price_current": float(market.price(row.symbol, row.kind.other)),
        "swap": float(row.swap), "profit": float(money.floating(row)), "symbol": row.symbol,
        "comment": row.comment, "external_id": row.external_id,
    }  # fmt: skip


def order_row(row: OrderRow, market: Market) -> Record:
    """Return the fields of a TradeOrder."""
    return {
        "ticket": row.ticket, "time_setup": row.setup_ms // 1000, "time_setup_msc": row.setup_ms,
        "time_done": row.done_ms // 1000, "time_done_msc": row.done_ms,
        "time_expiration": row.expiration_s, "type": int(row.kind),
        "type_time": int(row.time_kind), "type_filling": int(row.filling),
        "state": int(row.state), "magic": row.magic, "position_id": row.position_id,
        "position_by_id": row.position_by_id, "reason": int(row.reason),
        "volume_initial": float(row.volume), "volume_current": float(row.left),
        "price_open": float(row.price), "sl": float(row.sl), "tp": float(row.tp),
        "price_current": float(market.price(row.symbol, row.kind.side)),
        "price_stoplimit": float(row.stoplimit), "symbol": row.symbol, "comment": row.comment,
        "external_id": row.external_id,
    }  # fmt: skip


def deal_row(row: DealRow) -> Record:
    """Return the fields of a TradeDeal."""
    return {
        "ticket": row.ticket, "order": row.order, "time": row.time_ms // 1000,
        "time_msc": row.time_ms, "type": int(row.kind), "entry": int(row.entry),
        "magic": row.magic, "position_id": row.position_id, "reason": int(row.reason),
        "volume": float(row.volume), "price": float(row.price),
        "commission": float(row.commission), "swap": float(row.swap),
        "profit": float(row.profit), "fee": 0.0, "symbol": row.symbol, "comment": row.comment,
        "external_id": row.external_id,
    }  # fmt: skip


def account_row(terms: Terms, funds: Funds) -> Record:
    """Return the fields of an AccountInfo."""
    return {
        "login": terms.login, "trade_mode": terms.trade_mode, "leverage": terms.leverage,
        "limit_orders": terms.limit_orders, "margin_so_mode": 0,
        "trade_allowed": terms.trade_allowed, "trade_expert": terms.trade_expert,
        "margin_mode": _MARGIN_MODES[terms.margin_mode], "currency_digits": 2,
        "fifo_close": terms.fifo_close, "balance": float(funds.balance), "credit": 0.0,
        "profit": float(funds.profit), "equity": float(funds.equity),
        "margin": float(funds.margin), "margin_free": float(funds.free),
        "margin_level": float(funds.level), "margin_so_call": float(terms.so_call),
        "margin_so_so": float(terms.so_so), "margin_initial": 0.0, "margin_maintenance": 0.0,
        "assets": 0.0, "liabilities": 0.0, "commission_blocked": 0.0, "name": terms.name,
        "server": terms.server, "currency": terms.currency, "company": terms.company,
    }  # fmt: skip


_NOUGHT: Final[Record] = dict.fromkeys((
    "session_deals", "session_buy_orders", "session_sell_orders", "volume", "volumehigh",
    "volumelow", "ticks_bookdepth", "start_time", "expiration_time", "option_mode",
    "option_right", "chart_mode", "order_gtc_mode",
), 0)  # fmt: skip
_NOUGHT_FLOAT: Final[Record] = dict.fromkeys((
    "bidhigh", "bidlow", "askhigh", "asklow", "last", "lasthigh", "lastlow", "volume_real",
    "volumehigh_real", "volumelow_real", "option_strike", "trade_accrued_interest",
    "trade_face_value", "trade_liquidity_rate", "margin_initial", "margin_maintenance",
    "session_volume", "session_turnover", "session_interest", "session_buy_orders_volume",
    "session_sell_orders_volume", "session_open", "session_close", "session_aw",
    "session_price_settlement", "session_price_limit_min", "session_price_limit_max",
    "price_change", "price_volatility", "price_theoretical", "price_greeks_delta",
    "price_greeks_theta", "price_greeks_gamma", "price_greeks_vega", "price_greeks_rho",
    "price_greeks_omega", "price_sensitivity",
), 0.0)  # fmt: skip
_EMPTY: Final[Record] = dict.fromkeys(
    ("basis", "category", "bank", "exchange", "formula", "isin", "page"), ""
)


def symbol_row(spec: SymbolTerms, market: Market, money: Money) -> Record:
    """Return the fields of a SymbolInfo; the prices of a symbol that is not watched are 0."""
    quote = market.tick(spec.name)
    bid, ask = (quote.bid, quote.ask) if quote else (Decimal(0), Decimal(0))
    worth = float(money.profit(spec, Kind.BUY, Decimal(1), (Decimal(0), spec.step)))
    watched = market.watched(spec.name)
    return _NOUGHT | _NOUGHT_FLOAT | _EMPTY | {
        "custom": False, "select": watched, "visible": watched,
        "time": quote.time_ms // 1000 if quote else 0, "digits": spec.digits,
        "spread": int((ask - bid) / spec.point), "spread_float": True,
        "trade_calc_mode": spec.calc_mode, "trade_mode": int(spec.trade_mode),
        "trade_stops_level": spec.stops_level, "trade_freeze_level": spec.freeze_level,
        "trade_exemode": int(spec.exemode), "swap_mode": 1, "swap_rollover3days": 3,
        "margin_hedged_use_leg": False, "expiration_mode": spec.expiration_mode,
        "filling_mode": spec.filling_mode, "order_mode": spec.order_mode, "bid": float(bid),
        "ask": float(ask), "point": float(spec.point), "trade_tick_value": worth,
        "trade_tick_value_profit": worth, "trade_tick_value_loss": worth,
        "trade_tick_size": float(spec.step), "trade_contract_size": float(spec.contract_size),
        "volume_min": float(spec.volume_min), "volume_max": float(spec.volume_max),
        "volume_step": float(spec.volume_step), "volume_limit": float(spec.volume_limit),
        "swap_long": float(spec.swap_long), "swap_short": float(spec.swap_short),
        "margin_hedged": float(spec.contract_size), "currency_base": spec.base,
        "currency_profit": spec.profit, "currency_margin": spec.margin,
        "description": spec.description, "name": spec.name, "path": spec.path,
    }  # fmt: skip
