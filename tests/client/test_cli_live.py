"""`ztb` against a real server on the paper broker: what a user types, in the user's order."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge_client.cli.doctor import CHECKS
from tests.support.command_line import ROOT, Ended, Ztb, on_a_terminal, run_process
from tests.support.running import free_port

_START_S = 15.0


class House:
    """An account made by `ztb init`, and its server process."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        made = run_process(
            "init", "demo", "--symbol", "EURUSD", "--max-volume", "0.02", "--port", self.port,
            cwd=folder,
        )  # fmt: skip
        assert made.code == 0, made.err
        self.folder = folder / "demo"
        self.connector = self.folder / "connector" / "connector.toml"
        self.operator = self.folder / "operator"
        for scope in ("query", "reduce"):
            words = ("keys", "add", scope, "--scope", scope, "--account", self.folder)
            assert run_process(*words).code == 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the server and wait until it takes entries."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bridge_server", "run",
             "--config", str(self.folder / "server/server.toml")],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=ROOT, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        until = time.monotonic() + _START_S
        while run_process("health", "--config", self.connector).code != 0:
            assert time.monotonic() < until, "the server did not come up"

    def stop(self) -> None:
        """End the server."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(_START_S)
            self.process = None


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    one = House(tmp_path_factory.mktemp("live"))
    one.start()
    yield one
    one.stop()


class Here:
    """`ztb` with the account's configuration."""

    def __init__(self, ztb: Ztb, house: House) -> None:
        self._ztb = ztb
        self.house = house

    def __call__(self, *words: object, who: str = "connector") -> Ended:
        return self._ztb(*words, "--config", self.house.folder / who / "connector.toml")


@pytest.fixture
def ztb(house: House, capsys: pytest.CaptureFixture[str]) -> Iterator[Here]:
    here = Here(Ztb(capsys), house)
    yield here
    _lift(here)
    here("flatten", "--yes")


def _lift(ztb: Here) -> Ended:
    return ztb(
        "resume", "--operator", ztb.house.operator, "--cause", "OPERATOR", "--reason", "test",
        "--yes", "--json",
    )  # fmt: skip


def _buy(ztb: Here, *more: object) -> int:
    ended = ztb("order", "buy", "EURUSD", "0.02", "--yes", "--json", *more)
    assert ended.code == 0, ended
    return int(ended.json["result"]["ticket"])


# --- the first minutes -----------------------------------------------------------------------


def test_the_first_paper_order_after_init_is_filled_without_an_editor(house: House) -> None:
    """The two commands that init prints, as they stand, in processes of their own."""
    ended = run_process("order", "buy", "EURUSD", "0.01", "--yes", "--config", house.connector)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("FILLED BUY 0.01 EURUSD at ")
    assert ended.out.count("\n") == 1
    run_process("flatten", "--yes", "--config", house.connector)


def test_an_order_names_account_mode_and_file_before_it_is_signed(ztb: Here) -> None:
    ended = ztb("order", "buy", "EURUSD", "0.01", "--yes", "--sl", "0.5")
    assert ended.err.splitlines()[:2] == [
        f"account demo, mode paper, file {ztb.house.connector}",
        "buy 0.01 lots EURUSD at market sl 0.5",
    ]


def test_ping_measures_each_hop_and_the_clock(ztb: Here) -> None:
    ended = ztb("ping", "--count", "3", "--json")
    assert ended.code == 0
    found = ended.json
    assert (found["schema"], found["sent"], found["answered"]) == ("ztb.ping/1", 3, 3)
    for hop in ("connector to server", "server to terminal"):
        times = found["hops"][hop]
        assert 0 <= times["min_ms"] <= times["median_ms"] <= times["p99_ms"]
    assert abs(found["offset_ms"]) <= 1_000
    plain = ztb("ping", "--count", "1")
    assert "connector to server\t" in plain.out
    assert "clock offset" in plain.out


def test_health_is_0_when_all_is_well_5_when_halted_1_when_lowered(ztb: Here) -> None:
    assert ztb("health").code == 0
    assert ztb("halt", "a test").code == 0
    halted = ztb("health", "--json")
    assert halted.code == 5
    (cause,) = halted.json["health"]["causes"]
    assert (cause["cause"], cause["reason"]) == ("OPERATOR", "a test")
    assert "ztb resume --operator" in cause["ends"]
    assert "ends when: ztb resume" in ztb("health").out
    assert _lift(ztb).json["result"]["state"] == "ACTIVE"
    assert ztb("reduce-only").code == 0
    assert ztb("health").code == 1


