"""The largest volume whose loss at the stop stays within a risk, on the symbol's grid."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from msgspec import structs

from bridge_core.protocol.codes import ReasonCode, Refusal
from bridge_core.risk.checks_basic import limits_of
from bridge_core.risk.exact import EXACT, money_text, plain, positive
from bridge_core.risk.money import limit_money, loss_at_stop
from bridge_core.risk.order import Flying, Proposal
from bridge_core.risk.picture import Picture
from bridge_core.risk.policy import Amount

__all__ = ["size_for_risk"]

ONE: Final = Decimal(1)


def size_for_risk(
    order: Proposal, picture: Picture, risk: Amount | None = None
) -> Decimal | Refusal:
    """Return the volume of an entry (its own is ignored), by `risk` or else max_risk_per_trade.

    Rounded down to the grid, at most the broker's largest volume and max_volume. A refusal where
    there is no sl, where the loss cannot be told, or where the least volume risks too much.
    """
    if not order.sl:
        return Refusal(ReasonCode.SL_REQUIRED, limit="sl", value="0")
    setting = picture.policy.account.max_risk_per_trade
    said = str(risk) if risk is not None else setting
    if said is None:
        return Refusal(ReasonCode.NO_LIMIT, limit='[risk] max_risk_per_trade = "1%"')
    money, spec = limit_money(said, picture), picture.symbols.get(order.symbol)
    if money is None:
        return Refusal(ReasonCode.NO_ACCOUNT, value="account")
    if spec is None or not positive(spec.volume_min, spec.volume_max, spec.volume_step):
        return Refusal(ReasonCode.SYMBOL_UNKNOWN, value=order.symbol)
    lot = Flying(
        symbol=order.symbol, type=order.type, volume=ONE, price=order.price, sl=order.sl,
        deviation=order.deviation,
    )  # fmt: skip
    loss = loss_at_stop(lot, picture)
    if loss is None:
        return Refusal(ReasonCode.NO_CONVERSION, value=order.symbol)
    if not loss:  # the stop does not lie on the losing side
        return Refusal(ReasonCode.STOPS_SIDE, value=plain(order.sl))
    own = limits_of(order.symbol, picture).max_volume
    top = spec.volume_max if own is None else min(own, spec.volume_max)
    with localcontext(EXACT):
        # Whole steps of a product: no quotient is rounded on the way.
        steps = min(money // (loss * spec.volume_step), top // spec.volume_step)
        volume = steps * spec.volume_step
        if volume < spec.volume_min:
            least = loss_at_stop(structs.replace(lot, volume=spec.volume_min), picture)
            value = money_text(least) if least is not None else ""
            return Refusal(ReasonCode.MAX_RISK, money_text(money), value, money_text(money))
    return volume.quantize(spec.volume_step, context=EXACT)
