"""Rows in account currency: 0.20 lots of EURUSD at the ask of 1.10010 are worth 22 002 USD."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from bridge_core.protocol.codes import ReasonCode
from tests.risk.case import OF_ACCOUNT, Case, Pair, blind, in_one, in_two, unpriced
from tests.support.risk_world import (
    account,
    identity,
    modify,
    opening,
    pending,
    picture,
    position,
    state,
)

__all__ = ["MONEY_CASES"]

_C = ReasonCode
D: Final = Decimal
_BUY_2: Final = opening(volume="0.20")
_BUY_OVER: Final = opening(volume="0.21")
_JPY: Final = {"symbol": "USDJPY"}
_EXPOSED: Final = {"max_total_exposure": 22_002}
_CORRELATED: Final = {"correlation_limit": 22_002}
_CURRENCY: Final = {"max_currency_exposure": 22_002}
_RISKED: Final = {"max_risk_per_trade": 100, "require_sl": False}
_PERCENT: Final = {"max_risk_per_trade": "1%", "require_sl": False}
_RESTING: Final = pending(sl=D("1.08000"), price=D("1.08500"))
_HELD: Final = position(sl=D("1.09000"))


_LEVELLED: Final = picture(risk={"min_margin_level": D(10_000)}, account=account("22002"))


MONEY_CASES: Final[tuple[Case, ...]] = (
    # 0.10 x 100 000 x (1.10010 + 10 points) = 11 002.00
    in_one(
        6,
        _C.MAX_ORDER_VALUE,
        picture(risk={"max_order_value": 11_002}),
        opening(deviation=10),
        opening(deviation=11),
        blind=(*unpriced(max_order_value=11_002), *blind(max_order_value="110.02%")),
    ),
    # A resting order is worth its own price: 0.10 x 100 000 x 1.09999
    in_one(
        6,
        _C.MAX_ORDER_VALUE,
        picture((), [pending()], risk={"max_order_value": "109.999%"}),
        modify(pending(), price="1.09999"),
        modify(pending(), price="1.10000"),
        blind=unpriced(max_order_value=11_002),
    ),
    # (1.10010 - 1.09010) x 0.10 x 100 000 = 100.00
    in_one(
        6,
        _C.MAX_RISK,
        picture(risk=_RISKED),
        opening(sl="1.09010"),
        opening(sl="1.09009"),
        blind=(*unpriced(**_RISKED), *blind(**_PERCENT)),
    ),
    # Sold: (1.11000 - (1.10000 - 10 points)) x 0.10 x 100 000 = 101.00
    in_one(
        6,
        _C.MAX_RISK,
        picture(risk=_PERCENT),
        opening("SELL", sl="1.11000"),
        opening("SELL", sl="1.11000", deviation=1),
        blind=unpriced(**_PERCENT),
    ),
    # A wider stop counts from where the position was opened: (1.09500 - 1.08500) x 10 000 = 100.00
    in_one(
        6,
        _C.MAX_RISK,
        picture([_HELD], risk=_PERCENT),
        modify(_HELD, sl="1.08500"),
        modify(_HELD, sl="1.08499"),
        blind=(picture([_HELD], risk=_PERCENT, account=None),),
    ),
    # A moved order from its new price: (1.09000 - 1.08000) x 10 000 = 100.00
    in_one(
        6,
        _C.MAX_RISK,
        picture((), [_RESTING], risk=_PERCENT),
        modify(_RESTING, sl="1.08000", price="1.09000"),
        modify(_RESTING, sl="1.08000", price="1.09001"),
        blind=unpriced(**_PERCENT),
    ),
    *(
        in_two(
            6,
            _C.NO_CONVERSION,
            opening(sl="1.09900"),
            picture(risk=risk),
            unpriced(**risk)[5],
            blind=unpriced(**risk),
        )
        for risk in (
            {"max_order_value": 1_000_000},
            _RISKED,
            {"max_total_exposure": 1_000_000},
            {"correlation_limit": 1_000_000},
            {"max_currency_exposure": 1_000_000},
            {"max_leverage": D(1_000)},
            {"min_margin_level": D(1)},
        )
    ),
    in_one(
        13,
        _C.MAX_EXPOSURE,
        picture(risk=_EXPOSED),
        _BUY_2,
        _BUY_OVER,
        blind=(*unpriced(**_EXPOSED), *blind(max_total_exposure="221%")),
        pair=Pair(opening(), opening("SELL", "0.20"), picture(risk=_EXPOSED)),
    ),
    # 0.10 x 100 000 x 1.10000 held, 10 900 resting: 21 900 with what is bought, 32 901 in all.
    in_one(
        13,
        _C.MAX_EXPOSURE,
        picture([position()], [pending()], risk={"max_total_exposure": "329.01%"}),
        opening(),
        opening(volume="0.11"),
        blind=tuple(
            picture([held], risk=_EXPOSED)
            for held in (position(current_price=D(0)), position(symbol="NOTHING"))
        ),
    ),
    *(
        in_one(
            14,
            code,
            picture(risk=risk),
            _BUY_2,
            _BUY_OVER,
            blind=(*unpriced(**risk), *blind(**dict.fromkeys(risk, "221%"))),
            # Bought euros are paid with dollars, and so is what GBPUSD buys.
            pair=Pair(opening(), opening(volume="0.09", symbol="GBPUSD"), picture(risk=risk)),
        )
        for code, risk in ((_C.CORRELATION, _CORRELATED), (_C.CURRENCY_EXPOSURE, _CURRENCY))
    ),
    in_one(
        13,
        _C.MAX_LEVERAGE,
        picture(risk={"max_leverage": D("2.2002")}),
        _BUY_2,
        _BUY_OVER,
        blind=unpriced(max_leverage=D("2.2002")),
        pair=Pair(opening(), _BUY_2, picture(risk={"max_leverage": D("2.2002")})),
    ),
    # The margin of 22 002 by 1:100 is 220.02; of an equity of 22 002 that is a level of 10 000 %.
    in_one(
        13,
        _C.MARGIN_LEVEL,
        _LEVELLED,
        _BUY_2,
        _BUY_OVER,
        blind=(
            *unpriced(min_margin_level=D(100)),
            picture(risk={"min_margin_level": D(100)}, account=account(margin=D("NaN"))),
            picture(risk={"min_margin_level": D(100)}, identity=identity(leverage=0)),
        ),
        pair=Pair(opening(), _BUY_2, _LEVELLED),
    ),
    in_two(
        13,
        _C.MIN_EQUITY,
        opening(),
        picture(risk={"min_equity": D("9999.99")}),
        picture(risk={"min_equity": D(10_000)}),
        blind=blind(min_equity=D(1)),
        pair=OF_ACCOUNT,
    ),
    in_two(
        16,
        _C.DAILY_LOSS,
        opening(),
        picture(state=state("-150", "-49.99")),
        picture(state=state("-150", "-50")),
        blind=blind(),
        pair=OF_ACCOUNT,
    ),
    in_two(
        16,
        _C.DRAWDOWN,
        opening(),
        picture(risk={"max_drawdown": "10%"}, state=state(equity=D("9000.01"))),
        picture(risk={"max_drawdown": "10%"}, state=state(equity=D("9000"))),
        blind=blind(max_drawdown="10%"),
        pair=OF_ACCOUNT,
    ),
)
