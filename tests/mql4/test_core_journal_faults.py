"""The Advisor's journal when disks fill, writes fail, the terminal dies, and years pass."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.mql4.build import build
from tests.mql4.core import PROGRAM, Core
from tests.mql4.journal_text import (
    ACCOUNT,
    HASH,
    NAME,
    START_MS,
    chained,
    fault,
    intent,
    opened,
    result,
    rid,
)
from tests.mql4.needs import needs_compiler

pytestmark = needs_compiler

ROOT: Final = Path(__file__).resolve().parents[2]
STATE: Final = ("j_state",)
DAY_MS: Final = 86_400_000


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


def _find(n: int) -> tuple[str, str]:
    return ("j_find", rid(n))


def _begun(raw: bytes, n: int) -> bool:
    return b"INTENT " + rid(n).encode() in raw[: raw.rfind(b"\n") + 1]


# --- the disk -------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["full", "flush", "write", "full 40", "full 100"])
def test_nothing_begins_while_the_disk_takes_nothing_and_all_is_well_after(
    core: Core, trouble: str
) -> None:
    with core.session() as session:
        assert session.run([opened(), intent(1)]) == [["1", ""], ["1"]]
        session.command("disk", *trouble.split())
        answers = session.run([intent(2), STATE, _find(2), ("j_flatten", rid(5), "1", "5"),
                               ("j_tomb", rid(6), "t1-ab12", "{}", "5"), STATE])  # fmt: skip
        assert [answers[0], answers[1][0], answers[2]] == [["0"], "FULL", ["0"]]
        assert "disk full" in answers[1][-1]
        session.command("disk", "ok")
        answers = session.run([intent(3), STATE, _find(3), _find(1)])
        assert [answers[0], answers[1][0]] == [["1"], "OK"]
        assert answers[2][1] == answers[3][1] == "1000"
    assert fault((core.files / NAME).read_bytes()) == ""
    answers = core.run([opened(), STATE, _find(1), _find(3), intent(4)])
    assert answers[1][0] == "OK"
    assert answers[2][0] == answers[3][0] == "1" == answers[4][0]


def test_a_decision_that_the_disk_does_not_take_stands_and_is_written_first_later(
    core: Core,
) -> None:
    with core.session() as session:
        session.run([opened(), intent(1)])
        session.command("disk", "full")
        answers = session.run([result(1), _find(1), result(2, "DENIED", '{"n":2}'), _find(2),
                               intent(2), intent(3), ("j_retry",)])  # fmt: skip
        assert [a[0] for a in answers] == ["0", "1", "0", "1", "0", "0", "0"]
        assert answers[1][1] == "1100"
        assert answers[3][10:12] == ["DENIED", '{"n":2}']
        session.command("disk", "ok")
        assert session.run([("j_retry",), intent(3), STATE])[2][0] == "OK"
    kinds = [line.split()[0] for line in (core.files / NAME).read_text().splitlines()[3:]]
    assert kinds == ["RESULT", "RESULT", "INTENT"]
    answers = core.run([opened(), _find(1), _find(2), intent(2)])
    assert answers[1][1] == "1100"
    assert answers[2][1] == "0100"
    assert answers[3] == ["0"]


def test_more_decisions_than_memory_keeps_stop_everything(core: Core) -> None:
    with core.session() as session:
        session.run([opened()])
        session.command("disk", "full")
        session.run([result(n, "DENIED", "{}") for n in range(1, 258)])
        session.command("disk", "ok")
        answers = session.run([STATE, intent(300), _find(256)])
        assert answers[0][0] == "FATAL"
        assert answers[1] == ["0"]
        assert answers[2][1] == "0100"


def test_a_journal_that_cannot_be_made_is_no_journal(core: Core) -> None:
    with core.session() as session:
        session.command("disk", "full")
        good, why = session.run([opened()])[0]
        assert good == "0"
        assert "disk full" in why


# --- death ----------------------------------------------------------------------------------

STORY: Final[Sequence[tuple[str, ...]]] = (
    opened(), intent(1), result(1), ("j_flatten", rid(2), "7,8", "9"), intent(2), result(2),
    ("j_protect", rid(1), "sl", "0", "9"), ("j_protect", rid(1), "sl", "1", "9"),
    ("j_tomb", rid(3), "t1-ab12", "{}", "9"),
)  # fmt: skip
KINDS: Final = ("JOURNAL", "START", "INTENT", "RESULT", "FLATTEN", "INTENT", "RESULT", "PROTECT",
                "PROTECT", "TOMB")  # fmt: skip


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
def test_a_death_at_any_flush_leaves_the_lines_before_it(core: Core, moment: str) -> None:
    for k in range(1, len(KINDS) + 1):
        shutil.rmtree(core.files)
        core.files.mkdir()
        core.run_dying(STORY, f"die FileFlush {moment} {k}")
        raw = (core.files / NAME).read_bytes()
        kinds = [line.split()[0].decode() for line in raw.splitlines()]
        assert kinds == list(KINDS[: k - 1 if moment == "before" else k]), k
        assert raw == b"" or fault(raw) == ""
        answers = core.run([opened(), STATE, intent(9)])
        assert answers[1][0] == "OK"
        assert answers[2] == ["1"]
        assert answers[1][1] == str(int(not kinds))


def test_a_death_in_the_middle_of_a_flush_loses_that_line_alone(core: Core) -> None:
    core.run([opened(), intent(1)])
    before = (core.files / NAME).read_bytes()
    core.run([opened()])
    line = len((core.files / NAME).read_bytes()) - len(before)
    for written in range(0, line + 1, 3):
        (core.files / NAME).write_bytes(before)
        core.run_dying([opened(), intent(2)], f"tear {written}")
        raw = (core.files / NAME).read_bytes()
        assert len(raw) == len(before) + written
        answers = core.run([opened(), _find(1), intent(2)])
        assert answers[0] == ["1", ""]
        assert answers[1][1] == "1000"
        assert answers[2] == ["1"]
        assert fault((core.files / NAME).read_bytes()) == "", written


def test_a_torn_line_longer_than_the_next_is_covered_by_it(core: Core) -> None:
    core.run([opened()])
    with (core.files / NAME).open("ab") as file:
        file.write(b"INTENT " + b"x" * 3_000)
    core.run([opened(), intent(1)])
    raw = (core.files / NAME).read_bytes()
    assert fault(raw) == ""
    assert b"xxx" not in raw
    with (core.files / NAME).open("ab") as file:
        file.write(bytes(20_000))
    answers = core.run([opened(), STATE, intent(2)])
    assert answers[1][0] == "FATAL"
    assert answers[2] == ["0"]


# --- size -----------------------------------------------------------------------------------


def _orders(count: int, ms: int = START_MS) -> list[str]:
    texts = [f"JOURNAL 1 {ACCOUNT} {START_MS} 0 -"]
    for n in range(1, count + 1):
        texts += [
            f"INTENT {rid(n)} {ms + n} t1-ab12 OPEN {HASH} 0 1 token {{}}",
            f"RESULT {rid(n)} {ms + n} t1-ab12 OPEN {HASH} FILLED {{}}",
        ]
    return texts


def test_a_hundred_thousand_orders_are_found_as_fast_as_a_thousand(tmp_path: Path) -> None:
    core = Core(tmp_path, build(PROGRAM, sanitize=False))
    spent: list[int] = []
    for count in (1_000, 100_000):
        (core.files / NAME).write_bytes(chained(_orders(count)))
        looks = [_find(1 + (n * 7919) % count) for n in range(1_000)]
        session = core.session()
        try:
            answers = session.run([opened(), ("ticks",), *looks, ("ticks",), intent(count + 1)])
        finally:
            session.end()
        before, *rest = answers
        assert before[0] == "1"
        assert rest[-1] == ["1"]
        assert all(answer[1] == "1100" for answer in rest[1:-2])
        spent.append(int(rest[-2][0]) - int(rest[0][0]))
        assert all("was busy" in wrong for wrong in session.wrong), session.wrong
    assert spent[1] < 5 * spent[0] + 200, spent  # ms for a thousand look-ups


@pytest.fixture(scope="module")
def quick_to_rotate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same program, but its journal is rotated from 4 KiB on."""
    folder = tmp_path_factory.mktemp("rotating")
    shutil.copytree(ROOT / "mql4" / "Include", folder / "Include")
    limits = folder / "Include" / "Bridge" / "Limits.mqh"
    text = limits.read_text("ascii")
    changed = text.replace(
        "#define JOURNAL_ROTATE_BYTES 67108864", "#define JOURNAL_ROTATE_BYTES 4096"
    )
    assert changed != text
    limits.write_text(changed, "ascii")
    shutil.copytree(PROGRAM.parent, folder / "programs")
    return build(folder / "programs" / PROGRAM.name, sanitize=True)


