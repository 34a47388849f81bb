"""The Advisor's trading state: lowered at once, raised by RESUME alone, HALTED when in doubt."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.mql4.build import build
from tests.mql4.core import PROGRAM, Core
from tests.mql4.needs import needs_compiler

pytestmark = needs_compiler

NAME: Final = "state.txt"
FIRST: Final = ("s_open", NAME, "1")
AGAIN: Final = ("s_open", NAME, "0")
SHOW: Final = ("s_show",)
RID: Final = "1" * 32
HALT: Final = ("s_lower", "2", RID, "news  at 8")
REDUCE: Final = ("s_lower", "1", "2" * 32, "going home")
RESUME: Final = ("s_resume", "3" * 32)
ACTIVE: Final = ["ACTIVE", "", "", ""]
HALTED: Final = ["HALTED", "OPERATOR", RID, "news  at 8"]


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


def test_the_first_start_is_active_and_a_halt_outlives_the_terminal(core: Core) -> None:
    assert core.run([FIRST, SHOW, HALT, SHOW]) == [["1", ""], ACTIVE, ["1"], HALTED]
    assert core.run([AGAIN, SHOW]) == [["1", ""], HALTED]


def test_a_stop_only_lowers_and_resume_alone_raises(core: Core) -> None:
    answers = core.run([FIRST, REDUCE, SHOW, HALT, SHOW, REDUCE, SHOW, RESUME, SHOW])
    assert answers[2] == ["REDUCE_ONLY", "OPERATOR", "2" * 32, "going home"]
    assert answers[4] == answers[6] == HALTED
    assert answers[7] == ["1"]
    assert answers[8][:2] == ["ACTIVE", ""]
    assert core.run([AGAIN, SHOW])[1][:2] == ["ACTIVE", ""]


def test_an_unreadable_reason_halts_all_the_same(core: Core) -> None:
    assert core.run([FIRST, ("s_lower", "2", "", ""), SHOW])[2] == ["HALTED", "OPERATOR", "", ""]
    assert core.run([AGAIN, SHOW])[1] == ["HALTED", "OPERATOR", "", ""]


def test_a_file_changed_at_any_byte_or_cut_anywhere_means_halted(core: Core) -> None:
    core.run([FIRST, REDUCE, RESUME, ("s_beat", "t1-ab12", "5", "0"), ("s_modified", "7", "9")])
    raw = (core.files / NAME).read_bytes()
    changed = [raw[:cut] for cut in range(len(raw))] + [raw + b"x", raw + b"\n", raw + raw]
    for at in range(len(raw)):
        flipped = bytearray(raw)
        flipped[at] ^= 1
        changed.append(bytes(flipped))
    calls: list[tuple[str, ...]] = []
    for n, content in enumerate(changed):
        (core.files / f"s{n}").write_bytes(content)
        calls += [("s_open", f"s{n}", "1"), SHOW, RESUME, SHOW]
    answers = core.run(calls)
    for n in range(len(changed)):
        opening, shown, resumed, after = answers[4 * n : 4 * n + 4]
        assert opening[0] == "1", changed[n]
        assert "HALTED" in opening[1], changed[n]
        assert shown == ["HALTED", "OPERATOR", "", "the state file cannot be read"], changed[n]
        assert resumed == ["1"]
        assert after[0] == "ACTIVE"
        assert (core.files / f"s{n}").read_bytes().startswith(b"ztb-ea-state/1\nlatch 0")


def test_a_missing_file_is_a_fresh_start_only_where_no_journal_is(core: Core) -> None:
    opening, shown = core.run([AGAIN, SHOW])
    assert opening[0] == "1"
    assert "missing" in opening[1]
    assert shown[:2] == ["HALTED", "OPERATOR"]
    assert core.run([AGAIN, SHOW])[1][0] == "HALTED"


@pytest.mark.parametrize("call", ["FileFlush", "FileMove"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_while_it_is_written_leaves_the_old_state_or_the_new(
    core: Core, call: str, moment: str
) -> None:
    core.run([FIRST])
    core.run_dying([AGAIN, HALT], f"die {call} {moment} 1")
    wanted = HALTED if (call, moment) == ("FileMove", "after") else ACTIVE
    assert core.run([AGAIN, SHOW])[1] == wanted


def test_a_halt_that_the_disk_does_not_take_holds_and_is_written_later(core: Core) -> None:
    with core.session() as session:
        session.run([FIRST])
        session.command("disk", "full")
        assert session.run([HALT, SHOW, ("s_flush",)]) == [["0"], HALTED, ["0"]]
        session.command("disk", "ok")
        assert session.run([("s_flush",)]) == [["1"]]
    assert core.run([AGAIN, SHOW])[1] == HALTED


def test_a_resume_that_the_disk_does_not_take_changes_nothing(core: Core) -> None:
    with core.session() as session:
        session.run([FIRST, HALT])
        session.command("disk", "full")
        assert session.run([RESUME, SHOW]) == [["0"], HALTED]
    assert core.run([AGAIN, SHOW])[1] == HALTED


def test_a_state_that_cannot_be_kept_is_no_start(core: Core) -> None:
    with core.session() as session:
        session.command("disk", "full")
        good, why = session.run([FIRST])[0]
        assert good == "0"
        assert "disk full" in why


def test_each_heartbeat_exceeds_the_last_of_its_key(core: Core) -> None:
    beats = (("aa", 5), ("aa", 5), ("aa", 4), ("bb", 1), ("aa", 6), ("bb", 0))
    calls = [FIRST, *(("s_beat", kid, str(n), "0") for kid, n in beats)]
    assert [a[0] for a in core.run(calls)[1:]] == ["1", "0", "0", "1", "1", "0"]
    assert core.run([AGAIN, ("s_beat", "aa", "5", "0"), ("s_beat", "bb", "9", "0")])[1:] == [
        ["0"], ["1"],
    ]  # fmt: skip


def test_the_dead_mans_switch_reduces_and_ends_by_itself(core: Core) -> None:
    def dead(ms: int, seconds: int = 10) -> tuple[str, ...]:
        return ("s_dead", str(seconds), str(ms))

    beats = [("s_beat", "aa", str(n), str(20_000 + 1_000 * n)) for n in range(40)]
    calls = [FIRST, dead(0), dead(10_000), dead(10_001), dead(20_000)]
    for n, beat in enumerate(beats):
        calls += [beat, dead(20_000 + 1_000 * n)]
    answers = core.run(calls)
    assert answers[1:5] == [["ACTIVE", ""], ["ACTIVE", ""], *[["REDUCE_ONLY", "HEARTBEAT"]] * 2]
    states = [answer[0] for answer in answers[6::2]]
    assert states == ["REDUCE_ONLY"] * 30 + ["ACTIVE"] * 10
    assert core.run([AGAIN, dead(0), dead(10**9, 0)])[1:] == [["ACTIVE", ""]] * 2


def test_a_halt_is_worse_than_a_missing_heartbeat(core: Core) -> None:
    calls = [FIRST, ("s_dead", "1", "0"), ("s_dead", "1", "5000"), HALT, SHOW, RESUME, SHOW]
    answers = core.run(calls)
    assert answers[4] == HALTED
    assert answers[6] == ["REDUCE_ONLY", "HEARTBEAT", "3" * 32, "no heartbeat"]


def test_the_last_modify_of_each_ticket_is_remembered_the_oldest_makes_room(
    tmp_path: Path,
) -> None:
    core = Core(tmp_path, build(PROGRAM, sanitize=False))  # so many lines: seconds with sanitizers
    calls: list[tuple[str, ...]] = [FIRST]
    calls += [("s_modified", str(n), str(1000 + n)) for n in range(1, 513)]
    calls += [("s_modified", "1", "5000"), ("s_modified", "600", "7"),
              *(("s_iat", str(n)) for n in (1, 2, 3, 512, 600, 9999))]  # fmt: skip
    wanted = [["5000"], ["0"], ["1003"], ["1512"], ["7"], ["0"]]
    assert core.run(calls)[-6:] == wanted
    assert core.run([AGAIN, *calls[-6:]])[1:] == wanted
