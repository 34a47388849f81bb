"""Rule 6 and the clock: what the server said about its log and its time, remembered."""

from __future__ import annotations

import sys
import threading

from hypothesis import given
from hypothesis import strategies as st

from bridge_client.witness import Now, Sample, ServerClock, Witness
from bridge_core.protocol.chain import GENESIS, Head, link
from bridge_core.protocol.replies import LogPage, LogRow

START = Head(0, GENESIS)


def chained(records: list[str], start: Head = START) -> list[LogRow]:
    rows, previous = [], start.hash
    for n, record in enumerate(records, start.size + 1):
        previous = link(previous, record.encode())
        rows.append(LogRow(n=n, record=record, hash=previous.hex()))
    return rows


def head(row: LogRow) -> Head:
    return Head(row.n, bytes.fromhex(row.hash))


ROWS = chained([f"r{n}" for n in range(10)])


def test_rule_6_the_same_size_with_another_head_is_a_fork() -> None:
    seen = Witness()
    assert seen.observe(head(ROWS[4])) is None
    fork = seen.observe(Head(5, bytes(32)))
    assert fork is not None
    assert fork.seen == head(ROWS[4])


def test_rule_6_a_fresh_hello_that_shows_less_is_a_fork_but_a_late_reply_is_not() -> None:
    seen = Witness()
    seen.observe(head(ROWS[7]))
    assert seen.observe(head(ROWS[2])) is None
    assert seen.observe(head(ROWS[3]), fresh_hello=True) is not None


def test_rule_6_what_an_earlier_run_witnessed_still_counts() -> None:
    seen = Witness([head(ROWS[7])])
    assert seen.observe(head(ROWS[5]), fresh_hello=True) is not None


def test_rule_6_a_range_that_does_not_chain_from_a_remembered_pair_is_a_fork() -> None:
    seen = Witness([head(ROWS[4])])
    other = chained(["x"] * 3, Head(5, bytes(32)))
    assert seen.check_page(LogPage(rows=other)) is not None


def test_rule_6_an_edited_record_in_a_range_is_a_fork() -> None:
    seen = Witness([head(ROWS[4])])
    rows = [ROWS[5], LogRow(n=7, record="edited", hash=ROWS[6].hash), ROWS[7]]
    assert seen.check_page(LogPage(rows=rows)) is not None


def test_a_range_that_passes_a_witnessed_pair_under_another_hash_is_a_fork() -> None:
    seen = Witness([head(ROWS[4])])
    seen.observe(head(ROWS[8]))
    lied = chained([f"lie{n}" for n in range(5)], head(ROWS[4]))
    assert seen.check_page(LogPage(rows=lied)) is not None


def test_an_honest_range_moves_the_proven_pair() -> None:
    seen = Witness([head(ROWS[4])])
    assert seen.check_page(LogPage(rows=ROWS[5:])) is None
    assert seen.proven == head(ROWS[9])


@given(st.integers(-86_400_000, 86_400_000), st.integers(0, 400), st.integers(0, 400),
       st.integers(0, 300))  # fmt: skip
def test_the_true_offset_lies_within_the_stated_uncertainty(
    offset: int, there: int, back: int, inside: int
) -> None:
    clock, wall, mono = ServerClock(), 1_700_000_000_000, 50_000
    end = Now(wall + there + inside + back, mono + there + inside + back)
    clock.add(Sample(mono, wall + there + offset, wall + there + inside + offset, end.mono_ms))
    found = clock.offset(end)
    assert found is not None
    assert abs(found.offset_ms - offset) <= found.uncertainty_ms + 1


def test_a_step_of_our_wall_clock_moves_the_offset_and_not_the_servers_time() -> None:
    clock = ServerClock()
    clock.add(Sample(100, 5_000_000, 5_000_000, 102))
    before = clock.server_ms(Now(4_999_999, 200))
    assert clock.server_ms(Now(1, 200)) == before
    stepped = clock.offset(Now(4_999_000, 200))
    assert stepped is not None
    assert stepped.offset_ms > 1_000


def test_one_thread_may_read_the_time_while_another_takes_a_sample_in() -> None:
    clock, over, wrong = ServerClock(), threading.Event(), list[BaseException]()

    def read() -> None:
        try:
            while not over.is_set():
                clock.server_ms(Now(1, 200))
        except RuntimeError as error:
            wrong.append(error)

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        reader = threading.Thread(target=read)
        reader.start()
        for n in range(20_000):
            clock.add(Sample(100, n, n, 102))
        over.set()
        reader.join()
    finally:
        sys.setswitchinterval(usual)
    assert wrong == []


def test_the_most_certain_sample_counts() -> None:
    clock = ServerClock()
    clock.add(Sample(0, 1_000_000, 1_000_000, 900))
    clock.add(Sample(1_000, 1_000_700, 1_000_700, 1_002))
    found = clock.offset(Now(1_000_000, 1_002))
    assert found is not None
    assert found.uncertainty_ms == 1
