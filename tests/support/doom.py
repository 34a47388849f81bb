"""Named places in a process under test, and what befalls it there. The hook is the tests' alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, Final

from tests.support.faulty_disk import Action, Call, FaultyDisk, Rule, attach
from tests.support.zygote import Channel

__all__ = ["SUBJECT", "Doom"]

# The comment of the order that the places are about; any other order passes them unharmed.
SUBJECT: Final = "subject"


class Doom:
    """Does what the plan says at each place: {"at": {PLACE: [[WORD, …], …]}, "control": FILE}.

    Words: die; say (tell the test and go on); stall MS; rules [RULE, …] (see faulty_disk);
    mute (nothing leaves any more); mark FILE (make it, and go on).
    """

    def __init__(self, given: dict[str, Any], channel: Channel) -> None:
        self._plan: dict[str, list[list[Any]]] = dict(given.get("at", {}))
        self.channel = channel
        self._disk: FaultyDisk | None = None
        if given.get("control"):
            attach(given["control"], given.get("history", ""))
            self._disk = FaultyDisk(Path(given["control"]))

    @property
    def places(self) -> frozenset[str]:
        """The places where something still waits."""
        return frozenset(self._plan)

    def arm(self, plan: dict[str, list[list[Any]]]) -> None:
        """Plan anew, in a process that runs already."""
        self._plan = dict(plan)

    def at(self, place: str) -> None:
        """Meet what waits at this place, once."""
        for word, *rest in self._plan.pop(place, ()):
            if word == "die":
                self.die()
            elif word == "say":
                self.channel.say(word=place)
            elif word == "stall":
                time.sleep(rest[0] / 1000)
            elif word == "mark":
                Path(rest[0]).touch()
            elif word == "rules":
                assert self._disk is not None
                self._disk.set(*(_rule(one) for one in rest[0]))
            else:
                assert word == "mute", word
                assert self._disk is not None
                self._disk.mute()

    def die(self) -> None:
        """SIGKILL this process; it does not come back from here."""
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(10)  # prompt, but not synchronous for every thread


def _rule(values: list[Any]) -> Rule:
    calls, action, *rest = values
    return Rule(Call(calls), Action(action), *rest)