def _aged() -> bytes:
    """Twenty old orders (one of them without an outcome, one to be protected), ten new ones."""
    texts = _orders(20)
    texts.pop()  # the last order's result
    texts.append(f"PROTECT {rid(4)} {START_MS + 40} open sl")
    new = START_MS + 100 * DAY_MS
    for n in range(21, 31):
        texts.append(f"INTENT {rid(n)} {new + n} t1-ab12 OPEN {HASH} 0 1 token {{}}")
        texts.append(f"RESULT {rid(n)} {new + n} t1-ab12 OPEN {HASH} FILLED {{}}")
    return chained(texts)


def _is_rotated(answers: list[list[str]]) -> None:
    opening, state, *rows = answers
    assert opening == ["1", ""]
    assert state[0] == "OK"
    assert state[1] == "0"
    assert state[2:4] == [str(START_MS), str(START_MS + 30 + 10 * DAY_MS)]
    kept = [n for n, row in enumerate(rows, start=1) if row != ["0"]]
    assert kept == [4, 20, *range(21, 31)]
    assert rows[3][1] == "1101"
    assert rows[19][1] == "1000"


ROWS: Final = tuple(_find(n) for n in range(1, 31))


def test_old_orders_are_left_behind_and_kept_under_another_name(
    tmp_path: Path, quick_to_rotate: Path
) -> None:
    core = Core(tmp_path, quick_to_rotate)
    (core.files / NAME).write_bytes(_aged())
    _is_rotated(core.run([opened(), STATE, *ROWS]))
    assert fault((core.files / NAME).read_bytes()) == ""
    (old,) = core.files.glob(f"{NAME}.*.old")
    assert old.read_bytes() == _aged()
    last = _aged().rsplit(b" ", 1)[1].strip().decode()
    assert (core.files / NAME).read_text().splitlines()[0].split()[5] == last
    size = (core.files / NAME).stat().st_size
    _is_rotated(core.run([opened(), STATE, *ROWS]))
    assert len(list(core.files.glob(f"{NAME}.*"))) == 1
    assert (core.files / NAME).stat().st_size > size  # one more START, nothing else