def test_doctor_finds_nothing_wrong_and_names_stable_ids(ztb: Here) -> None:
    ended = ztb("doctor", "--json")
    rows = {row["id"]: row for row in ended.json["checks"]}
    assert ended.code == 0, [r for r in rows.values() if r["state"] not in ("ok", "skip")]
    assert list(rows) == [check.id for check in CHECKS]
    assert len(rows) >= 14
    assert {r["state"] for name, r in rows.items() if name[:3] not in ("ea.", "mt5")} == {"ok"}
    assert all(row["finding"] for row in rows.values())


def test_doctor_of_a_halted_account_is_5_and_says_what_ends_it(ztb: Here) -> None:
    ztb("halt")
    ended = ztb("doctor", "--json")
    assert ended.code == 5
    row = next(row for row in ended.json["checks"] if row["id"] == "server.state")
    assert row["state"] == "fail"
    assert "ztb resume --operator" in row["fix"]


# --- trading -----------------------------------------------------------------------------------


def test_open_look_modify_close(ztb: Here) -> None:
    ticket = _buy(ztb, "--id", "life-1", "--comment", "Strategy_v1")
    (position,) = ztb("positions", "--json").json["positions"]
    assert (position["ticket"], position["client_order_id"]) == (ticket, "life-1")
    assert position["exact"]["volume"] == "0.02"
    assert ztb("modify", ticket, "--sl", "0.5", "--yes").out.startswith("DONE")
    (position,) = ztb("positions", "--json").json["positions"]
    assert float(position["exact"]["sl"]) == 0.5
    part = ztb("close", ticket, "--volume", "0.01", "--yes", "--json")
    assert part.code == 0
    assert part.json["result"]["exact"]["remaining_volume"] == "0.01"
    rest = ztb("positions", "--json").json["positions"]
    assert ztb("close", rest[0]["ticket"], "--yes").code == 0
    assert ztb("positions", "--json").json["positions"] == []
    assert len(ztb("history", "--json").json["deals"]) >= 3


def test_a_pending_order_is_placed_moved_and_cancelled(ztb: Here) -> None:
    placed = ztb(
        "order", "buy_limit", "EURUSD", "0.01", "--price", "0.5", "--yes", "--json", "--id", "p-1",
    )  # fmt: skip
    assert (placed.code, placed.json["result"]["status"]) == (0, "WORKING")
    ticket = placed.json["result"]["ticket"]
    assert ztb("modify", ticket, "--price", "0.6", "--yes").code == 0
    (row,) = ztb("pending", "--json").json["pending"]
    assert float(row["exact"]["price"]) == 0.6
    late = ztb("fence", "p-1", "--json")
    assert (late.code, late.json["dead"]) == (1, False)
    assert ztb("cancel", ticket, "--yes").code == 0
    assert ztb("pending", "--json").json["pending"] == []


def test_close_all_and_flatten_show_what_became_of_each_ticket(ztb: Here) -> None:
    ticket = _buy(ztb)
    ended = ztb("close-all", "--yes")
    assert ended.code == 0
    assert f"{ticket}\tCLOSE\tFILLED" in ended.out
    assert "nothing to close" in ztb("flatten", "--yes").err


def test_the_same_id_is_the_same_order(ztb: Here) -> None:
    ticket = _buy(ztb, "--id", "once")
    assert _buy(ztb, "--id", "once") == ticket
    assert len(ztb("positions", "--json").json["positions"]) == 1


def test_other_fields_under_the_same_id_are_refused_as_a_mistake(ztb: Here) -> None:
    _buy(ztb, "--id", "twice")
    ended = ztb("order", "sell", "EURUSD", "0.02", "--yes", "--json", "--id", "twice")
    assert (ended.code, ended.json["error"]["code"]) == (3, "CONFLICT")
    assert "it belongs to an order with other fields" in ended.err


def test_an_unknown_strategy_is_refused_and_a_number_is_taken(ztb: Here) -> None:
    ended = ztb("order", "buy", "EURUSD", "0.02", "--yes", "--strategy", "atlas")
    assert ended.code == 3
    assert "[strategies]" in ended.err
    _buy(ztb, "--strategy", "7")
    (position,) = ztb("positions", "--json").json["positions"]
    assert position["strategy"] == 7


