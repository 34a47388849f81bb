"""The Advisor's journal: nothing begins twice, nothing decided is lost, damage is seen."""

from __future__ import annotations

from pathlib import Path

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

STATE = ("j_state",)
CLOSE = ("j_close",)


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return Core(tmp_path)


def _find(n: int) -> tuple[str, str]:
    return ("j_find", rid(n))


def _raw(core: Core) -> bytes:
    return (core.files / NAME).read_bytes()


def test_a_new_journal_says_so_once_and_remembers_when_it_was_made(core: Core) -> None:
    answers = core.run([opened(), STATE, CLOSE, opened(ms=START_MS + 9_000), STATE])
    assert answers[0] == ["1", ""]
    assert answers[1][:5] == ["OK", "1", str(START_MS), "0", "0"]
    assert answers[4][:5] == ["OK", "0", str(START_MS), "0", "0"]
    text = _raw(core).decode("ascii").splitlines()
    assert text[0].startswith(f"JOURNAL 1 {ACCOUNT} {START_MS} 0 - ")
    assert [line.split()[0] for line in text] == ["JOURNAL", "START", "START"]


def test_what_was_asked_and_done_reads_back_as_it_was_in_this_run_and_the_next(core: Core) -> None:
    word = '{"rid":"x","comment":"two  spaces and \\u00e9 ","ticket":7}'
    calls = [opened(), intent(1, '{"reason":"a  b :;|"}'), _find(1), result(1, "PARTIAL", word)]
    first = core.run([*calls, _find(1), _find(2)])
    begun = ["1", "1000", "t1-ab12", "OPEN", HASH, "0", str(START_MS + 1), "1767230000000",
             "RISK_PASS:5:1", '{"reason":"a  b :;|"}', "", "", ""]  # fmt: skip
    ended = [*begun[:1], "1100", *begun[2:10], "PARTIAL", word, ""]
    assert first[2] == begun
    assert first[4:] == [ended, ["0"]]
    assert core.run([opened(), _find(1), STATE])[1] == ended
    assert fault(_raw(core)) == ""


def test_an_id_that_is_known_begins_no_second_time(core: Core) -> None:
    answers = core.run([opened(), intent(1), intent(1), result(1), intent(1), CLOSE, opened(),
                        intent(1), ("j_tomb", rid(2), "t1-ab12", "{}", "5"), intent(2),
                        result(3, "DENIED"), intent(3)])  # fmt: skip
    assert [a[0] for a in answers] == list("110101101010")
    assert _raw(core).count(b"INTENT ") == 1


def test_a_tombstone_is_one_only_for_what_never_arrived(core: Core) -> None:
    tomb = ("j_tomb", rid(1), "t1-ab12", '{"status":"DENIED"}', "77")
    answers = core.run([opened(), tomb, tomb, intent(2), ("j_tomb", rid(2), *tomb[2:]), _find(1)])
    assert [a[0] for a in answers[:5]] == ["1", "1", "0", "1", "0"]
    assert answers[5] == ["1", "0110", "t1-ab12", "-", "0" * 64, "0", "0", "0", "", "", "DENIED",
                          '{"status":"DENIED"}', ""]  # fmt: skip
    assert core.run([opened(), _find(1)])[1] == answers[5]


def test_what_is_unfinished_is_listed_until_it_is_done_also_after_a_restart(core: Core) -> None:
    protect = ("j_protect", rid(2), "1.08000 0 CLOSE", "0", "50")
    calls = [opened(), intent(1), intent(2), intent(3), result(2), protect, STATE]
    assert core.run(calls)[-1][5:7] == [f"{rid(1)},{rid(3)},", f"{rid(2)},"]
    calls = [opened(), STATE, _find(2), result(1), ("j_protect", rid(2), "done so", "1", "60"),
             STATE, _find(2)]  # fmt: skip
    answers = core.run(calls)
    assert answers[1][5:7] == [f"{rid(1)},{rid(3)},", f"{rid(2)},"]
    assert answers[2][1] == "1101"
    assert answers[2][-1] == "1.08000 0 CLOSE"
    assert answers[5][5:7] == [f"{rid(3)},", ""]
    assert answers[6][1] == "1100"
    assert answers[6][-1] == "done so"
    assert core.run([opened(), STATE])[1][5:7] == [f"{rid(3)},", ""]


