"""One seed, one schedule: what the strategies want and what goes wrong, step by step, then peace.

`run(seed)` plays a whole schedule; `run(seed, steps=k)` the same one with everything left out
after its k-th step. Each step draws from a generator of its own, so a prefix is a prefix.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from bridge_core.protocol.messages import Resume, Stop
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import Frames
from tests.simulation.broker import FAULTS, Ground
from tests.simulation.connector import SimConnector
from tests.simulation.house import CLIENTS, OPERATOR, stranger
from tests.simulation.network import Weather, false_reply
from tests.simulation.promises import Broken, Promises
from tests.simulation.server import SimServer
from tests.simulation.strategy import A_MODIFY, Strategy
from tests.simulation.world import World

__all__ = ["STEPS", "Outcome", "Schedule", "run", "shrink"]

STEPS: Final = 45
_PEACE_MS: Final = 240_000
_MEMORY: Final = Path("/dev/shm")


class Outcome(NamedTuple):
    """What came of one schedule; `broken` is "" if every promise held."""

    seed: int
    steps: int
    broken: str
    trace: list[str]
    orders: int
    begun: int
    crashes: int


def run(seed: int, steps: int = STEPS, kind: type[Schedule] | None = None) -> Outcome:
    """Play the first `steps` steps of a schedule, then let everything heal, and judge."""
    base = _MEMORY if _MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="ztb-sim-", dir=base))
    schedule = (kind or Schedule)(seed, folder)
    broken = ""
    try:
        schedule.play(steps)
        schedule.heal()
    except Broken as found:
        broken = str(found)
    finally:
        schedule.close()
        shutil.rmtree(folder, ignore_errors=True)
    crashes = sum(" CRASH " in line for line in schedule.world.trace)
    return Outcome(
        seed, steps, broken, schedule.world.trace, len(schedule.promises.signed),
        sum(schedule.ground.begun.values()), crashes,
    )  # fmt: skip


def shrink(seed: int) -> Outcome:
    """Return the outcome of the shortest prefix of a failing schedule that fails too."""
    for steps in range(STEPS + 1):
        outcome = run(seed, steps)
        if outcome.broken:
            return outcome
    return outcome


class Schedule:
    """The machines of one world and what is done to them."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.world = World(seed, folder)
        draws = self.world.stream("shape")
        self.ground = Ground(settle_ms=draws.choice((0, 0, 4_000)))
        self.server = SimServer(self.world, self.ground)
        self.promises = Promises(self.server, self.ground)
        network = self.server.network
        names = CLIENTS[: draws.choice((1, 1, 2, 3))]
        self.clients = [SimConnector(self.world, kid, network.link(kid)) for kid in names]
        self.operator = SimConnector(self.world, OPERATOR, network.link(OPERATOR))
        self.strategy = Strategy(self.world)
        self._backup = folder / "backup.db"
        self._watch(network.arrive)
        for client in self.clients:
            self._listen(client)
        self._begin()

    def _watch(self, arrive: Callable[[bytes, bytes, Frames], None]) -> None:
        def seen(route: bytes, user_id: bytes, frames: Frames) -> None:
            if self.server.up:
                self.promises.on_arrival(frames)
            arrive(route, user_id, frames)

        self.server.network.arrive = seen  # type: ignore[method-assign]

    def _listen(self, client: SimConnector) -> None:
        def told(client_order_id: str, view: OrderView) -> None:
            self.promises.on_told(client, view)
            self.strategy.learn(view)

        client.on_told = told
        client.on_signed = lambda name, order: self.promises.on_signed(
            name, order.exchange.frames if order.exchange else Frames(b"", b"")
        )

    def _begin(self) -> None:
        self.world.guard(self.server.start)
        for machine in (*self.clients, self.operator):
            self.world.guard(machine.start)
        self.world.run(500)

    # --- the steps -----------------------------------------------------------------------------

    def play(self, steps: int) -> None:
        """Do the first so many steps."""
        for number in range(steps):
            draws = self.world.stream(f"step {number}")
            act = draws.choices(_ACTS, _WEIGHTS)[0]
            self.world.guard(partial(act, self, draws))
            self.world.run(_pause(draws))

    def _client(self, draws: random.Random) -> SimConnector:
        return draws.choice(self.clients)

    def trade(self, draws: random.Random) -> None:
        """Let a strategy want something."""
        client = self._client(draws)
        for _ in range(draws.choice((1, 1, 2, 4))):
            name, draft = self.strategy.wish(client.name, draws)
            self.world.note(f"{client.name} wants {name}: {draft.op} {draft.fields}")
            client.want(name, draft)

    def fence(self, draws: random.Random) -> None:
        """Let a strategy end an order rather than wait."""
        client = self._client(draws)
        if client.up and client.orders:
            name = draws.choice(list(client.orders))
            self.world.note(f"{client.name} fences {name}")
            client.fence(name)

    def overtake(self, draws: random.Random) -> None:
        """Let a FENCE pass its order, of which copies are still on their way."""
        client = self._client(draws)
        client.cable.weather = Weather(double=100, delay_min=30, delay_max=4_000)
        name, draft = self.strategy.wish(client.name, draws)
        client.want(name, draft)
        self.world.run(40)
        client.cable.weather = Weather()
        if client.up:
            self.world.note(f"{client.name} fences {name} while copies are on their way")
            client.fence(name)

    def change_of_mind(self, draws: random.Random) -> None:
        """Halt, refuse, resume, and send the refused bytes again."""
        client = self._client(draws)
        self.halt(draws)
        self.world.run(20)
        name, draft = self.strategy.wish(client.name, draws)
        client.want(name, draft)
        self.world.run(60)
        self.resume(draws)
        self.world.run(30)
        for back in range(8):
            self.server.network.replay(-1 - back, stolen=False)

    def weather(self, draws: random.Random) -> None:
        """Change what one link does to messages."""
        client = self._client(draws)
        client.cable.weather = draws.choice(_WEATHERS)
        self.world.note(f"weather of {client.name}: {client.cable.weather}")

    def cut(self, draws: random.Random) -> None:
        """Cut one link for a while."""
        cable = self._client(draws).cable
        for_ms = draws.choice((300, 3_000, 12_000))
        self.world.note(f"cut {cable.kid} for {for_ms}")
        cable.cut = True
        cable.changed()

        def mend() -> None:
            cable.cut = False
            cable.changed()

        self.world.after(for_ms, mend)

    def crash_server(self, draws: random.Random) -> None:
        """Kill the server some steps from now, or at a named point; start it again later."""
        if draws.randrange(4) == 0:
            self.world.note("server is killed")
            self.server.crash()
        else:
            mark = draws.choice(("", "", "call", "act", "done", "answered", "scan", "in commit"))
            self.server.arm(draws.randrange(2 if mark else 40), mark)
        self.world.after(draws.choice((50, 2_000, 9_000)), self._start_server)

    def _start_server(self) -> None:
        if not self.server.up:
            self.world.guard(self.server.start)
            if not self.server.up:
                self.world.after(500, self._start_server)

    def crash_again(self, draws: random.Random) -> None:
        """Kill the server, and again while it recovers."""
        self.server.crash()
        self.server.arm(draws.randrange(12))
        self.world.note("server is killed, and will be while it recovers")
        self.world.after(draws.choice((50, 2_000)), self._start_server)

    def stop_server(self, draws: random.Random) -> None:
        """Stop the server in order."""
        if self.server.up:
            self.server.stop()
            self.world.after(draws.choice((50, 2_000)), self._start_server)

    def crash_client(self, draws: random.Random) -> None:
        """Kill a connector some steps from now; start it again later."""
        client = self._client(draws)
        if draws.randrange(3) == 0:
            client.crash()
            self.world.note(f"{client.name} is killed")
        else:
            mark = draws.choice(
                ("", "before outcome", "after outcome", "after intent", "after send")
            )
            client.arm(draws.randrange(2 if mark else 12), mark)
        self._start_client_in(client, draws.choice((50, 2_000, 15_000)))

    def _start_client_in(self, client: SimConnector, delay_ms: int) -> None:
        def start() -> None:
            if not client.up:
                self.world.guard(lambda: self._begin_again(client))
                self._start_client_in(client, 500)  # it may have died at once

        self.world.after(delay_ms, start)

    def _begin_again(self, client: SimConnector) -> None:
        client.start()
        self.strategy.ask_again(client)

    def step_clock(self, draws: random.Random) -> None:
        """Set one machine's wall clock."""
        machine = draws.choice((self.server, self.server, *self.clients))
        by_ms = draws.choice((-60_000, -10_000, -2_000, -300, 200, 900, 2_000, 20_000, 3_600_000))
        machine.clock.offset_ms += by_ms
        self.world.note(f"clock of {machine.name} steps {by_ms}")

    def broker_fault(self, draws: random.Random) -> None:
        """Let the next call at the broker end badly."""
        self.ground.fault = draws.choice(FAULTS)

    def broker_slow(self, draws: random.Random) -> None:
        """Let the next call at the broker take its time, or its answer."""
        self.server.slow_before_ms = draws.choice((0, 300, 4_000, 11_000))
        self.server.slow_after_ms = draws.choice((0, 300, 3_000, 61_000))

    def replay(self, draws: random.Random) -> None:
        """Send what was recorded again."""
        for _ in range(draws.choice((1, 5, 20))):
            self.server.network.replay(draws.randrange(1 << 20), stolen=draws.randrange(4) == 0)

    def forge(self, draws: random.Random) -> None:
        """Sign an order with keys that are nobody's."""
        client = self._client(draws)
        if client.up and client.link.greeted:
            name, draft = self.strategy.wish(client.name, draws)
            honest = client.link.session.identity
            client.link.session.identity = type(honest)(keys=stranger(client.name), ea=False)
            exchange = client.link.sign(draft.op, draft.body(name))
            client.link.session.identity = honest
            user_id = client.cable.user_id
            self.server.network.arrive(client.cable.route, user_id, exchange.frames)

    def lie(self, draws: random.Random) -> None:
        """Tell a client, without a key, that its order was denied."""
        client = self._client(draws)
        if client.up and client.orders:
            order = draws.choice(list(client.orders.values()))
            assert order.exchange is not None
            client.cable.to_client(false_reply(order.exchange, stranger(client.name)))

    def halt(self, draws: random.Random) -> None:
        """Press the kill switch."""
        exchange = self._client(draws).ask(Op.HALT, Stop(reason="simulated"), self.promises.halting)
        if exchange is not None:
            self.world.note(f"halt {exchange.rid[:6]}")

    def resume(self, draws: random.Random) -> None:
        """Let an operator end the halt, and what else is latched."""
        del draws
        self.promises.resuming()
        for cause in ("OPERATOR", "CLOCK_HIGH_WATER"):
            self.operator.ask(Op.RESUME, Resume(cause=cause, reason="simulated"))

    def back_up(self, draws: random.Random) -> None:
        """Copy the record aside between two runs, or put an older one back."""
        if not self.server.up:
            return
        self.server.crash()
        if self._backup.exists() and draws.randrange(2):
            self.server.restore_journal(self._backup)
            self.promises.rolled_back = True
            self.world.note("server restored from an older record")
        else:
            self.server.copy_journal(self._backup)
        self._start_server()

    def set_back(self, draws: random.Random) -> None:
        """Lose answers, and then the part of the record that knows of them."""
        if not self.server.up:
            return
        self.server.crash()
        self.server.copy_journal(self._backup)
        self._start_server()
        self.world.run(400)
        client = self._client(draws)
        for kind in (None, A_MODIFY, A_MODIFY):
            self.ground.fault = draws.choice(("", "lost after"))
            client.want(*self.strategy.wish(client.name, draws, kind))
            self.world.run(draws.choice((4, 20)))
        self.server.crash()
        self.server.restore_journal(self._backup)
        self.promises.rolled_back = True
        self.world.note("server lost the newest part of its record")
        self._start_server()

    # --- peace -----------------------------------------------------------------------------------

    def heal(self) -> None:
        """End every fault, start every machine, wait until nothing moves, judge."""
        self.world.note("peace")
        self.ground.fault = ""
        self.server.slow_before_ms = self.server.slow_after_ms = 0
        for machine in (self.server, *self.clients, self.operator):
            machine.disarm()
        for client in self.clients:
            client.cable.weather, client.cable.cut = Weather(), False
            client.cable.changed()
        self._start_server()
        for client in self.clients:
            self._start_client_in(client, 100)
        self.world.run(2_000)
        self.world.run(_PEACE_MS, until=self._at_rest)
        self.promises.at_rest(
            (order.client_order_id, order.view)
            for client in self.clients
            for order in client.orders.values()
        )
        self.promises.forks(self.clients)
        self.close()
        self.promises.of_files(self.server.state)

    def _at_rest(self) -> bool:
        service = self.server.service
        if service is None or service.orders.flights:
            return False
        return not any(client.orders for client in self.clients)

    def close(self) -> None:
        """End every machine."""
        for machine in (self.server, *self.clients, self.operator):
            machine.crash()


