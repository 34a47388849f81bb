"""Stopping everything: halted first, flat after, a report for each, and none waits for another."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bridge_client import Accounts, Connector, Offline
from bridge_client.emergency import Stopped, stop_account
from bridge_client.result import ChildResult, OrderResult
from bridge_client.views import StateResult
from bridge_core.protocol.codes import Status
from bridge_core.protocol.errors import TransportError
from bridge_core.protocol.operations import Op
from bridge_core.protocol.token import parse_request
from tests.support.command_line import Ztb
from tests.support.fake_server import Drop, FakeServer, make_kit
from tests.support.fleet import Fleet

# Ten servers, all asked at once on a machine that may have two processors: seconds.
_TEN_S = 10.0


def _stopped(outcome: Stopped | Offline) -> Stopped:
    assert isinstance(outcome, Stopped), outcome
    return outcome


# --- one account -----------------------------------------------------------------------------


def test_a_halt_without_an_answer_is_sent_again_under_another_id_while_flatten_goes_on(
    tmp_path: Path,
) -> None:
    kit = make_kit(tmp_path)
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="a") as bridge:
        bridge.connect(5)
        server.faults[Op.HALT] = [Drop() for _ in range(8)]  # all copies of two of them
        stopped = stop_account(bridge, "enough", flatten=True)
        assert stopped.halted.status == Status.OK
        assert stopped.flattened is not None
        tokens = [parse_request(frames.token) for op, frames in server.seen if op is Op.HALT]
        rids = [token.rid for token in tokens if token is not None]
        assert len(set(rids)) == stopped.halts >= 2
        order = [op for op, _ in server.seen if op in (Op.HALT, Op.FLATTEN)]
        assert order[0] is Op.HALT
        assert order.count(Op.FLATTEN) == 1
        assert order.index(Op.FLATTEN) < len(order) - 1  # it did not wait for the answer


def test_an_account_that_nothing_reached_is_an_error_and_no_success(tmp_path: Path) -> None:
    kit = make_kit(tmp_path)
    begun = time.monotonic()
    with (
        Connector.from_config(kit.config, client="a") as bridge,
        pytest.raises(TransportError) as caught,
    ):
        stop_account(bridge, "enough", flatten=True, wait=0.5)
    assert caught.value.code == "NO_CONNECTION"
    assert time.monotonic() - begun < 8


def _result(*children: tuple[int, Status, str], status: Status = Status.PARTIAL) -> OrderResult:
    rows = tuple(
        ChildResult(ticket=ticket, rid=f"{ticket:032x}", status=one, code=code, op="CLOSE")
        for ticket, one, code in children
    )
    return OrderResult(status=status, client_order_id="f-1", children=rows)


def _of(halted: str, flattened: OrderResult | None = None, reason: str = "") -> Stopped:
    code = "-" if halted == Status.OK else "NO_ANSWER"
    state = StateResult(status=halted, code=code, by="connector")
    return Stopped(halted=state, flattened=flattened, reason=reason)


def test_what_is_left_to_do_is_said_for_each_ticket() -> None:
    done = _of("OK", _result((11, Status.FILLED, "-"), status=Status.DONE))
    assert (done.done, done.todo) == (True, ())
    part = _of(
        "OK",
        _result(
            (11, Status.FILLED, "-"), (12, Status.REJECTED, "MARKET_CLOSED"),
            (13, Status.UNKNOWN, "NO_ANSWER"), status=Status.UNKNOWN,
        ),
    )  # fmt: skip
    closed, unknown = part.todo
    assert "ticket 12 is still open (REJECTED MARKET_CLOSED)" in closed
    assert "ticket 13 is UNKNOWN" in unknown
    assert f"ztb status {13:032x}" in unknown
    assert not part.done
    assert "ztb wait f-1" in _of("OK", _result(status=Status.PENDING)).todo[0]
    assert "flatten again" in _of("OK", _result(status=Status.DENIED)).todo[0]
    (halt,) = _of("UNKNOWN").todo
    assert "it may not be halted (UNKNOWN NO_ANSWER)" in halt
    assert _of("OK", reason="NO_CLIENT: x").todo == ("nothing was closed: NO_CLIENT: x",)
    assert not _of("OK", reason="x").done
    assert (
        "this key may not halt"
        in Stopped(halted=StateResult(status="DENIED", code="SCOPE", by="connector")).todo[0]
    )


# --- several -----------------------------------------------------------------------------------


def test_an_account_whose_name_is_in_use_is_halted_and_says_why_it_is_not_flat(
    tmp_path: Path,
) -> None:
    kit = make_kit(tmp_path / "near")
    book = tmp_path / "accounts.toml"
    book.write_text('near = "near/connector.toml"\n')
    with FakeServer(kit) as server, Connector.from_config(kit.config, client="atlas"):
        with Accounts.from_config(book, client="atlas") as accounts:
            assert set(accounts.broken) == {"near"}
            stopped = _stopped(accounts.halt("enough", flatten=True)["near"])
        assert stopped.halted.status == "OK"
        assert "NO_CLIENT" in stopped.reason
        assert [op for op, _ in server.seen].count(Op.HALT) == 1


def test_ztb_halts_all_and_flattens_and_its_exit_code_is_the_worst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ztb, fleet = Ztb(capsys), Fleet(tmp_path, ["gold", "silver"])
    with fleet:
        fleet.fill()
        asked = ztb("halt", "--all", "--accounts", fleet.file, "--flatten")
        assert asked.code == 3
        assert "2 of 2 accounts are halted, and nothing was closed" in asked.err
        assert fleet.holding("gold") == 3
        ended = ztb("halt", "stop", "--all", "--accounts", fleet.file, "--flatten", "--yes")
        assert ended.code == 0, ended
        rows = [line.split("\t") for line in ended.out.splitlines() if line]
        assert rows[0] == ["ACCOUNT", "HALT", "FLATTEN", "TICKETS", "SECONDS"]
        assert [row[:4] for row in rows[1:3]] == [
            ["gold", "OK", "DONE", "3"], ["silver", "OK", "DONE", "3"],
        ]  # fmt: skip
        assert sum(row[0] == "gold" and row[3] in ("FILLED", "DONE") for row in rows[4:]) == 3
        assert "gold: halted in " in ended.err
        assert fleet.holding("gold") == fleet.holding("silver") == 0
        one = ztb("halt", "--flatten", "--yes", "--json", "--config",
                  fleet.accounts["gold"].folder / "connector")  # fmt: skip
        assert (one.code, one.json["accounts"]["demo"]["flattened"]["status"]) == (0, "DONE")
        fleet.servers["silver"].kill()
        worst = ztb("halt", "--all", "--accounts", fleet.file, "--json")
        assert worst.code == 2
        assert worst.json["accounts"]["gold"]["halted"]["status"] == "OK"
        assert worst.json["accounts"]["silver"]["reason"]
        assert "silver: it was not reached, so it is as it was" in worst.err
    assert ztb("halt", "--all", "--accounts", tmp_path / "none.toml").code == 3
    assert ztb("halt", "--accounts", fleet.file).code == 3


@pytest.mark.long
def test_ten_accounts_are_halted_and_flattened_and_the_one_that_hangs_delays_no_other(
    tmp_path: Path,
) -> None:
    names = [f"a{n}" for n in range(10)]
    fleet = Fleet(tmp_path, names)
    with fleet:
        fleet.fill()
        fleet.hang("a3")
        fleet.servers["a7"].kill()
        told: dict[str, float] = {}
        with Accounts.from_config(fleet.file, client="stopper") as accounts:
            for name in names:
                if name not in ("a3", "a7"):
                    accounts[name].connect(15)
            begun = time.monotonic()
            found = accounts.halt(
                "fire", flatten=True, wait=20,
                told=lambda name, _: told.__setitem__(name, time.monotonic() - begun),
            )  # fmt: skip
            well = {name: _stopped(found[name]) for name in names if name not in ("a3", "a7")}
            for one in well.values():
                assert one.done, one
                assert one.flattened is not None
                assert [child.status for child in one.flattened.children].count(Status.FILLED) == 2
            assert max(told[name] for name in well) < _TEN_S < told["a3"]
            assert isinstance(found["a3"], Offline) or found["a3"].halted.status == "UNKNOWN"
            assert isinstance(found["a7"], Offline)
            assert all(fleet.holding(name) == 0 for name in well)
            print(
                f"ten accounts, one hung and one dead: eight halted within "
                f"{max(one.halted_s for one in well.values()):.2f} s, flat within "
                f"{max(told[name] for name in well):.2f} s"
            )
