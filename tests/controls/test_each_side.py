"""Every control on each side: what is within it passes, one step over is refused there.

The server refuses what a connector with wide limits lets pass, and trusts no number in the
message; a connector refuses by its own limits what the server would take, and signs nothing.
Closing is never refused, whatever was.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from bridge_client import Connector, OrderResult, Status
from bridge_core.protocol.messages import GetRange
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import JournalPage
from tests.controls.rows import PRICES, ROWS, STATES, Row
from tests.support.raw_client import decode
from tests.support.running import Account, Process, make_account, wait_until

_WIDE_RISK: Final = {"max_daily_loss": "5000", "require_sl": "false"}
_WIDE_LIMITS: Final = {"max_volume": "1.0", "max_positions": "100"}
_SYMBOLS: Final = 'allowed_symbols = ["EURUSD", "GBPUSD"]'
_TOOK: Final = (Status.FILLED, Status.WORKING, Status.DONE)
_by_name: Final = pytest.mark.parametrize("row", [*ROWS, *STATES], ids=lambda row: row.name)


def _settings(wide: dict[str, str], line: str) -> str:
    """Return the lines of a table: the wide ones, with a row's own settings in their place."""
    given = dict(_pairs(line))
    return "".join(f"{name} = {value}\n" for name, value in {**wide, **given}.items())


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    name = ""
    for part in line.split(", ") if line else ():
        if " = " in part:
            name, _, value = part.partition(" = ")
            yield name, value
        else:  # a comma within a value
            yield name, f"{value}, {part}"
            value = f"{value}, {part}"


def _tables(row: Row | None) -> str:
    risk, limits = (row.risk, row.limits) if row is not None else ("", "")
    return (
        f"[risk]\n{_settings(_WIDE_RISK, risk)}"
        f"[limits.EURUSD]\n{_settings(_WIDE_LIMITS, limits)}"
        + ("" if row is not None and row.top else f"[limits.GBPUSD]\n{_settings(_WIDE_LIMITS, '')}")
    )


def _configure(path: Path, row: Row | None, first: str) -> None:
    """Write one side's limits: wide but for the row's own setting."""
    ours = (
        "risk",
        "[risk",
        "require_sl",
        "allowed_symbols",
        "[limits",
        "max_",
        "deviation",
        "paper.",
        "server",
        "port",
    )
    kept = [line for line in path.read_text("utf-8").splitlines() if not line.startswith(ours)]
    top = row.top if row is not None and row.top else _SYMBOLS
    path.write_text("\n".join([first, top, *kept, _tables(row)]), "utf-8")


def _market(folder: Path, script: str) -> str:
    """Write prices that stand still; return the lines of server.toml that name them."""
    for symbol, (bid, ask) in PRICES.items():
        rows = "".join(f"2026-03-02T10:00:0{n}Z,{bid},{ask}\n" for n in range(3))
        (folder / f"{symbol}.csv").write_text(f"time,bid,ask\n{rows}", "utf-8")
    lines = 'paper.prices = { EURUSD = "EURUSD.csv", GBPUSD = "GBPUSD.csv" }\npaper.pace_ms = 5\n'
    if script:
        (folder / "script.jsonl").write_text(script, "utf-8")
        lines += 'paper.script = "script.jsonl"\n'
    return lines


@contextmanager
def _account(folder: Path, server: Row | None, connector: Row | None) -> Iterator[Account]:
    """Run a server with one row's limits, beside a connector with another's; None: wide ones."""
    account = make_account(folder)
    row = server or connector
    market = _market(account.config.parent, row.script if row is not None else "")
    symbols = _SYMBOLS if server is None or not server.top else server.top
    if symbols != _SYMBOLS:
        market = market.replace(', GBPUSD = "GBPUSD.csv"', "")
    _configure(account.config, server, f"port = {account.port}\n{market}")
    place = f'server = "tcp://127.0.0.1:{account.port}"'
    _configure(account.bundle() / "connector.toml", connector, place)
    with Process(account) as process:
        process.ready()
        yield account


@contextmanager
def _bridge(account: Account) -> Iterator[Connector]:
    with Connector.from_config(account.bundle(), client="atlas") as bridge:
        bridge.connect(10)
        wait_until(lambda: bridge.get_quote("EURUSD").ask == 1.1001, 10)
        yield bridge


def _passes(bridge: Connector, row: Row) -> None:
    for act in row.within:
        result = act(bridge)
        took = result.status in _TOOK or (bool(row.script) and result.status is Status.REJECTED)
        assert took, str(result)


def _refused(bridge: Connector, row: Row) -> OrderResult:
    result = row.over(bridge)
    assert result.status is Status.DENIED, str(result)
    return result


