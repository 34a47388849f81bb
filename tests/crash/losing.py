"""Rows of the matrix where a disk is lost or goes back in time, or a person steps in."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Final

from bridge_core.host.bundles import load_bundle
from bridge_core.protocol.messages import Stop
from bridge_core.protocol.operations import Op
from bridge_server.core.trading_state import TradingState
from tests.crash.dying import Scenario, buy, concluded, opened, settled, split_hold
from tests.crash.network import AllLost
from tests.crash.stage import Plan, Run
from tests.crash.table import End, Point
from tests.crash.verdict import begun_for, connector_row, judge_run, server_says
from tests.support.doom import SUBJECT

__all__ = ["LOSING", "cut_commits"]

_WAL_HEAD: Final = 32
_FRAME_HEAD: Final = struct.Struct(">6I")


def cut_commits(database: Path, count: int) -> None:
    """Cut the last commits off a WAL, as a disk does that lied about its syncs."""
    wal = database.with_name(database.name + "-wal")
    raw = wal.read_bytes()
    page_bytes, salt = struct.unpack_from(">I", raw, 8)[0], raw[16:24]
    ends, at = [_WAL_HEAD], _WAL_HEAD
    while at + _FRAME_HEAD.size + page_bytes <= len(raw) and raw[at + 8 : at + 16] == salt:
        pages_after_commit = _FRAME_HEAD.unpack_from(raw, at)[1]
        at += _FRAME_HEAD.size + page_bytes
        if pages_after_commit:
            ends.append(at)
    assert len(ends) > count
    with wal.open("r+b") as file:
        file.truncate(ends[-1 - count])


# --- the server's disk ------------------------------------------------------------------------


def server_disk_is_gone(run: Run, point: Point, turn: int) -> End:
    server = run.serve(point.server[0])
    bridge = opened(run)
    buy(bridge, point)
    server.died()
    run.remove(run.journal)
    return concluded(run, run.serve(), settled(bridge), forked=True)


def server_is_an_older_snapshot(run: Run, point: Point, turn: int) -> End:
    server = run.serve()
    bridge = opened(run)
    snapshot = run.copy(run.journal, "snapshot")
    buy(bridge, point)
    told = settled(bridge)
    server.kill()
    run.remove(run.journal)
    for file in snapshot.parent.iterdir():
        shutil.copy2(file, run.account.state)
    return concluded(run, run.serve(), told, forked=True)


def witnessed_tail_is_cut_off(run: Run, point: Point, turn: int) -> End:
    server = run.serve()
    bridge = opened(run)
    buy(bridge, point)
    told = settled(bridge)
    server.kill()
    cut_commits(run.journal, 2)
    return concluded(run, run.serve(), told, forked=True)


def _unseen_tail(commits: int) -> Scenario:
    def play(run: Run, point: Point, turn: int) -> End:
        server = run.serve(point.server[0])
        bridge = opened(run)
        buy(bridge, point)
        server.died()
        cut_commits(run.journal, commits)
        return concluded(run, run.serve(), settled(bridge))

    return play


# --- the connector's disk ---------------------------------------------------------------------


def client_disk_is_gone(run: Run, point: Point, turn: int) -> End:
    server = run.serve()
    bridge = opened(run)
    buy(bridge, point)
    settled(bridge)
    kept = run.copy(run.client_journal(), "kept")
    run.remove(run.client_journal())
    return judge_run(run, server, kept=kept)


def client_disk_is_gone_in_flight(run: Run, point: Point, turn: int) -> End:
    server = run.serve(point.server[turn % point.turns])
    strategy = run.trade()
    server.died()
    strategy.kill()
    kept = run.copy(run.client_journal(), "kept")
    run.remove(run.client_journal())
    return judge_run(run, run.serve(), kept=kept)


# --- people -----------------------------------------------------------------------------------


def kill_switch(run: Run, point: Point, turn: int) -> End:
    split = point.form == "split"
    place = "j1 committed" if split else "call"
    hold = split_hold(point, "halted") or {SUBJECT: "halted"}
    server = run.serve({place: [["say"]]}, hold=hold)
    bridge = opened(run)
    buy(bridge, point)
    server.expect(place)
    assert run.raw().stop(Op.HALT).status == "OK"
    told = settled(bridge)
    server.kill()
    server = run.serve()
    assert run.raw().hello().state == TradingState.HALTED
    return concluded(run, server, told)


def kill_switch_then_death(run: Run, point: Point, turn: int) -> End:
    plan: Plan = {"call": [["say"]], **point.server[turn % point.turns]}
    server = run.serve(plan, hold={SUBJECT: "halted"})
    bridge = opened(run)
    buy(bridge, point)
    server.expect("call")
    client = run.raw()
    client.send(client.sign(Op.HALT, Stop(reason="enough")))  # S dies before it answers
    server.died()
    server = run.serve()
    assert run.raw().hello().state == TradingState.HALTED
    return concluded(run, server, settled(bridge))


def _revoke(run: Run) -> None:
    kid = load_bundle(run.account.bundle() / "keys" / "connector.key").kid
    file = run.account.config.parent / "keys" / f"{kid}.key"
    text = file.read_text("utf-8")
    assert '"active"' in text
    file.write_text(text.replace('"active"', '"revoked"'), "utf-8")


def key_is_revoked_in_flight(run: Run, point: Point, turn: int) -> End:
    server = run.serve(point.server[turn % point.turns])
    bridge = opened(run)
    buy(bridge, point)
    server.died()
    _revoke(run)
    server = run.serve()
    assert not bridge.wait(SUBJECT, 0.3).final
    bridge.close()
    # The strategy goes on under another live key, on a new disk.
    return judge_run(run, server, who="trade", kept=run.client_journal())


def key_is_revoked_before_it_arrives(run: Run, point: Point, turn: int) -> End:
    server = run.serve()
    bridge = opened(run)
    AllLost(bridge)
    buy(bridge, point)
    server.kill()
    _revoke(run)
    server = run.serve()
    assert not bridge.wait(SUBJECT, 0.1).final
    bridge.close()
    row = connector_row(run.client_journal())
    assert row is not None
    client = run.raw("trade")
    assert client.silent(row.frames)
    assert client.status(rid=row.rid).code == "NOT_SEEN"
    truth = server_says(client, row)
    server.kill()
    return End(*truth, begun_for(run, row.rid))


LOSING: Final[dict[str, Scenario]] = {
    "disk-gone": server_disk_is_gone,
    "snapshot": server_is_an_older_snapshot,
    "tail-seen": witnessed_tail_is_cut_off,
    "tail": _unseen_tail(1),
    "tail-all": _unseen_tail(2),
    "client-disk": client_disk_is_gone,
    "client-disk-flying": client_disk_is_gone_in_flight,
    "halt": kill_switch,
    "halt-dies": kill_switch_then_death,
    "revoked": key_is_revoked_in_flight,
    "revoked-before": key_is_revoked_before_it_arrives,
}
