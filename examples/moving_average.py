"""Two moving averages cross: a whole strategy with nothing but the public API (README.md)."""

from collections import deque
from itertools import pairwise
from statistics import fmean

from bridge_client import Connector, OrderResult, PositionClosed, Resync, Status, Tick

__all__ = ["run"]

FAST, SLOW, LOTS = 6, 24, 0.02


def run(bridge: Connector, symbol: str) -> None:
    """Trade until the events end: long while the fast average is above the slow one, else short."""
    grid, prices = bridge.get_symbol(symbol), deque[float](maxlen=SLOW)
    side, held, resting, halved, paid = "", 0, 0, False, 0.0  # held and resting are tickets
    for event in bridge.events(symbol, timeout=60):
        match event:
            case PositionClosed(ticket=ticket, remaining_volume=0.0) if ticket == held:
                held = 0
            case Resync(positions=positions):  # events were lost: this is the truth now
                held = held if held in {position.ticket for position in positions} else 0
            case Tick(bid=bid, ask=ask):
                prices.append((bid + ask) / 2)
                if len(prices) < SLOW:
                    continue
                step = fmean(abs(after - before) for before, after in pairwise(prices))
                wanted = "BUY" if fmean(list(prices)[-FAST:]) > fmean(prices) else "SELL"
                sign, entry, out = (1, ask, bid) if wanted == "BUY" else (-1, bid, ask)
                if wanted != side:  # the averages have crossed: turn round
                    if resting:
                        bridge.cancel_order(resting)  # refused if it has filled: its sl ends it
                    if held:
                        bridge.close_position(held)
                    sl, tp = grid.price(out - sign * 4 * step), grid.price(out + sign * 8 * step)
                    first = bridge.send_order(symbol, wanted, LOTS, sl=sl, tp=tp, comment="cross")
                    first = settled(bridge, first)
                    held, paid, halved = first.ticket, first.price, False
                    dip = grid.price(entry - sign * step)
                    more = bridge.send_order(symbol, f"{wanted}_LIMIT", LOTS / 2, price=dip, sl=sl)
                    side, resting = wanted, settled(bridge, more).ticket
                elif held and not halved and sign * (out - paid) > 2 * step:
                    bridge.close_position(held, LOTS / 2)  # half of the profit is safe,
                    bridge.modify_position(held, sl=grid.price(paid))  # the rest costs nothing
                    halved = True


def settled(bridge: Connector, result: OrderResult) -> OrderResult:
    """Return what became of an order: a slow answer is waited for, never assumed."""
    if result.status in (Status.PENDING, Status.UNKNOWN):
        return bridge.wait(result, timeout=120)
    return result