def test_the_scope_of_a_flatten_is_fixed_once(core: Core) -> None:
    calls = [opened(), ("j_flatten", rid(1), "4711,4712,2147483647", "90"),
             ("j_flatten", rid(1), "1", "91"), ("j_tickets", rid(1)), _find(1),
             ("j_flatten", rid(2), "", "92"), ("j_tickets", rid(2)),
             ("j_tickets", rid(3))]  # fmt: skip
    answers = core.run(calls)
    assert answers[1:] == [["1"], ["0"], ["1", "4711,4712,2147483647,", "90"], ["0"], ["1"],
                           ["1", "", "92"], ["0", "", "0"]]  # fmt: skip
    assert core.run([opened(), calls[3]])[1] == answers[3]


def test_a_later_result_takes_the_place_of_the_former(core: Core) -> None:
    calls = [opened(), intent(1), result(1, "FILLED", '{"code":"STOPS_NOT_SET"}'),
             result(1, "FILLED", '{"code":"-"}')]  # fmt: skip
    core.run(calls)
    assert core.run([opened(), _find(1)])[1][10:12] == ["FILLED", '{"code":"-"}']


@pytest.mark.parametrize("word", ["line\u000bfeed", "caf\u00e9", "x" * 13_000])
def test_a_word_that_no_line_can_hold_is_refused_and_blocks_nothing(core: Core, word: str) -> None:
    answers = core.run([opened(), intent(1), result(1, "FILLED", word), _find(1), intent(2),
                        result(1), STATE])  # fmt: skip
    assert [a[0] for a in answers[:3]] == ["1", "1", "0"]
    assert answers[3][1] == "1000"
    assert [answers[4], answers[5]] == [["1"], ["1"]]
    assert answers[6][0] == "OK"


def test_a_second_advisor_cannot_open_the_same_journal(core: Core) -> None:
    other = ("j_other", *opened()[1:])
    answers = core.run([opened(), other, intent(1), CLOSE, other])
    assert answers[1][0] == "0"
    assert "another chart" in answers[1][1]
    assert answers[2] == ["1"]
    assert answers[4][0] == "1"


def test_the_journal_of_another_account_is_left_alone(core: Core) -> None:
    core.run([opened(), intent(1)])
    before = _raw(core)
    good, why = core.one("j_open", NAME, "demo2", "0011223344556677", str(START_MS))
    assert good == "0"
    assert "another account" in why
    assert _raw(core) == before


def _full(count: int = 4) -> bytes:
    """Return a journal of `count` orders, the last of them begun only."""
    texts = [f"JOURNAL 1 {ACCOUNT} {START_MS} 0 -", f"START {START_MS} 0011223344556677"]
    for n in range(1, count + 1):
        texts.append(f"INTENT {rid(n)} {START_MS + n} t1-ab12 OPEN {HASH} 0 1 token:{n} {{}}")
        if n < count:
            texts.append(f"RESULT {rid(n)} {START_MS + n} t1-ab12 OPEN {HASH} FILLED {{}}")
    return chained(texts)


def _flags(raw: bytes, n: int) -> str:
    """Return what a reader may know of an order from the whole lines of a file."""
    whole = raw[: raw.rfind(b"\n") + 1]
    begun = b"INTENT " + rid(n).encode() in whole
    ended = b"RESULT " + rid(n).encode() in whole
    return f"{int(begun)}{int(ended)}00"


