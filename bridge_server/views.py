"""Domain -> wire: how rows, outcomes and snapshots are shown to peers (pure conversions)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from bridge_core.protocol.codes import ReasonCode, Refusal, Status
from bridge_core.protocol.messages import Cancel, Close, Flatten, Modify, Open, Request
from bridge_core.protocol.replies import OrderView, text_of
from bridge_core.protocol.views import (
    AccountIdentity,
    AccountView,
    DealView,
    PendingView,
    PositionView,
    QuoteView,
    SymbolView,
)
from bridge_server.core.orders import Evidence
from bridge_server.core.ports import (
    Deal,
    Executed,
    Facts,
    Identity,
    Lost,
    NotBegun,
    Outcome,
    Pending,
    Position,
    Quote,
    Rejected,
    Snapshot,
    SymbolSpec,
)

__all__ = [
    "account_view", "deal_view", "identity_view", "pending_view", "position_view", "quote_view",
    "symbol_view", "view_of_body", "with_outcome", "with_refusal",
]  # fmt: skip

_t = text_of


# What an order's view shows of its signed body, by the body's own field.
_SHOWN: Final = {
    "client_order_id": "client_order_id",
    "client": "client",
    "symbol": "symbol",
    "type": "type",
    "ticket": "ticket",
    "volume": "requested_volume",
    "price": "requested_price",
    "strategy": "strategy",
    "comment": "comment",
    "reason": "comment",
}


def view_of_body(rid: str, op: str, kid: str, body: Request | None, now_ms: int) -> OrderView:
    """Return what is known of a request before anything happened to it."""
    view = OrderView(
        rid=rid, op=op, kid=kid, status=Status.PENDING, accepted_at=now_ms, time=now_ms
    )
    if not isinstance(body, Open | Close | Modify | Cancel | Flatten):
        return view
    known = {
        shown: getattr(body, field)
        for field, shown in _SHOWN.items()
        if field in body.__struct_fields__
    }
    return msgspec.structs.replace(view, **known)


def with_refusal(view: OrderView, refusal: Refusal, by: str, now_ms: int) -> OrderView:
    """Return the view of an order that one of us refused."""
    return msgspec.structs.replace(
        view,
        status=Status.DENIED,
        code=refusal.code,
        final=True,
        by=by,
        limit=refusal.limit,
        value=refusal.value,
        headroom=refusal.headroom,
        nearest=list(refusal.nearest),
        evidence=Evidence.SERVER,
        ended_at=now_ms,
        time=now_ms,
    )


def with_outcome(view: OrderView, outcome: Outcome, evidence: Evidence, now_ms: int) -> OrderView:
    """Return the view once the broker's side is known, or known to be unknown."""
    match outcome:
        case Executed():
            shown = _with_facts(view, outcome.facts)
            return msgspec.structs.replace(
                shown,
                status=outcome.status,
                code=outcome.code,
                final=True,
                evidence=evidence,
                life="WORKING" if outcome.status is Status.WORKING else "",
                ended_at=now_ms,
                time=now_ms,
                ea=outcome.record.decode("ascii"),
                ea_mac=outcome.record_mac,
            )
        case Rejected():
            return msgspec.structs.replace(
                view,
                status=Status.REJECTED,
                code=outcome.code,
                final=True,
                by="broker",
                evidence=evidence,
                retcode=outcome.facts.retcode,
                ended_at=now_ms,
                time=now_ms,
                ea=outcome.record.decode("ascii"),
                ea_mac=outcome.record_mac,
            )
        case NotBegun():
            by = "server" if evidence in (Evidence.ABSENT, Evidence.SERVER) else "executor"
            return msgspec.structs.replace(
                with_refusal(view, outcome.refusal, by, now_ms),
                evidence=evidence,
                ea=outcome.record.decode("ascii"),
                ea_mac=outcome.record_mac,
            )
        case Lost():
            return msgspec.structs.replace(
                view, status=Status.UNKNOWN, code=ReasonCode.NO_ANSWER, final=False, time=now_ms
            )


def _with_facts(view: OrderView, facts: Facts) -> OrderView:
    net = facts.profit + facts.swap + facts.commission
    return msgspec.structs.replace(
        view,
        symbol=facts.symbol or view.symbol,
        type=facts.type or view.type,
        ticket=facts.ticket or view.ticket,
        deal=facts.deal,
        order=facts.order,
        volume=_t(facts.volume),
        price=_t(facts.price),
        close_price=_t(facts.close_price),
        sl=_t(facts.sl),
        tp=_t(facts.tp),
        profit=_t(facts.profit),
        swap=_t(facts.swap),
        commission=_t(facts.commission),
        net_profit=_t(net),
        remaining_volume=_t(facts.remaining_volume),
        remaining_ticket=facts.remaining_ticket,
        retcode=facts.retcode,
        execution_time=facts.market_ms,
        zone_ms=facts.zone_ms,
        comment=view.comment or facts.comment,
    )