def _pause(draws: random.Random) -> int:
    kind = draws.randrange(20)
    if kind == 0:
        return draws.randint(20_000, 45_000)
    if kind < 5:
        return draws.randint(1_000, 8_000)
    return draws.randint(0, 400)


_WEATHERS: Final = (
    Weather(), Weather(), Weather(drop=30), Weather(double=50), Weather(delay_max=1_500),
    Weather(drop=20, double=20, delay_max=400), Weather(bend=30),
    Weather(delay_max=9_000, double=30), Weather(drop=60, delay_min=200, delay_max=4_000),
)  # fmt: skip
_ACTS: Final = (
    Schedule.trade, Schedule.fence, Schedule.weather, Schedule.cut, Schedule.crash_server,
    Schedule.crash_again, Schedule.stop_server, Schedule.crash_client, Schedule.step_clock,
    Schedule.broker_fault, Schedule.broker_slow, Schedule.replay, Schedule.forge, Schedule.halt,
    Schedule.resume, Schedule.back_up, Schedule.lie, Schedule.overtake, Schedule.change_of_mind,
    Schedule.set_back,
)  # fmt: skip
_WEIGHTS: Final = (30, 4, 7, 3, 6, 2, 2, 5, 4, 8, 4, 6, 2, 2, 4, 2, 3, 2, 2, 1)
assert len(_ACTS) == len(_WEIGHTS)
