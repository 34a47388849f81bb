"""Rows of permission, volume and count."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from bridge_core.protocol.codes import ReasonCode
from bridge_core.risk.policy import StrategyLimits
from bridge_core.risk.state import Fill, RiskState, Sent
from tests.risk.case import NAN, OF_ACCOUNT, OF_SETTING, Case, Pair, blind, in_one, in_two, spec_of
from tests.support.risk_world import NOW, close, modify, opening, pending, picture, position, state

__all__ = ["ORDER_CASES"]

_C = ReasonCode
D: Final = Decimal


def _sent(ago_ms: int) -> RiskState:
    made = Sent("EURUSD", "BUY", D("0.1"), NOW - ago_ms)
    return state(sent=[made, Sent("USDJPY", "BUY", D("0.1"), NOW)])


def _filled(*fills: tuple[int, int]) -> RiskState:
    return state(fills=[Fill(strategy, NOW - ago_ms) for strategy, ago_ms in fills])


_HELD = position()
_RESTING = pending()
_JPY = {"symbol": "USDJPY"}
_BUY_2 = opening(volume="0.20")
_BUY_OVER = opening(volume="0.21")

_PERMISSIONS: Final = (
    in_one(
        18, _C.SYMBOL_NOT_ALLOWED, picture(), opening(), opening(symbol="eurusd"), blind=OF_SETTING
    ),
    in_two(
        18,
        _C.SYMBOL_NOT_ALLOWED,
        opening(strategy=7),
        picture(risk={"strategies": {"8": StrategyLimits(allowed_symbols=())}}),
        picture(risk={"strategies": {"7": StrategyLimits(allowed_symbols=("USDJPY",))}}),
        blind=OF_SETTING,
    ),
    in_one(
        20,
        _C.TYPE_NOT_ALLOWED,
        picture(risk={"allowed_types": ("BUY",)}),
        opening("BUY"),
        opening("SELL"),
        blind=OF_SETTING,
    ),
    in_two(
        20,
        _C.TYPE_NOT_ALLOWED,
        opening(strategy=7),
        picture(risk={"strategies": {"7": StrategyLimits(allowed_types=("BUY",))}}),
        picture(risk={"strategies": {"7": StrategyLimits(allowed_types=("SELL",))}}),
        blind=OF_SETTING,
    ),
    in_two(
        20,
        _C.TYPE_NOT_ALLOWED,
        modify(_HELD, sl="1.09"),
        picture([_HELD], risk={"allowed_ops": ("OPEN", "MODIFY")}),
        picture([_HELD], risk={"allowed_ops": ("OPEN",)}),
        blind=OF_SETTING,
        reduces=False,
    ),
    in_two(
        18,
        _C.SYMBOL_UNKNOWN,
        opening(),
        picture(),
        picture(symbols={}),
        blind=tuple(
            picture(symbols=spec_of(**{grid: value}))
            for grid in ("point", "volume_min", "volume_max", "volume_step")
            for value in (D(0), D(-1), NAN, D("Infinity"))
        ),
    ),
    *(
        in_two(5, _C.NO_LIMIT, opening(), picture(), lacking, blind=(lacking,))
        for lacking in (
            picture(limits={"max_volume": None}),
            picture(limits={"max_positions": None}),
            picture(risk={"max_daily_loss": None}),
            picture(risk={"require_sl": None}),
        )
    ),
    in_two(
        28,
        _C.MARGIN_MODE,
        opening(),
        picture(risk={"margin_mode": "hedging"}),
        picture(risk={"margin_mode": "netting"}),
        blind=(picture(risk={"margin_mode": "hedging"}, identity=None),),
        pair=OF_ACCOUNT,
    ),
    in_two(
        16, _C.NO_ACCOUNT, opening(), picture(), picture(account=None), blind=blind(),
        pair=OF_ACCOUNT,
    ),
    in_two(
        27,
        _C.TICKET_UNKNOWN,
        close(_HELD),
        picture([_HELD]),
        picture(),
        blind=OF_SETTING,
        reduces=False,
    )._replace(over=close(_HELD, position=None)),
    in_one(
        27,
        _C.NOT_OURS,
        picture([_HELD], risk={"manage": "own"}),
        close(_HELD),
        close(_HELD, ours=False),
        blind=OF_SETTING,
        reduces=False,
    ),
    in_one(
        22,
        _C.VOLUME_GRID,
        picture(),
        opening(volume="0.01"),
        opening(volume="0.015"),
        blind=(picture(symbols={}),),
        reduces=False,
    ),
    in_one(
        5,
        _C.MAX_VOLUME,
        picture(limits={"max_volume": D("0.20")}),
        _BUY_2,
        _BUY_OVER,
        blind=(picture(limits={"max_volume": None}),),
    ),
    in_one(
        8,
        _C.MAX_DEVIATION,
        picture(limits={"max_deviation": 20}),
        opening(deviation=20),
        opening(deviation=21),
        blind=OF_SETTING,
    ),
)  # fmt: skip

_COUNTS: Final = (
    in_two(
        14,
        _C.MAX_POSITIONS,
        opening(),
        picture([_HELD], limits={"max_positions": 2}),
        picture([_HELD], [_RESTING], limits={"max_positions": 2}),
        blind=(picture(limits={"max_positions": None}),),
        pair=Pair(opening(), opening(), picture(limits={"max_positions": 1})),
    ),
    in_two(
        15,
        _C.MAX_ORDERS,
        opening("BUY_LIMIT", price="1.09"),
        picture([], [pending(23)], limits={"max_orders": 2}),
        picture([], [pending(23), pending(24)], limits={"max_orders": 2}),
        blind=OF_SETTING,
        pair=Pair(
            opening("BUY_LIMIT", price="1.09"),
            opening("BUY_LIMIT", price="1.08"),
            picture(limits={"max_orders": 1}),
        ),
    ),
    in_two(
        15,
        _C.MAX_OPEN_ORDERS,
        opening(),
        picture([position(1, **_JPY)], risk={"max_open_orders": 2}),
        picture([position(1, **_JPY)], [_RESTING], risk={"max_open_orders": 2}),
        blind=OF_SETTING,
        pair=Pair(opening(), opening(**_JPY), picture(risk={"max_open_orders": 1})),
    ),
    in_one(
        14,
        _C.MAX_NET_VOLUME,
        picture([_HELD], limits={"max_net_volume": D("0.30")}),
        _BUY_2,
        _BUY_OVER,
        blind=OF_SETTING,
        pair=Pair(opening(), _BUY_2, picture(limits={"max_net_volume": D("0.20")})),
    ),
    in_one(
        14,
        _C.MAX_GROSS_VOLUME,
        picture([position(1, "SELL")], limits={"max_gross_volume": D("0.30")}),
        _BUY_2,
        _BUY_OVER,
        blind=OF_SETTING,
        pair=Pair(opening("SELL"), _BUY_2, picture(limits={"max_gross_volume": D("0.20")})),
    ),
    in_two(
        11,
        _C.DUPLICATE_INTENT,
        opening(),
        picture(risk={"duplicate_window_s": 5}, state=_sent(5_000)),
        picture(risk={"duplicate_window_s": 5}, state=_sent(4_999)),
        blind=(picture(risk={"duplicate_window_s": 5}, state=None),),
        pair=Pair(opening(), opening(), picture(risk={"duplicate_window_s": 5})),
    ),
    in_two(
        10,
        _C.MAX_TRADES,
        opening(),
        picture(risk={"max_trades_per_day": 2}, state=state(trades=1)),
        picture(risk={"max_trades_per_day": 2}, state=state(trades=2)),
        blind=blind(max_trades_per_day=2)[3:],
        pair=Pair(opening(), opening(), picture(risk={"max_trades_per_day": 1})),
    ),
    in_two(
        10,
        _C.MAX_FILLS,
        opening(strategy=7),
        picture(risk={"max_fills": 2}, state=_filled((7, 59_999), (7, 60_000), (8, 1))),
        picture(risk={"max_fills": 2}, state=_filled((7, 59_999), (7, 1))),
        blind=blind(max_fills=2)[3:],
        pair=Pair(
            opening(strategy=7),
            opening(strategy=7),
            picture(risk={"max_fills": 2}, state=_filled((7, 1))),
        ),
    ),
    in_two(
        17,
        _C.MAX_REJECTIONS,
        opening(),
        picture(risk={"max_rejections": 3}, state=state(rejections=2)),
        picture(risk={"max_rejections": 3}, state=state(rejections=3)),
        blind=blind(max_rejections=3)[3:],
        pair="an order in flight has not been rejected",
    ),
)


ORDER_CASES: Final[tuple[Case, ...]] = (*_PERMISSIONS, *_COUNTS)
