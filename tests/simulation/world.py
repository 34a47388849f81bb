"""Simulated time: one heap of what is going to happen, machines that crash between two steps.

Nothing here waits or reads a clock. One seed makes one world; whatever is drawn comes from
generators named after the seed, so a run replays exactly and a prefix of it is the same run.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["Crash", "Machine", "MachineClock", "World"]

EPOCH_MS: Final = 1_795_219_200_000
BOOT_MS: Final = 1_000_000


class Crash(BaseException):
    """A machine dies here. Not an Exception: nothing in the product may handle it."""

    def __init__(self, machine: Machine, point: str) -> None:
        super().__init__(f"{machine.name} at {point}")
        self.machine = machine


class MachineClock:
    """One machine's clocks over the world's time; satisfies `host.clock.Clock`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.offset_ms = 0

    def wall_ms(self) -> int:
        """Return UTC ms as this machine believes."""
        return EPOCH_MS + self._world.now_ms + self.offset_ms

    def mono_ms(self) -> int:
        """Return ms that no step moves."""
        return BOOT_MS + self._world.now_ms

    def mono_ns(self) -> int:
        """Return the same in ns."""
        return self.mono_ms() * 1_000_000


class Machine:
    """Something that dies as a whole: what it had planned dies with it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.clock = MachineClock(world)
        self.life = 0
        self.up = False
        self._fuse = -1
        self._mark = ""

    def arm(self, steps: int, mark: str = "") -> None:
        """Die at the n-th step from now, or the n-th time that a point of this name is passed."""
        self._fuse, self._mark = steps, mark

    def disarm(self) -> None:
        """Live on."""
        self._fuse = -1

    def step(self, point: str) -> None:
        """Pass a point between two steps; an armed machine may die here.

        Raises:
            Crash: it does.
        """
        if self._fuse < 0 or not point.startswith(self._mark):
            return
        if self._fuse == 0:
            self._fuse = -1
            raise Crash(self, point)
        self._fuse -= 1

    def after(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Plan something that only happens if this machine has not died meanwhile."""
        life = self.life

        def alive() -> None:
            if self.up and self.life == life:
                act()

        self.world.after(delay_ms, alive)

    def crash(self) -> None:
        """Lose everything that is not on disk."""
        self.up = False
        self.life += 1
        self.disarm()
        self.lose()

    def lose(self) -> None:
        """Let go of what the dead process held."""


class World:
    """The heap and the trace; `folder` is where the machines keep their files."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.folder = folder
        self.now_ms = 0
        self.trace: list[str] = []
        self.draws = self.stream("world")
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._turn = 0

    def stream(self, name: str) -> random.Random:
        """Return a generator that depends on the seed and a name only."""
        return random.Random(f"{self.seed}/{name}")

    def after(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Plan something; what is planned first for one moment happens first."""
        self._turn += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._turn, act))

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append(f"{self.now_ms:>7} {text}")

    def run(self, for_ms: int, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass."""
        end = self.now_ms + for_ms
        while self._heap and self._heap[0][0] <= end and not until():
            self.now_ms, _, act = heapq.heappop(self._heap)
            self.guard(act)
        if not until():
            self.now_ms = end

    def guard(self, act: Callable[[], None]) -> None:
        """Do something in which a machine may die."""
        try:
            act()
        except Crash as crash:
            self.note(f"CRASH {crash}")
            crash.machine.crash()