def test_a_file_torn_at_any_byte_goes_on_with_its_whole_lines(tmp_path: Path) -> None:
    core = Core(tmp_path, build(PROGRAM, sanitize=False))  # so many files: seconds with sanitizers
    raw = _full()
    calls: list[tuple[str, ...]] = []
    cuts = list(range(len(raw) + 1))
    for cut in cuts:
        (core.files / f"j{cut}").write_bytes(raw[:cut])
        calls += [("j_open", f"j{cut}", ACCOUNT, "8899aabbccddeeff", str(START_MS)), STATE]
        calls += [_find(n) for n in range(1, 5)]
        calls += [intent(9), CLOSE]
        calls += [("j_open", f"j{cut}", ACCOUNT, "8899aabbccddeeff", str(START_MS)), STATE]
        calls += [_find(9), _find(1), CLOSE]
    answers = core.run(calls)
    each = len(calls) // len(cuts)
    for cut in cuts:
        got = answers[each * cut : each * (cut + 1)]
        assert got[1][0] == "OK", cut
        assert got[0] == ["1", ""], cut
        assert got[1][1] == str(int(b"\n" not in raw[:cut])), cut
        for n in range(1, 5):
            wanted = _flags(raw[:cut], n)
            assert got[1 + n] == ["0"] if wanted == "0000" else got[1 + n][1] == wanted, (cut, n)
        assert got[10][1] == "1000", cut
        assert got[9][0] == "OK", cut
        assert got[6] == ["1"], cut
        assert (got[11] == ["0"]) == (_flags(raw[:cut], 1) == "0000"), cut
        assert fault((core.files / f"j{cut}").read_bytes().rstrip(b" ")) == "", cut


def _damages(raw: bytes) -> dict[str, bytes]:
    """Return files with one thing wrong in a line that is not the torn last one."""
    lines = raw.splitlines(keepends=True)
    made: dict[str, bytes] = {}
    for n, line in enumerate(lines):
        before, after = b"".join(lines[:n]), b"".join(lines[n + 1 :])
        for what, at in (("first", 0), ("middle", len(line) // 2), ("link", len(line) - 3)):
            changed = bytearray(line)
            changed[at] ^= 1
            made[f"{what} byte of line {n}"] = before + bytes(changed) + after
        made[f"zeros in line {n}"] = before + bytes(len(line) - 1) + b"\n" + after
        if after:
            made[f"line {n} gone"] = before + after
            made[f"line {n} joined"] = before + line[:-1] + b" " + after
            made[f"line {n} twice"] = before + line + line + after
            made[f"lines {n} and {n + 1} exchanged"] = (
                before + lines[n + 1] + line + b"".join(lines[n + 2 :])
            )
        made[f"something after line {n}"] = before + line + b"more\n" + after
    return made


def test_damage_at_any_line_stops_all_beginning_and_tells_what_still_holds(core: Core) -> None:
    raw = _full()
    damages = _damages(raw)
    calls: list[tuple[str, ...]] = []
    for n, changed in enumerate(damages.values()):
        (core.files / f"d{n}").write_bytes(changed)
        calls += [("j_open", f"d{n}", ACCOUNT, "8899aabbccddeeff", str(START_MS)), STATE, intent(9),
                  ("j_tomb", rid(8), "t1-ab12", "{}", "5"), ("j_flatten", rid(7), "1", "5"),
                  *(_find(k) for k in range(1, 5)), CLOSE]  # fmt: skip
    answers = core.run(calls)
    each = len(calls) // len(damages)
    for n, (what, changed) in enumerate(damages.items()):
        got = answers[each * n : each * (n + 1)]
        if got[0][0] == "0":
            assert "line 0" in what or "gone" in what, what  # no journal of this account
            continue
        assert "damaged" in got[0][1], what
        assert got[1][0] == "FATAL", what
        assert got[2:5] == [["0"], ["0"], ["0"]], what
        assert (core.files / f"d{n}").read_bytes() == changed, f"{what}: it was written to"
        found = sum(answer != ["0"] for answer in got[5:9])
        assert found >= 2, what


def test_the_chain_is_the_one_described(core: Core) -> None:
    core.run([opened(), intent(1), result(1), ("j_tomb", rid(2), "t1-ab12", "{}", "5")])
    raw = _raw(core)
    assert fault(raw) == ""
    texts = [line[:-17].decode("ascii") for line in raw[:-1].split(b"\n")]
    assert chained(texts) == raw