def _ends_all(bridge: Connector) -> None:
    for order in bridge.get_pending_orders():
        assert bridge.cancel_order(order).status is Status.DONE
    for position in bridge.get_positions():
        closed = bridge.close_position(position)
        assert closed.status in _TOOK, str(closed)
    assert bridge.get_positions() == []


@pytest.mark.parametrize("row", [row for row in ROWS if not row.local], ids=lambda row: row.name)
def test_the_server_refuses_by_its_own_limits_what_the_connector_lets_pass(
    tmp_path: Path, row: Row
) -> None:
    with _account(tmp_path, row, None) as account, _bridge(account) as bridge:
        _passes(bridge, row)
        result = _refused(bridge, row)
        assert (result.code, result.by) == (row.code, "server"), str(result)
        assert result.limit or result.value, str(result)
        _ends_all(bridge)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One server with wide limits, for every connector that has a limit of its own."""
    with _account(tmp_path_factory.mktemp("wide"), None, None) as account:
        yield account


@contextmanager
def _strict(wide: Account, folder: Path, row: Row) -> Iterator[tuple[Account, Connector]]:
    """Open a connector with one row's limits; what others lost today is in no other's way."""
    if row in STATES:
        with _account(folder, None, row) as account, _bridge(account) as bridge:
            yield account, bridge
        return
    own = Account(folder, wide.port)
    shutil.copytree(wide.bundle(), own.bundle())
    _configure(own.bundle() / "connector.toml", row, f'server = "tcp://127.0.0.1:{wide.port}"')
    with _bridge(own) as bridge:
        yield own, bridge


@_by_name
def test_the_connector_refuses_by_its_own_limits_and_signs_nothing(
    wide: Account, tmp_path: Path, row: Row
) -> None:
    with _strict(wide, tmp_path, row) as (account, bridge):
        try:
            _passes(bridge, row)
            if row in STATES:  # what was seen lowers the state at the next look
                wait_until(lambda: _judged(bridge, row), 10)
            before = _journaled(account)
            result = _refused(bridge, row)
            assert (result.code, result.by) == (row.code, "connector"), str(result)
            assert _journaled(account) == before
        finally:
            _ends_all(bridge)


def _journaled(account: Account) -> int:
    with account.client() as client:
        answer = client.do(Op.GET_JOURNAL, GetRange(since=0, first=0, count=1))
    return decode(JournalPage, answer).total


def _judged(bridge: Connector, row: Row) -> bool:
    return bridge.check_order("EURUSD", "BUY", "0.01").code == row.code


@pytest.mark.parametrize("row", STATES, ids=lambda row: row.name)
def test_what_the_server_sees_lowers_its_state_until_an_operator_or_the_day_ends_it(
    tmp_path: Path, row: Row
) -> None:
    cause = row.code if row.code in ("DAILY_LOSS", "DRAWDOWN") else "BREAKER"
    with _account(tmp_path, row, None) as account, _bridge(account) as bridge:
        _passes(bridge, row)
        wait_until(lambda: cause in [one.cause for one in bridge.health().causes], 10)
        result = _refused(bridge, row)
        assert result.by == "server"
        assert result.code in (row.code, "REDUCE_ONLY", "HALTED"), str(result)
        _ends_all(bridge)


def test_a_latch_of_the_server_outlives_its_death(tmp_path: Path) -> None:
    row = STATES[0]
    with _account(tmp_path, row, None) as account, _bridge(account) as bridge:
        _passes(bridge, row)
        wait_until(lambda: bridge.health().state != "ACTIVE", 10)
    with Process(account) as again:
        wait_until(lambda: again.client().hello().state == "REDUCE_ONLY", 15)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("max_volume", "[limits.EURUSD] max_volume"),
        ("max_positions", "[limits.EURUSD] max_positions"),
        ("max_daily_loss", "[risk] max_daily_loss"),
        ("require_sl", "[risk]"),
    ],
)
def test_without_a_required_setting_the_symbol_is_not_traded_and_the_line_to_add_is_named(
    tmp_path: Path, missing: str, line: str
) -> None:
    with _account(tmp_path, None, None) as account:
        pass
    for config, by in (
        (account.config, "server"),
        (account.bundle() / "connector.toml", "connector"),
    ):
        text = config.read_text("utf-8")
        config.write_text(
            "\n".join(one for one in text.splitlines() if not one.startswith(missing)), "utf-8"
        )
        with Process(account) as process:
            process.ready()
            with _bridge(account) as bridge:
                result = bridge.buy("EURUSD", "0.01")
        assert (result.status, result.code, result.by) == ("DENIED", "NO_LIMIT", by), str(result)
        assert line in result.limit, str(result)
        if by == "server":
            config.write_text(text, "utf-8")
