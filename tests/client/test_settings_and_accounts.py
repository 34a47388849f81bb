"""connector.toml and accounts.toml: a wrong one names the key; one account may be away."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge_client import Accounts, ConfigError, Connector, Offline, Status
from bridge_client.settings import load_settings
from tests.support.fake_server import FakeServer, make_kit

BASE = 'account = "demo"\nserver = "tcp://127.0.0.1:5555"\nallowed_symbols = ["EURUSD"]\n'


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "connector.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (BASE + "deviaton = 3", "deviation"),
        (BASE.replace("tcp://127.0.0.1:5555", "127.0.0.1"), "tcp://HOST:PORT"),
        (BASE.replace(":5555", ":65535"), "tcp://HOST:PORT"),
        (BASE + "ttl_ms = 50000", "ttl_ms"),
        (BASE + "deviation = 2000", "max_deviation"),
        (BASE + "[limits.XAUUSD]\nmax_volume = 1\nmax_positions = 1", "allowed_symbols"),
        (BASE + "[limits.EURUSD]\nmax_volume = 0\nmax_positions = 1", "max_volume"),
        (BASE + "[limits.EURUSD]\nmax_volume = 1\nmax_position = 1", "max_positions"),
        (BASE + '[symbols]\nA = "X"\nB = "X"', "symbols"),
        (BASE + "[risk]\nmax_daily_los = 5", "did you mean `max_daily_loss`"),
        (BASE + '[risk]\nmax_daily_loss = "0%"', "max_daily_loss"),
        (BASE + '[risk]\nmax_daily_loss = "2 %"', "max_daily_loss"),
        (BASE + '[risk]\ntrading_hours = "Mon 9-17"', "Mon 9-17"),
        (BASE + '[limits.EURUSD]\ntrading_hours = "Mon-Fri 22:00-06:00"', "over midnight"),
        (BASE + '[risk]\ncorrelation_file = "none.csv"', "none.csv"),
        (BASE + '[risk.strategies.atlas]\nallowed_ops = ["OPEN"]', "by its number"),
        (BASE + "[rates]\nentries = 5", "entry_per_s"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        load_settings(_file(tmp_path, text))


def test_limits_and_symbols_are_kept_by_the_brokers_name(tmp_path: Path) -> None:
    text = BASE + '[symbols]\nEURUSD = "EURUSD.m"\n'
    text += "[limits.EURUSD]\nmax_volume = 0.1\nmax_positions = 2"
    found = load_settings(_file(tmp_path, text))
    assert found.broker_allowed() == {"EURUSD.m"}
    assert str(found.broker_limits()["EURUSD.m"].max_volume) == "0.1"


def test_the_whole_policy_is_by_the_brokers_name(tmp_path: Path) -> None:
    (tmp_path / "rho.csv").write_text("EURUSD,GBPUSD,0.8\n", "utf-8")
    text = BASE.replace('["EURUSD"]', '["EURUSD", "GBPUSD"]')
    text += '[symbols]\nEURUSD = "EURUSD.m"\n[risk]\ncorrelation_file = "rho.csv"\n'
    text += '[risk.strategies.7]\nallowed_symbols = ["EURUSD"]\n'
    policy = load_settings(_file(tmp_path, text)).policy(tmp_path)
    assert policy.allowed_symbols == {"EURUSD.m", "GBPUSD"}
    assert policy.correlations["EURUSD.m", "GBPUSD"] == policy.correlations["GBPUSD", "EURUSD.m"]
    assert policy.account.strategies["7"].allowed_symbols == ("EURUSD.m",)


def test_a_wrong_line_of_the_correlations_stops_the_start_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "rho.csv").write_text("EURUSD,GBPUSD,0.8\nEURUSD,XAUUSD,2\n", "utf-8")
    with pytest.raises(ConfigError, match=r"rho\.csv.*2"):
        load_settings(_file(tmp_path, BASE + '[risk]\ncorrelation_file = "rho.csv"'))


def test_a_file_without_the_limits_that_money_needs_starts(tmp_path: Path) -> None:
    settings = load_settings(_file(tmp_path, BASE))
    assert settings.policy(tmp_path).account.max_daily_loss is None


def test_a_bundle_of_another_account_is_refused(tmp_path: Path) -> None:
    kit = make_kit(tmp_path / "a")
    kit.config.write_text(kit.config.read_text().replace('"demo"', '"other"'))
    with pytest.raises(ConfigError, match="demo"):
        Connector.from_config(kit.config)


def test_an_account_that_is_away_is_offline_and_the_others_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_client.accounts._CONNECT_S", 1.5)
    monkeypatch.setattr("bridge_client.queries.QUERY_S", 1.5)
    monkeypatch.setattr("bridge_client.stopping._STOP_S", 1.5)
    monkeypatch.setattr("bridge_client.desk._CONNECT_S", 1.5)
    near, far = make_kit(tmp_path / "near"), make_kit(tmp_path / "far")
    book = tmp_path / "accounts.toml"
    book.write_text('near = "near/connector.toml"\nfar = "far/connector.toml"\nbad = "none.toml"\n')
    del far
    with FakeServer(near) as server, Accounts.from_config(book, client="atlas") as accounts:
        assert list(accounts) == ["near", "far"]
        assert accounts["near"].buy("EURUSD", 0.01).status is Status.FILLED
        assert set(accounts.offline) == {"far", "bad"}
        with pytest.raises(ConfigError, match="OFFLINE"):
            accounts["bad"].ping()
        rows = {row.name: row for row in accounts.summary()}
        assert (rows["near"].state, rows["near"].positions) == ("ACTIVE", 1)
        assert rows["far"].state == "OFFLINE"
        assert rows["far"].reason
        stopped = accounts.halt("test", flatten=True)
        assert not isinstance(stopped["near"], Offline)
        assert stopped["near"].halted.status == "OK"
        assert isinstance(stopped["bad"], Offline)
        assert len(server.executed) == 2


@pytest.mark.parametrize("text", ["a = 1", "a", '[x]\na = "b"'])
def test_a_wrong_accounts_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        Accounts.from_config(path)
