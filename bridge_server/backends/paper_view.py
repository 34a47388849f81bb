"""What the paper broker shows: snapshots, and the words that say what its fills are worth. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from bridge_server.backends.paper_book import Turn
from bridge_server.backends.paper_feed import spread_model
from bridge_server.backends.paper_money import decimal_text
from bridge_server.backends.paper_settings import SYNTHETIC, TERMINAL, PaperSettings
from bridge_server.core.ports import Identity, Quote, Snapshot

__all__ = ["called", "describe", "identity_of", "make_snapshot", "said_of_fill"]


def identity_of(settings: PaperSettings) -> Identity:
    """Return which account this is."""
    return Identity(
        login=settings.login,
        server=settings.broker_server,
        kind="paper",
        currency=settings.currency,
        margin_mode="hedging",
        leverage=settings.leverage,
    )


def called(source: str) -> str:
    """Return how people are told of a price source."""
    if source == TERMINAL:
        return "the terminal's price"
    return "synthetic price" if source == SYNTHETIC else f"price of {PurePath(source).name}"


def said_of_fill(turn: Turn, sources: Mapping[str, str], symbol: str) -> str:
    """Return what a fill says of itself: that it is paper, its price source, its spread."""
    price = turn.book.quotes.get(symbol)
    if price is None or symbol not in sources:
        return "paper"
    points = (price.ask - price.bid) / turn.spec(symbol).point
    return f"paper: {called(sources[symbol])}, spread {points:f} points"


def describe(settings: PaperSettings, sources: Mapping[str, str]) -> str:
    """Return the note of every snapshot: sources, spread model, path, terms."""
    parts = ["paper: simulated fills"]
    for symbol, source in sources.items():
        points = spread_model(settings, symbol).points
        spread = f"bars: bid, ask = bid + {points} points"
        if settings.spread_from_file:
            spread = "bars: bid, ask = bid + the row's spread"
        if source == SYNTHETIC:
            spread = f"a seeded walk and no market, ask = bid + {points} points"
        if source == TERMINAL:
            spread = "bid and ask as it shows them"
        parts.append(f"{symbol} {called(source)} ({spread})")
    if settings.script:
        parts.append("conditions by script: a test, no market")
    if settings.source_note:
        parts.append(settings.source_note)
    parts += [
        "bar path open, nearer extreme, farther extreme, close",
        f"hedging, leverage {settings.leverage}, swap and commission 0, stop-out below 50 %",
        f"began with {decimal_text(settings.balance)} {settings.currency}",
    ]
    return "; ".join(parts)


def make_snapshot(
    turn: Turn, identity: Identity, wall_ms: int, *, connected: bool, note: str
) -> Snapshot:
    """Return the account as it stands; `wall_ms` (UTC ms) is when it was asked."""
    book = turn.book
    return Snapshot(
        taken_wall_ms=wall_ms,
        market_ms=book.market_ms,
        connected=connected,
        identity=identity,
        account=turn.account(),
        positions={ticket: turn.valued(each) for ticket, each in book.positions.items()},
        orders=book.orders,
        quotes={
            symbol: Quote(
                symbol=symbol,
                bid=price.bid,
                ask=price.ask,
                time_ms=price.time_ms,
                asked_wall_ms=wall_ms,
            )
            for symbol, price in book.quotes.items()
            if symbol in turn.money.specs
        },
        symbols=turn.money.specs,
        note=note,
    )
