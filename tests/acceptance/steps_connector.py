"""Steps of a strategy with a real connector."""

from __future__ import annotations

from typing import Final

from bridge_client import OrderResult
from bridge_client.witness import Now
from tests.acceptance.connectors import (
    connect,
    connector_of,
    journal_of,
    result_of,
    results_of,
    write_config,
)
from tests.acceptance.language import says
from tests.acceptance.steps_orders import NAME, UNITS
from tests.acceptance.world import World

_AS: Final = rf"(?: as (?P<name>{NAME}))?"


@says(r"a connector")
def a_connector(world: World) -> str:
    """Connect a strategy to the house's server, on the house's clock."""
    return on_the_house(world)


def on_the_house(world: World) -> str:
    """Connect on the journal that is there, or on a new one."""
    house = world.house
    clock = house.clock
    if not house.alive:
        house.ready()
    world.notes.setdefault("ahead_ms", 0)

    def clocks() -> Now:
        ahead = world.notes["ahead_ms"]
        assert isinstance(ahead, int)
        return Now(clock.true_ms() + ahead, clock.mono_ms())

    config = write_config(house)
    made = connect(world, config, clocks)
    path = journal_of(config.parent)
    if path not in house.journals:
        house.journals.append(path)
    return repr(made)


@says(r"the connector's clock is (?P<count>\d+) (?P<unit>ms|s|min|h) (?P<where>ahead|behind)")
def clock_is_off(world: World, count: str, unit: str, where: str) -> None:
    """Set the connector's wall clock."""
    ms = int(count) * UNITS[unit]
    world.notes["ahead_ms"] = ms if where == "ahead" else -ms


def told(world: World, name: str, result: OrderResult) -> str:
    """Keep what a strategy was told, and say it."""
    results_of(world)[name] = result
    return str(result)


@says(rf"the connector (?P<side>buys|sells) (?P<symbol>\S+) (?P<volume>\S+)"
      rf"(?: within (?P<wait>[0-9.]+) s)?{_AS}")  # fmt: skip
def trades(world: World, **said: str) -> str:
    """`the connector buys EURUSD 0.01 as mine`."""
    bridge = connector_of(world)
    call = bridge.buy if said["side"] == "buys" else bridge.sell
    result = call(said["symbol"], said["volume"], wait=float(said.get("wait", "10")))
    return told(world, said.get("name", "last"), result)


@says(rf"the connector closes (?P<which>{NAME})")
def closes(world: World, which: str) -> str:
    """Close a position."""
    return told(world, "last", connector_of(world).close_position(result_of(world, which)))


@says(rf"the connector moves the stop of (?P<which>{NAME}) to (?P<price>\S+)")
def moves(world: World, which: str, price: str) -> str:
    """Modify a position's stop loss."""
    bridge = connector_of(world)
    return told(world, "last", bridge.modify_position(result_of(world, which), sl=price))


@says(rf"the connector (?P<act>waits for|fences|asks after) (?P<which>{NAME})")
def looks(world: World, act: str, which: str) -> str:
    """Learn what became of an order."""
    bridge, result = connector_of(world), result_of(world, which)
    if act == "waits for":
        found = bridge.wait(result, timeout=20)
    elif act == "fences":
        found = bridge.fence(result)
    else:
        found = bridge.order_status(result)
    return told(world, which, found)


@says(r"the connector pings")
def pings(world: World) -> None:
    """Exchange one question, from which the connector learns clock and record."""
    connector_of(world).ping()


@says(r"the connector ends")
def ends(world: World) -> None:
    """End the strategy's program; its journal stays."""
    connector_of(world).close()


@says(r"the connector starts again")
def starts_again(world: World) -> str:
    """End the connector and start it on the same journal."""
    connector_of(world).close()
    return on_the_house(world)


@says(r"the connector's latches")
def latches(world: World) -> str:
    """Return what the connector's own latches are, `none` without any."""
    return " ".join(connector_of(world).health().latches) or "none"


@says(r"the connector audits the record")
def audits(world: World) -> str:
    """Do now what the connector's background does each minute."""
    connector_of(world).connect(10)
    desk = connector_of(world)._desk
    assert desk is not None
    desk.resolver.witness()
    return " ".join(connector_of(world).health().latches) or "none"


@says(rf"its history says the same of (?P<which>{NAME})")
def history_agrees(world: World, which: str) -> str:
    """Compare what was told of an order with the broker's deals."""
    bridge, result = connector_of(world), result_of(world, which)
    deals = [deal for deal in bridge.get_history() if deal.ticket == result.ticket]
    opened = [deal for deal in deals if deal.deal == result.deal]
    if not opened:
        return f"no deal {result.deal} among {[deal.deal for deal in deals]}"
    same = (opened[0].price, opened[0].volume) == (result.price, result.volume)
    return "yes" if same else f"no: {opened[0]}"
