"""Rows of the market and of prices: EURUSD is 1.10000 / 1.10010."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from bridge_core.protocol.codes import ReasonCode
from bridge_core.risk.picture import Swing
from tests.risk.case import NAN, OF_MARKET, OF_SETTING, Case, in_one, in_two, spec_of
from tests.support.risk_world import (
    NOW,
    modify,
    opening,
    pending,
    picture,
    position,
    quote,
    quotes,
)

__all__ = ["MARKET_CASES"]

_C = ReasonCode
D: Final = Decimal
_HELD: Final = position()
_RESTING: Final = pending()

_HOURS: Final = "Mon-Thu 07:00-21:00, Fri 07:00-12:00"
_UNTIL_ONE: Final = "Fri 07:00-12:01"
_SPREAD: Final = quotes(quote(ask="1.10020"))
_CALM: Final = {"EURUSD": Swing(D("1.10110"), D("1.10000"))}
_WILD: Final = {"EURUSD": Swing(D("1.10111"), D("1.10000"))}

_MARKETS: Final = (
    in_two(
        21,
        _C.TRADING_HOURS,
        opening(),
        picture(limits={"trading_hours": _UNTIL_ONE}),
        picture(limits={"trading_hours": _HOURS}),
        blind=OF_SETTING,
        pair=OF_MARKET,
    ),
    in_two(
        21,
        _C.TRADING_HOURS,
        opening(),
        picture(risk={"trading_hours": _UNTIL_ONE}),
        picture(risk={"trading_hours": _UNTIL_ONE}, market_ms=NOW + 60_000),
        blind=OF_SETTING,
        pair=OF_MARKET,
    ),
    *(
        in_two(
            21,
            _C.SESSION_CLOSED,
            opening(side),
            picture(symbols=spec_of(**good)),
            picture(symbols=spec_of(**bad)),
            blind=(picture(symbols={}),),
            pair=OF_MARKET,
        )
        for side, good, bad in (
            ("BUY", {"session": "OPEN"}, {"session": "CLOSED"}),
            ("BUY", {"trade_mode": "LONGONLY"}, {"trade_mode": "SHORTONLY"}),
            ("SELL", {"trade_mode": "SHORTONLY"}, {"trade_mode": "LONGONLY"}),
            ("SELL", {"trade_mode": "FULL"}, {"trade_mode": "CLOSEONLY"}),
            ("BUY", {}, {"trade_mode": "DISABLED"}),
        )
    ),
    *(
        in_two(
            26,
            _C.NO_QUOTE,
            opening(),
            picture(quotes=quotes(quote(bid="1.10010"))),
            picture(quotes=quotes(quote(bid=bid, ask=ask))),
            blind=(picture(quotes={}),),
            pair=OF_MARKET,
        )
        for bid, ask in (
            ("1.10011", "1.10010"),
            ("NaN", "1.1"),
            ("1.1", "NaN"),
            ("0", "1.1"),
            ("-1", "1.1"),
            ("1.1", "Infinity"),
            ("sNaN", "1.1"),
        )
    ),
    in_two(
        26,
        _C.STALE_QUOTE,
        opening(),
        picture(quotes=quotes(quote(asked_wall_ms=NOW - 2_000))),
        picture(quotes=quotes(quote(asked_wall_ms=NOW - 2_001))),
        blind=(picture(quotes={}),),
        pair=OF_MARKET,
    ),
    in_two(
        26,
        _C.STALE_QUOTE,
        opening(),
        picture(quotes=quotes(quote(asked_wall_ms=NOW + 1_000))),
        picture(quotes=quotes(quote(asked_wall_ms=NOW + 1_001))),
        blind=(picture(quotes=quotes(quote(asked_wall_ms=0))),),
        pair=OF_MARKET,
    ),
    in_two(
        26,
        _C.STALE_QUOTE,
        opening(),
        picture(limits={"max_tick_age_s": 5}, quotes=quotes(quote(time_ms=NOW - 5_000))),
        picture(limits={"max_tick_age_s": 5}, quotes=quotes(quote(time_ms=NOW - 5_001))),
        blind=(picture(quotes=quotes(quote(time_ms=0))),),
        pair=OF_MARKET,
    ),
    in_two(
        25,
        _C.MAX_MOVE,
        opening(),
        picture(limits={"max_move": D("0.1")}, swings=_CALM),
        picture(limits={"max_move": D("0.1")}, swings=_WILD),
        blind=(
            picture(limits={"max_move": D("0.1")}),
            picture(limits={"max_move": D("0.1")}, swings={"EURUSD": Swing(NAN, D(1))}),
        ),
        pair=OF_MARKET,
    ),
    in_two(
        25,
        _C.MAX_SPREAD,
        opening(),
        picture(limits={"max_spread": 20}, quotes=_SPREAD),
        picture(limits={"max_spread": 19}, quotes=_SPREAD),
        blind=(picture(limits={"max_spread": 20}, quotes={}),),
        pair=OF_MARKET,
    ),
)

# A collar of 1 %: of the ask 1.10010 it is 0.0110010, of the bid 1.10000 exactly 0.01100.
_COLLAR: Final = picture([_HELD], [_RESTING], limits={"price_collar": D(1)})
_REQUIRED: Final = {"require_sl": True, "max_risk_per_trade": "50%"}
# Where the loss at the stop has a limit and nothing is said, there has to be a stop.
_IMPLIED: Final = {"require_sl": None, "max_risk_per_trade": "50%"}
_FAR: Final = {"max_sl_distance": 100}
_STOPPED: Final = position(sl=D("1.09000"))
_NEAR: Final = position(sl=D("1.09450"))
_LEVEL: Final = picture(symbols=spec_of(stops_level=10))
_NO_SPEC: Final = (picture(symbols={}),)
_NO_QUOTE: Final = (picture(quotes={}),)

_PRICES: Final = (
    in_one(
        22, _C.PRICE_GRID, picture(), opening(sl="1.09000"), opening(sl="1.090001"), blind=_NO_SPEC
    ),
    in_one(
        22,
        _C.PRICE_SIDE,
        picture(),
        opening("BUY_LIMIT", price="1.10009"),
        opening("BUY_LIMIT", price="1.10010"),
        blind=_NO_QUOTE,
    ),
    *(
        in_one(
            7,
            _C.PRICE_COLLAR,
            _COLLAR,
            order,
            over,
            blind=(picture([_HELD], [_RESTING], limits={"price_collar": D(1)}, quotes={}),),
        )
        for order, over in (
            (opening("BUY_LIMIT", price="1.08910"), opening("BUY_LIMIT", price="1.08909")),
            (opening("SELL_LIMIT", price="1.11100"), opening("SELL_LIMIT", price="1.11101")),
            (opening(price="1.11110"), opening(price="1.11111")),
            (opening(sl="1.08900"), opening(sl="1.08899")),
            (opening(tp="1.11100"), opening(tp="1.11101")),
            (opening("SELL", sl="1.11110"), opening("SELL", sl="1.11111")),
            (modify(_RESTING, price="1.08910"), modify(_RESTING, price="1.08909")),
            (modify(_HELD, tp="1.11100"), modify(_HELD, tp="1.11101")),
            (modify(_STOPPED, sl="1.08900"), modify(_STOPPED, sl="1.08899")),
        )
    ),
    in_one(
        22, _C.STOPS_SIDE, picture(), opening(sl="1.09999"), opening(sl="1.10000"), blind=_NO_QUOTE
    ),
    in_one(
        22, _C.STOPS_LEVEL, _LEVEL, opening(sl="1.09990"), opening(sl="1.09991"), blind=_NO_QUOTE
    ),
    *(
        in_one(
            24,
            _C.SL_REQUIRED,
            picture(risk=risk),
            opening(sl="1.09000"),
            opening(),
            blind=OF_SETTING,
        )
        for risk in (_REQUIRED, _IMPLIED)
    ),
    in_one(
        24,
        _C.SL_REQUIRED,
        picture([_STOPPED], risk=_REQUIRED),
        modify(_STOPPED, sl="1.09000"),
        modify(_STOPPED, tp="1.12000"),
        blind=OF_SETTING,
    ),
    *(
        in_one(
            24,
            _C.SL_DISTANCE,
            picture([_STOPPED], limits=_FAR),
            order,
            over,
            blind=(
                picture([_STOPPED], limits=_FAR, symbols={}),
                picture([_STOPPED], limits=_FAR, quotes={}),
            ),
        )
        for order, over in (
            (opening(sl="1.09910"), opening(sl="1.09909")),
            (opening("SELL", sl="1.10100"), opening("SELL", sl="1.10101")),
            (
                opening("BUY_LIMIT", price="1.09", sl="1.08900"),
                opening("BUY_LIMIT", price="1.09", sl="1.08899"),
            ),
            (modify(_NEAR, sl="1.09400"), modify(_NEAR, sl="1.09399")),
        )
    ),
    in_one(
        22,
        _C.EXPIRATION,
        picture(),
        opening("BUY_LIMIT", price="1.09", expiration=NOW + 1),
        opening("BUY_LIMIT", price="1.09", expiration=NOW),
        blind=OF_SETTING,
    ),
)


MARKET_CASES: Final[tuple[Case, ...]] = (*_MARKETS, *_PRICES)
