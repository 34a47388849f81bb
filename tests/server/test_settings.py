"""server.toml: closed, exact, and no way to turn a check off."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bridge_core.protocol.errors import ConfigError
from bridge_core.risk.rates import Rates
from bridge_server.policy import limits_digest, untraded
from bridge_server.settings import Overrides, ServerSettings, load_settings, make_policy

_GOOD = """\
account = "demo"
mode = "paper"
backend = "paper"
allowed_symbols = ["EURUSD"]
[limits.EURUSD]
max_volume = 0.01
max_positions = 1
"""


def _load(folder: Path, text: str = _GOOD, **flags: object) -> ServerSettings:
    path = folder / "server.toml"
    path.write_text(text, "utf-8")
    return load_settings(path, Overrides(**flags))  # type: ignore[arg-type]


def _refused(folder: Path, text: str = _GOOD, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        _load(folder, text, **flags)
    return caught.value.detail


def test_a_small_file_is_enough_and_its_numbers_are_exact(tmp_path: Path) -> None:
    settings = _load(tmp_path)
    assert settings.limits["EURUSD"].max_volume == Decimal("0.01")
    assert (settings.host, settings.port, settings.bind_any) == ("127.0.0.1", 5555, False)
    assert settings.signature_ttl_s == 5


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    settings = _load(tmp_path, "port = 6000\n" + _GOOD, port=7000, signature_ttl_s=10)
    assert (settings.port, settings.signature_ttl_s, settings.host) == (7000, 10, "127.0.0.1")


@pytest.mark.parametrize("ttl", [0, 11, -1])
def test_a_flag_for_the_ttl_is_bounded_like_the_files(tmp_path: Path, ttl: int) -> None:
    assert "1 to 10" in _refused(tmp_path, signature_ttl_s=ttl)
    _refused(tmp_path, f"signature_ttl_s = {ttl}\n" + _GOOD)


@pytest.mark.parametrize("port", [0, 1023, 65_534])
def test_a_flag_for_the_port_leaves_room_for_three(tmp_path: Path, port: int) -> None:
    assert "P+2" in _refused(tmp_path, port=port)
    _refused(tmp_path, f"port = {port}\n" + _GOOD)


@pytest.mark.parametrize(
    "line",
    ["no_signature_validation = true", "insecure = true", "disable = true", "verify = false",
     "allow_any = true", "max_skew_ms = 99999"],
)  # fmt: skip
def test_nothing_turns_a_check_off(tmp_path: Path, line: str) -> None:
    key = line.partition(" ")[0]
    assert key in _refused(tmp_path, f"{line}\n{_GOOD}")


def test_a_misspelt_limit_stops_the_start_with_the_nearest_name(tmp_path: Path) -> None:
    detail = _refused(tmp_path, _GOOD.replace("max_volume", "max_volumes"))
    assert "max_volumes" in detail
    assert "max_volume" in detail.replace("max_volumes", "")


@pytest.mark.parametrize("value", ["0", "-0.01", "nan", "inf", '"0.01"', "true"])
def test_a_limit_that_is_no_limit_stops_the_start(tmp_path: Path, value: str) -> None:
    if value == '"0.01"':
        assert _load(tmp_path, _GOOD.replace("0.01", value)).limits  # a text is as exact
    else:
        _refused(tmp_path, _GOOD.replace("0.01", value))


def test_limits_of_a_symbol_that_is_not_allowed_stop_the_start(tmp_path: Path) -> None:
    detail = _refused(tmp_path, _GOOD.replace("[limits.EURUSD]", "[limits.EURUSX]"))
    assert "[limits.EURUSX] is not in allowed_symbols" in detail


def test_live_mode_needs_a_live_backend(tmp_path: Path) -> None:
    detail = _refused(tmp_path, _GOOD.replace('mode = "paper"', 'mode = "live"'))
    assert 'set mode = "paper"' in detail


@pytest.mark.parametrize("alias", ["", "a b", "a:b", "ä", "x" * 25, "../x"])
def test_an_account_alias_fits_the_token(tmp_path: Path, alias: str) -> None:
    _refused(tmp_path, _GOOD.replace('"demo"', f'"{alias}"'))


_LIVE = _GOOD.replace('mode = "paper"', 'mode = "live"').replace(
    'backend = "paper"', 'backend = "ea"'
)
_TERMINAL = 'terminal = { login = 22437, server = "Broker-Demo", kind = "demo" }\n'


def test_a_live_account_is_pinned_and_says_how(tmp_path: Path) -> None:
    assert "add terminal = { login" in _refused(tmp_path, _LIVE)
    pinned = _load(tmp_path, _TERMINAL + _LIVE).terminal
    assert pinned is not None
    assert (pinned.login, pinned.server, pinned.kind) == (22437, "Broker-Demo", "demo")


@pytest.mark.parametrize(
    "terminal",
    [
        'terminal = { login = 0, server = "S", kind = "demo" }',
        'terminal = { login = 1, server = "", kind = "demo" }',
        'terminal = { login = 1, server = "S", kind = "paper" }',
        'terminal = { login = 1, server = "S" }',
        'terminal = { login = 1, server = "S", kind = "demo", any = true }',
    ],
)
def test_half_a_pin_is_no_pin(tmp_path: Path, terminal: str) -> None:
    _refused(tmp_path, f"{terminal}\n{_LIVE}")


def test_a_rehearsal_needs_no_pin_and_takes_no_script(tmp_path: Path) -> None:
    text = _GOOD.replace('backend = "paper"', 'backend = "ea"')
    assert _load(tmp_path, text).terminal is None
    assert "paper.script" in _refused(tmp_path, 'paper.script = "x.jsonl"\n' + text)


@pytest.mark.parametrize(
    "table",
    ['{ after_s = 4, policy = "cancel" }', '{ after_s = 3601, policy = "cancel" }',
     '{ after_s = 10, policy = "close" }', "{ after_s = 10 }",
     '{ after_s = 10, policy = "cancel", client = "atlas" }'],
)  # fmt: skip
def test_a_dead_mans_switch_out_of_its_bounds_stops_the_start(tmp_path: Path, table: str) -> None:
    assert "dead_man" in _refused(tmp_path, f"dead_man = {table}\n{_GOOD}")


def test_a_policy_that_the_server_could_not_carry_out_stops_the_start(tmp_path: Path) -> None:
    for policy in ("cancel", "flatten"):
        text = f'dead_man = {{ after_s = 10, policy = "{policy}" }}\n{_TERMINAL}{_LIVE}'
        assert "set DeadManPolicy in the EA's inputs" in _refused(tmp_path, text)
    text = f'dead_man = {{ after_s = 10, policy = "reduce-only" }}\n{_TERMINAL}{_LIVE}'
    assert _load(tmp_path, text).dead_man is not None


# --- [risk] ----------------------------------------------------------------------------------

_RISKY = 'risk = { max_daily_loss = "2%", require_sl = false }\n' + _GOOD


def test_without_required_limits_the_start_goes_on_and_each_line_is_named(tmp_path: Path) -> None:
    missing = untraded(make_policy(_load(tmp_path), tmp_path))
    assert missing == {
        '[risk] max_daily_loss = "2%"': ("EURUSD",),
        '[risk] max_risk_per_trade = "1%"': ("EURUSD",),
    }
    bare = _load(tmp_path, _RISKY.partition("[limits")[0])
    assert list(untraded(make_policy(bare, tmp_path))) == [
        "[limits.EURUSD] max_volume = 0.01", "[limits.EURUSD] max_positions = 1",
    ]  # fmt: skip
    assert untraded(make_policy(_load(tmp_path, _RISKY), tmp_path)) == {}


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('risk = { max_daily_los = "2%" }', "max_daily_los"),
        ('risk = { max_daily_loss = "two" }', "max_daily_loss"),
        ('risk = { max_daily_loss = "0%" }', "max_daily_loss"),
        ("risk = { max_daily_loss = -1 }", "max_daily_loss"),
        ('risk = { trading_hours = "Mon 25:00-26:00" }', "trading_hours"),
        ("risk = { max_rejections = 0 }", "max_rejections"),
        ("rates.account_entry_per_seconds = 1", "account_entry_per_s"),
    ],
)
def test_a_limit_of_the_account_that_is_none_stops_the_start(
    tmp_path: Path, line: str, word: str
) -> None:
    assert word in _refused(tmp_path, f"{line}\n{_GOOD}")


def test_hours_of_a_symbol_that_are_none_stop_the_start(tmp_path: Path) -> None:
    assert "trading_hours" in _refused(tmp_path, _GOOD + 'trading_hours = "always"\n')


def test_correlations_are_read_beside_the_file_and_a_bad_line_stops_the_start(
    tmp_path: Path,
) -> None:
    settings = _load(tmp_path, f'risk = {{ correlation_file = "pairs.csv" }}\n{_GOOD}')
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("EURUSD,GBPUSD,0.9\n", "utf-8")
    assert make_policy(settings, tmp_path).correlations["GBPUSD", "EURUSD"] == Decimal("0.9")
    pairs.write_text("EURUSD,GBPUSD\n", "utf-8")
    with pytest.raises(ConfigError, match="line 1"):
        make_policy(settings, tmp_path)


def test_any_other_limit_has_another_digest(tmp_path: Path) -> None:
    texts = (
        _RISKY, _RISKY.replace("2%", "2.0%"), _RISKY.replace("positions = 1", "positions = 2"),
        "rates.entry_per_s = 51\n" + _RISKY, _RISKY.replace('["EURUSD"]', '["EURUSD", "GBPUSD"]'),
    )  # fmt: skip
    loaded = [_load(tmp_path, text) for text in texts]
    digests = [limits_digest(make_policy(one, tmp_path), one.rates) for one in loaded]
    assert len(set(digests)) == len(texts)
    assert digests[0] == limits_digest(make_policy(loaded[0], tmp_path), Rates())