def test_young_or_few_old_orders_are_not_left_behind(tmp_path: Path, quick_to_rotate: Path) -> None:
    core = Core(tmp_path, quick_to_rotate)
    (core.files / NAME).write_bytes(chained(_orders(30)))
    assert core.run([opened(ms=START_MS + 4_000 * DAY_MS), STATE])[1][4] == "30"
    assert not list(core.files.glob(f"{NAME}.*"))


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", ["FileFlush", "FileClose", "FileMove"])
def test_a_death_in_a_rotation_loses_no_order_that_is_kept(
    tmp_path: Path, quick_to_rotate: Path, call: str, moment: str
) -> None:
    first = 2 if call == "FileClose" else 1  # the file of calls is closed first
    for k in (first, first + 1):
        core = Core(tmp_path / str(k), quick_to_rotate)
        (core.files / NAME).write_bytes(_aged())
        core.run_dying([opened()], f"die {call} {moment} {k}")
        _is_rotated(core.run([opened(), STATE, *ROWS]))
        assert not (core.files / f"{NAME}.new").exists()


def test_a_rotation_that_the_disk_does_not_take_changes_nothing(
    tmp_path: Path, quick_to_rotate: Path
) -> None:
    core = Core(tmp_path, quick_to_rotate)
    (core.files / NAME).write_bytes(_aged())
    with core.session() as session:
        session.command("disk", "full")
        answers = session.run([opened(), STATE])
        assert answers[1][0] == "FULL"
        assert answers[1][4] == "30"
    assert (core.files / NAME).read_bytes() == _aged()
