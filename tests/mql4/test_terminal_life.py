"""The program's life in its terminal: loading, timer, ticks, new beginnings, ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from tests.mql4.broker_file import read_lines, standing
from tests.mql4.build import ROOT, BuildError, build
from tests.mql4.by_hand import usages
from tests.mql4.desk import Desk
from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import Terminal
from tests.mql4.toolchain import HARNESS

pytestmark = needs_compiler


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    with desk.terminal:
        desk.terminal.start()
        yield desk


@pytest.fixture
def router() -> Iterator[tuple[zmq.Socket[bytes], str]]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.rcvtimeo = 10_000
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        yield socket, f"tcp://127.0.0.1:{port}"


def _echo(folder: Path, endpoint: str, *, sanitize: bool = False) -> Terminal:
    return Terminal(
        folder, inputs={"Endpoint": endpoint}, source="programs/Echo.mq4", sanitize=sanitize
    )


def test_a_program_talks_through_the_dll_under_the_sanitizers(
    tmp_path: Path, router: tuple[zmq.Socket[bytes], str]
) -> None:
    socket, endpoint = router
    with _echo(tmp_path, endpoint, sanitize=True) as terminal:
        assert terminal.start() == 0
        who, hello = socket.recv_multipart()
        assert hello == b"hello"
        for size in (0, 1, 4096):
            socket.send_multipart([who, b"x" * size])
            assert socket.recv_multipart() == [who, b"x" * size]


def test_dlls_that_are_not_allowed_stop_the_program(tmp_path: Path) -> None:
    terminal = _echo(tmp_path, "tcp://127.0.0.1:1")
    terminal.command("flag", "dlls", 0)
    assert terminal.start() == -1
    assert terminal.criticals == ["DLL is not allowed: libzmq.dll zmq_ctx_new"]
    terminal.kill()


def test_a_dll_that_is_missing_keeps_the_program_from_loading(tmp_path: Path) -> None:
    terminal = _echo(tmp_path, "tcp://127.0.0.1:1")
    terminal.command("dll", "missing", 1)
    assert terminal.start() == -1
    assert terminal.prints == []
    assert "error 126" in terminal.criticals[0]
    terminal.kill()


def test_a_chart_change_and_new_inputs_begin_anew_and_leave_nothing(
    tmp_path: Path, router: tuple[zmq.Socket[bytes], str]
) -> None:
    socket, endpoint = router
    with _echo(tmp_path, "tcp://127.0.0.1:1") as terminal:
        terminal.start()
        terminal.command("input", "Endpoint", endpoint)
        for reason in (3, 5, 2):
            assert terminal.command("reinit", reason)["code"] == 0
            assert terminal.command("stat")["sockets"] == 1
        assert socket.recv_multipart()[1] == b"hello"
    assert terminal.prints[1:7:2] == ["bye 3", "bye 5", "bye 2"]


def test_another_account_shows_another_book(desk: Desk) -> None:
    desk.buy()
    assert desk.terminal.command("account", 999, "Other-Real", "real", 500)["code"] == 0
    assert desk.terminal.prints[-2:] == ["bye 6", "ready 999 Other-Real EURUSD"]
    assert desk.do("totals").value == "0/0"
    assert desk.terminal.command("orders")["balance"] == 500
    desk.terminal.command("manual_open", "EURUSD", "SELL", "0.1")
    desk.terminal.command("account", 12345678, "Broker-Demo", "demo", 4)
    assert desk.do("totals").value == "1/1"
    assert desk.terminal.command("orders")["balance"] == 10_000


def test_the_account_and_its_money_survive_a_death(desk: Desk) -> None:
    desk.terminal.command("account", 999, "Other-Real", "real", 500)
    ticket = desk.terminal.command("manual_open", "EURUSD", "SELL", "0.01")["ticket"]
    desk.terminal.command("manual_close", ticket)
    before = desk.terminal.command("orders")
    desk.terminal.kill()
    desk.terminal.start()
    assert desk.terminal.prints[-1].startswith("ready 999 Other-Real")
    assert desk.terminal.command("orders") == before
    assert before["balance"] == pytest.approx(499.88)


def test_the_timer_keeps_its_granularity(desk: Desk) -> None:
    desk.terminal.command("timer", 100)
    desk.terminal.command("reinit", 5)
    before = int(desk.do("counts").value.split("/")[1])
    desk.terminal.command("advance", 60_000)  # nothing was missed: waits are real
    after = int(desk.do("counts").value.split("/")[1])
    assert after - before <= 3


def test_a_quote_of_the_charts_symbol_is_a_tick(desk: Desk) -> None:
    before = int(desk.do("counts").value.split("/")[0])
    for _ in range(3):
        desk.terminal.command("price", "EURUSD", "1.085", "1.08512")
        desk.do("totals")
    desk.terminal.command("price", "USDJPY", "150.2", "150.212")
    assert int(desk.do("counts").value.split("/")[0]) == before + 3


def test_a_predicate_may_run_commands_while_the_program_talks(desk: Desk) -> None:
    # The reader must not wait for the waiter, which waits for the reader's reply.
    before = len(desk.terminal.prints)
    for _ in range(50):
        desk.terminal.command("manual_open", "EURUSD", "BUY", "0.01")
    start = desk.begin("totals")
    desk.terminal.wait_for(
        lambda: (
            len(desk.terminal.orders()) == 50
            and any(line.startswith(start) for line in desk.terminal.prints[before:])
        )
    )


def test_a_walk_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    paths = []
    for run in ("a", "b"):
        desk = Desk(tmp_path / run)
        with desk.terminal:
            desk.terminal.start()
            desk.terminal.command("manual_open", "EURUSD", "BUY", "0.1")
            desk.terminal.command("walk", "EURUSD", 7, 10)
            seen: list[float] = []

            def moved(desk: Desk = desk, seen: list[float] = seen) -> bool:
                price = desk.terminal.orders()[0]["profit"]
                if not seen or price != seen[-1]:
                    seen.append(price)
                return len(seen) > 20

            desk.terminal.wait_for(moved)
            paths.append(set(seen))
    # They are looked at at other moments, yet they walk the same road.
    assert len(paths[0] & paths[1]) > 5


def test_a_program_may_remove_itself(desk: Desk) -> None:
    assert desk.do("remove").value == "going"
    desk.terminal.wait_for(lambda: desk.terminal.prints[-1] == "bye 0")
    assert desk.terminal.command("stat")["running"] is False


def test_globals_outlive_an_orderly_end_only(desk: Desk) -> None:
    desk.terminal.command("gv", "kept", "1.5")
    desk.terminal.restart()
    assert desk.terminal.command("gv", "kept") == {"exists": True, "value": 1.5}
    desk.terminal.command("gv", "lost", "2.5")
    desk.terminal.kill()
    desk.terminal.start()
    assert desk.terminal.command("gv", "lost")["exists"] is False


def test_commands_before_the_start_run_before_on_init(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.terminal.command("gv", "owner", 7)
    desk.terminal.command("gv", "beats", 8)
    desk.terminal.command("flag", "trade_allowed", 0)
    with desk.terminal as terminal:
        terminal.start()
        assert terminal.command("gv", "owner")["value"] == 7
        assert terminal.command("gv", "beats")["value"] == 8
        assert desk.do("state").value == "false/false/true"


def test_a_ledger_that_a_death_cut_off_is_read_and_goes_on(desk: Desk) -> None:
    ticket = desk.buy()
    desk.terminal.kill()
    path = desk.terminal.folder / "broker.jsonl"
    path.write_bytes(path.read_bytes() + b'{"v":1,"phase":"beg')
    desk.terminal.start()
    assert [row["ticket"] for row in desk.terminal.orders()] == [ticket]
    desk.buy()
    assert standing(read_lines(path)).last_number == 2
    whole = [line for line in path.read_text("utf-8").split("\n") if line]
    assert sum(not _is_json(line) for line in whole) == 1


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def test_a_source_with_findings_does_not_build(tmp_path: Path) -> None:
    source = tmp_path / "Bad.mq4"
    source.write_text("#property strict\nint OnInit() { NoSuch(); return(0); }\n", "ascii")
    with pytest.raises(BuildError, match=r"Bad\.mq4:2: .*NoSuch"):
        build(source, sanitize=False)


IMPORTS = [
    ("libzmq.dll", "int zmq_connect(int socket,string address);", "declared int (int, string)"),
    ("libzmq.dll", "int zmq_close(long socket);", "declared int (long), it is int (int)"),
    ("libzmq.dll", "int zmq_poll(int items);", "the harness has no such function"),
    ("user32.dll", "int MessageBoxW(int window);", "the harness has no such function"),
]


@pytest.mark.parametrize(("library", "declaration", "why"), IMPORTS)
def test_an_import_that_the_dll_would_not_take_does_not_build(
    tmp_path: Path, library: str, declaration: str, why: str
) -> None:
    source = tmp_path / "Bad.mq4"
    lines = [
        "#property strict",
        f'#import "{library}"',
        declaration,
        "#import",
        "void OnStart() { }",
    ]
    source.write_text("\n".join(lines) + "\n", "ascii")
    with pytest.raises(BuildError) as refused:
        build(source, sanitize=False)
    assert why in str(refused.value)
    assert "Bad.mq4:3: import" in str(refused.value)


def test_a_second_build_is_the_first_one() -> None:
    assert build("programs/Desk.mq4", sanitize=False) == build("programs/Desk.mq4", sanitize=False)


def test_a_terminal_runs_by_hand(tmp_path: Path) -> None:
    build("programs/Desk.mq4", sanitize=False)
    made = subprocess.run(
        [sys.executable, "-m", "tests.mql4.terminal", str(tmp_path),
         "--source", "programs/Desk.mq4", "--walk", "50"],
        input="manual_open EURUSD BUY 0.1\nnonsense\norders\nhelp\nquit\n",
        capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "OnInit returned 0" in made.stdout
    assert '"ticket": 1001' in made.stdout
    assert "unknown command nonsense" in made.stdout
    assert "price SYMBOL BID ASK" in made.stdout


def test_every_command_has_a_usage_line() -> None:
    names = [usage.split()[0].rstrip(":") for usage in usages()]
    tables = [path.read_text("utf-8") for path in (HARNESS / "simulator").glob("commands_*.cpp")]
    declared = re.findall(r"\{\"(\w+)\", \{", "".join(tables))
    assert sorted(names) == sorted(declared)
    assert {"price", "fail", "die", "init", "orders", "account", "quit"} <= set(names)