def identity_view(one: Identity) -> AccountIdentity:
    """Return the account's identity."""
    return AccountIdentity(
        login=one.login,
        server=one.server,
        kind=one.kind,
        currency=one.currency,
        margin_mode=one.margin_mode,
    )


def account_view(shot: Snapshot, mode: str) -> AccountView:
    """Return the account's money."""
    who, money = shot.identity, shot.account
    level = money.margin_level
    return AccountView(
        login=who.login,
        server=who.server,
        kind=who.kind,
        currency=who.currency,
        margin_mode=who.margin_mode,
        leverage=who.leverage,
        balance=_t(money.balance),
        equity=_t(money.equity),
        margin=_t(money.margin),
        free_margin=_t(money.free_margin),
        margin_level=_t(level.quantize(Decimal("0.01"))) if level is not None else "",
        profit=_t(money.profit),
        market_time=shot.market_ms,
        zone_ms=shot.zone_ms,
        time=shot.taken_wall_ms,
        mode=mode,
    )


def position_view(one: Position, opener: OrderView | None) -> PositionView:
    """Return a position; `opener` is our order behind it, None makes it foreign."""
    return PositionView(
        ticket=one.ticket,
        symbol=one.symbol,
        type=one.type,
        volume=_t(one.volume),
        open_price=_t(one.open_price),
        current_price=_t(one.current_price),
        sl=_t(one.sl),
        tp=_t(one.tp),
        profit=_t(one.profit),
        swap=_t(one.swap),
        commission=_t(one.commission),
        magic=one.magic,
        strategy=opener.strategy if opener is not None else 0,
        comment=opener.comment if opener is not None and opener.comment else one.comment,
        client_order_id=opener.client_order_id if opener is not None else "",
        rid=opener.rid if opener is not None else "",
        origin="ours" if opener is not None else "foreign",
        opened_at=one.opened_ms,
    )


def pending_view(one: Pending, opener: OrderView | None) -> PendingView:
    """Return a pending order; `opener` as in `position_view`."""
    return PendingView(
        ticket=one.ticket,
        symbol=one.symbol,
        type=one.type,
        volume=_t(one.volume),
        price=_t(one.price),
        sl=_t(one.sl),
        tp=_t(one.tp),
        expiration=one.expiration_ms,
        magic=one.magic,
        strategy=opener.strategy if opener is not None else 0,
        comment=opener.comment if opener is not None and opener.comment else one.comment,
        client_order_id=opener.client_order_id if opener is not None else "",
        rid=opener.rid if opener is not None else "",
        origin="ours" if opener is not None else "foreign",
        placed_at=one.placed_ms,
    )


def deal_view(one: Deal) -> DealView:
    """Return one deal."""
    return DealView(
        deal=one.deal,
        ticket=one.ticket,
        order=one.order,
        symbol=one.symbol,
        type=one.type,
        entry=one.entry,
        volume=_t(one.volume),
        price=_t(one.price),
        profit=_t(one.profit),
        swap=_t(one.swap),
        commission=_t(one.commission),
        magic=one.magic,
        comment=one.comment,
        reason=one.reason,
        time=one.time_ms,
    )


def quote_view(one: Quote) -> QuoteView:
    """Return one quote."""
    return QuoteView(
        symbol=one.symbol,
        bid=_t(one.bid),
        ask=_t(one.ask),
        time=one.time_ms,
        asked=one.asked_wall_ms,
    )


def symbol_view(one: SymbolSpec, *, allowed: bool) -> SymbolView:
    """Return one symbol's grids."""
    return SymbolView(
        symbol=one.symbol,
        digits=one.digits,
        point=_t(one.point),
        volume_min=_t(one.volume_min),
        volume_max=_t(one.volume_max),
        volume_step=_t(one.volume_step),
        contract_size=_t(one.contract_size),
        stops_level=one.stops_level,
        freeze_level=one.freeze_level,
        currency_base=one.currency_base,
        currency_profit=one.currency_profit,
        allowed=allowed,
        tick_size=_t(one.tick_size),
        tick_value=_t(one.tick_value),
        trade_mode=one.trade_mode,
        execution=one.execution,
        filling=one.filling,
        session=one.session,
    )
