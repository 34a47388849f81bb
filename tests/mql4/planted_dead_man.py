"""Bugs for the Advisor's dead-man's switch, each with what must notice it."""

from __future__ import annotations

from typing import Final

from tests.mql4.planted import Bug, By

__all__ = ["DEAD_MAN"]

_B: Final = "Include/Bridge/"
_DEAD_MAN: Final = "test_trade_dead_man.py::test_"

DEAD_MAN: Final[tuple[Bug, ...]] = (
    Bug(
        "dead_man_forgets_the_firing",
        _B + "Silence.mqh",
        "   m_dead = m_phase == PHASE_FIRED || m_phase == PHASE_DONE;\n",
        "   m_dead = false;\n",
        By.TEST,
        "after_the_firing",
        (_DEAD_MAN + "a_restart_after_the_firing_closes_nothing_new",),
    ),
    Bug(
        "dead_man_counts_from_arrival",
        _B + "Desk.mqh",
        "room.clock.MonoMs() - (age_ms > 0 ? age_ms : 0));",
        "room.clock.MonoMs() - (age_ms > INT_MAX ? age_ms : 0));",
        By.TEST,
        "held_on_the_way",
        (_DEAD_MAN + "a_heartbeat_held_on_the_way_counts_from_when_it_was_signed",),
    ),
    Bug(
        "dead_man_sends_again_while_unknown",
        _B + "DeadMan.mqh",
        "   if(!looking && room.watch.Count() == 0) End(room);\n",
        "   End(room);\n",
        By.TEST,
        "lost_answer",
        (_DEAD_MAN + "a_lost_answer_is_looked_for_and_never_guessed[128]",),
    ),
)
