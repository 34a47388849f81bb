"""A real connector in a scenario: on the real server of the house, or on one that lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bridge_client import Connector, OrderResult
from bridge_client.settings import load_settings
from bridge_client.witness import Now
from bridge_core.host.bundles import load_bundle
from tests.acceptance.house import House
from tests.acceptance.world import World

__all__ = ["CLIENT", "connect", "connector_of", "journal_of", "result_of", "results_of"]

CLIENT = "scenario"


def journal_of(folder: Path) -> Path:
    """Return the connector's journal."""
    return folder / "state" / f"{CLIENT}.db"


def write_config(house: House) -> Path:
    """Point the house's connector at its server, with limits that do not get in the way."""
    folder = house.account.bundle()
    config = folder / "connector.toml"
    lines = [
        "max_positions = 1000" if line.startswith("max_positions") else line
        for line in config.read_text("utf-8").splitlines()
        if not line.startswith(("server", "ttl_ms"))
    ]
    first = f'server = "tcp://127.0.0.1:{house.account.port}"\n'
    config.write_text(first + "\n".join(lines) + "\n", "utf-8")
    return config


def connect(world: World, config: Path, clocks: Callable[[], Now]) -> Connector:
    """Return a connected connector that is closed with the scenario."""
    settings = load_settings(config)
    bundle = load_bundle(config.parent / settings.keys)
    made = Connector(settings, bundle, config.parent, client=CLIENT, clocks=clocks)
    world.at_end(made.close)
    world.notes["connector"] = made
    desk = made._desk
    assert desk is not None
    # The strategy is told before the outcome is on the connector's disk.
    world.before_oracles.append(desk.resolver.flush)
    made.connect(10)
    return made


def connector_of(world: World) -> Connector:
    """Return the scenario's connector."""
    made = world.notes.get("connector")
    assert isinstance(made, Connector), "no step made a connector"
    return made


def results_of(world: World) -> dict[str, OrderResult]:
    """Return what the connector told its strategy, by name."""
    found = world.notes.setdefault("results", {})
    assert isinstance(found, dict)
    return found


def result_of(world: World, name: str) -> OrderResult:
    """Return one result."""
    return results_of(world)[name]