@pytest.mark.parametrize(
    ("words", "code", "by"),
    [
        (("buy", "EURUSD", "0.5"), "MAX_VOLUME", "connector"),
        (("buy", "GBPUSD", "0.01"), "SYMBOL_NOT_ALLOWED", "connector"),
        (("buy", "EURUSD", "0.01", "--sl", "9"), "STOPS_SIDE", "connector"),
        (("buy", "EURUSD", "0.015"), "VOLUME_GRID", "connector"),
    ],
)
def test_a_denied_order_is_5_and_says_why_in_words(
    ztb: Here, words: tuple[str, ...], code: str, by: str
) -> None:
    ended = ztb("order", *words, "--yes")
    assert ended.code == 5
    assert ended.out.startswith(f"DENIED {code} by ")
    assert ended.err.count("\n") >= 3  # who, what, and what to do about it
    found = ztb("order", *words, "--yes", "--json").json
    assert (found["exit"], found["result"]["code"], found["result"]["by"]) == (5, code, by)
    checked = ztb("check", *words, "--json")
    assert (checked.code, checked.json["result"]["code"]) == (5, code)


def test_a_halted_account_denies_entries_and_lets_closing_pass(ztb: Here) -> None:
    ticket = _buy(ztb)
    ztb("halt")
    assert ztb("close", ticket, "--yes").code == 0
    checked = ztb("check", "buy_limit", "EURUSD", "0.01", "--price", "0.5", "--json")
    assert (checked.code, checked.json["result"]["code"]) == (5, "HALTED")


def test_check_tells_the_margin_and_moves_nothing(ztb: Here) -> None:
    ended = ztb("check", "buy", "EURUSD", "0.01")
    assert ended.code == 0
    assert "margin " in ended.out
    assert ztb("positions", "--json").json["positions"] == []


# --- scopes ------------------------------------------------------------------------------------


def test_a_query_bundle_looks_and_can_neither_trade_nor_stop(ztb: Here) -> None:
    assert ztb("account", who="query").code == 0
    assert ztb("order", "buy", "EURUSD", "0.01", "--yes", who="query").code == 5
    refused = ztb("halt", who="query")
    assert refused.code == 5
    assert "SCOPE" in refused.out
    assert ztb("health", "--json").json["health"]["state"] == "ACTIVE"


def test_a_reduce_bundle_closes_and_halts_and_cannot_open(ztb: Here) -> None:
    ticket = _buy(ztb)
    assert ztb("order", "buy", "EURUSD", "0.01", "--yes", who="reduce").code == 5
    assert ztb("close", ticket, "--yes", who="reduce").code == 0
    assert ztb("halt", who="reduce").code == 0
    assert ztb("health").code == 5


def test_only_the_operators_folder_resumes(ztb: Here) -> None:
    ztb("halt")
    words = ("--cause", "OPERATOR", "--reason", "x", "--yes")
    wrong = ztb("resume", "--operator", ztb.house.folder / "connector", *words)
    assert wrong.code == 5
    assert "SCOPE" in wrong.out
    assert ztb("resume", "--operator", ztb.house.folder / "server", *words).code == 3
    assert ztb("health").code == 5
    assert _lift(ztb).code == 0


def test_settle_refuses_an_order_that_is_not_unknown(ztb: Here) -> None:
    ended = ztb(
        "settle", "ab" * 16, "--status", "denied", "--reason", "x",
        "--operator", ztb.house.operator, "--yes", "--json",
    )  # fmt: skip
    assert (ended.code, ended.json["result"]["code"]) == (5, "SETTLE_REFUSED")


# --- asking on a terminal, or not ----------------------------------------------------------------

_MONEY = [
    ("order", "buy", "EURUSD", "0.01"),
    ("close", "1"),
    ("close-all",),
    ("modify", "1", "--sl", "1"),
    ("cancel", "1"),
    ("flatten",),
    ("resume", "--operator", "{operator}", "--cause", "OPERATOR", "--reason", "x"),
    ("settle", "ab" * 16, "--status", "DONE", "--reason", "x", "--operator", "{operator}"),
    ("audit", "accept", "--operator", "{operator}", "--reason", "x"),
]


@pytest.mark.parametrize("words", _MONEY, ids=lambda words: words[0])
def test_without_a_terminal_money_does_not_move_unless_yes_is_given(
    ztb: Here, words: tuple[str, ...]
) -> None:
    before = ztb("audit", "verify", "--json").json["records"]
    filled = [word.format(operator=ztb.house.operator) for word in words]
    ended = run_process(*filled, "--config", ztb.house.connector, "--json")
    assert ended.code == 3
    assert (ended.json["error"]["code"], ended.json["exit"]) == ("NEEDS_YES", 3)
    assert "--yes" in ended.err
    assert ztb("audit", "verify", "--json").json["records"] == before


terminal = pytest.mark.skipif(sys.platform == "win32", reason="platform: needs a POSIX pty")


@terminal
@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 3), ("\n", 3), ("demo\n", 3)])
def test_on_a_terminal_an_order_is_asked_for(ztb: Here, typed: str, code: int) -> None:
    ended = on_a_terminal(
        "order", "buy", "EURUSD", "0.01", "--config", ztb.house.connector, typed=typed
    )
    assert ended.code == code, ended.out
    assert "Go on? [y/N]" in ended.out
    assert len(ztb("positions", "--json").json["positions"]) == (code == 0)


@terminal
@pytest.mark.parametrize("command", ["flatten", "close-all"])
@pytest.mark.parametrize(("typed", "code"), [("demo\n", 0), ("y\n", 3), ("Demo\n", 3)])
def test_on_a_terminal_closing_everything_wants_the_account_name_typed(
    ztb: Here, command: str, typed: str, code: int
) -> None:
    ended = on_a_terminal(command, "--config", ztb.house.connector, typed=typed)
    assert ended.code == code, ended.out
    assert "Type the account name" in ended.out


@terminal
@pytest.mark.parametrize("command", ["halt", "reduce-only"])
def test_stopping_never_asks(ztb: Here, command: str) -> None:
    assert on_a_terminal(command, "--config", ztb.house.connector).code == 0
    assert run_process(command, "--config", ztb.house.connector).code == 0
    assert ztb("health").code != 0


# --- the record ----------------------------------------------------------------------------------


def test_trace_tells_one_orders_life_through_every_hop(ztb: Here) -> None:
    _buy(ztb, "--id", "traced")
    ended = ztb("trace", "traced", "--json")
    assert ended.code == 0
    assert ended.json["order"]["status"] == "FILLED"
    steps = ended.json["steps"]
    hops = [step["hop"] for step in steps]
    assert hops[0] == hops[-1] == "connector"
    assert hops.index("server") < hops.index("executor") < hops.index("broker")
    assert all(step["evidence"] for step in steps)
    assert ztb("trace", ended.json["order"]["rid"]).code == 0


def test_trace_and_fence_of_an_unheard_order_say_so(ztb: Here) -> None:
    for command in ("trace", "fence"):
        ended = ztb(command, "never-was", "--json")
        assert (ended.code, ended.json["error"]["code"]) == (3, "NO_ORDER")
    ended = ztb("status", "never-was", "--json")
    assert (ended.code, ended.json["result"]["code"]) == (4, "NOT_SEEN")


def test_audit_show_is_the_server_s_record_in_order(ztb: Here) -> None:
    records = ztb("audit", "show", "--count", "5", "--json").json["records"]
    numbers = [row["n"] for row in records]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    first = ztb("audit", "show", "--first", "1", "--count", "1", "--json").json["records"]
    assert (first[0]["n"], first[0]["record"]["kind"]) == (1, "START")


def test_audit_verify_recomputes_the_chain_against_what_was_seen(ztb: Here) -> None:
    _buy(ztb)
    ended = ztb("audit", "verify", "--json")
    assert ended.code == 0, ended
    assert ended.json["remembered"] > 0
    assert ended.json["wrong"] == []


def test_commands_that_only_look_leave_no_file_behind(ztb: Here, tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    shutil.copytree(ztb.house.folder / "query", folder, ignore=shutil.ignore_patterns("state"))
    for words in (("status", "x"), ("trace", "x"), ("account",), ("wait",), ("halt",)):
        ztb(*words, who=str(folder))
    ztb("doctor", who=str(folder))
    assert {p.name for p in folder.rglob("*") if p.is_file()} == {
        "connector.toml", "connector.key",
    }  # fmt: skip


def test_two_commands_at_once_trade_under_different_client_names(ztb: Here) -> None:
    words = ("order", "buy_limit", "EURUSD", "0.01", "--price", "0.5", "--yes", "--json")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "bridge_client", *words, "--config", str(ztb.house.connector)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    codes = []
    for process in both:
        out, _ = process.communicate(timeout=30)
        assert json.loads(out)["schema"] == "ztb.order/1"
        codes.append(process.returncode)
    # At most one resting order is let in by the limits; nobody is turned away for a name.
    assert set(codes) <= {0, 5}


def test_ctrl_c_ends_with_130_and_one_json_object(ztb: Here) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge_client", "wait", "never-was", "--json",
         "--config", str(ztb.house.connector)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    assert json.loads(out)["error"]["code"] == "INTERRUPTED"
    assert "Traceback" not in err
