"""Settings: closed, exact, and every refusal names the key and the fix."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from bridge_core.host.settings import load_env, load_toml, nearest
from bridge_core.protocol.errors import ConfigError


class Kind(StrEnum):
    PAPER = "paper"
    LIVE = "live"


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    max_volume: str
    max_positions: int = 1


class Risk(Struct, frozen=True, forbid_unknown_fields=True):
    allowed_symbols: tuple[str, ...]
    max_deviation: Annotated[int, Meta(ge=0, le=1_000)] = 10
    per_symbol: dict[str, Limits] = {}
    steps: tuple[Limits, ...] = ()


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    account: str
    mode: Kind
    risk: Risk
    port: int = 5555
    bind_any: bool = False
    backend: Literal["paper", "mt5"] = "paper"
    extra: Limits | None = None

    def __post_init__(self) -> None:
        if self.mode is Kind.LIVE and self.backend == "paper":
            raise ValueError("live mode needs a live backend")


GOOD = """\
account = "A1"
mode = "paper"
[risk]
allowed_symbols = ["EURUSD"]
[risk.per_symbol.EURUSD]
max_volume = "0.01"
"""
ENV = ("MT5_LOGIN", "MT5_PASSWORD", "MT5_SERVER", "MT5_PATH")


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "server.toml"
    path.write_bytes(text.encode("utf-8"))
    return load_toml(path, Settings)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.code == "CONFIG"
    assert str(tmp_path / "server.toml") in caught.value.detail
    assert "\n" not in caught.value.detail
    return caught.value.detail


def test_a_good_file_becomes_a_struct(tmp_path: Path) -> None:
    got = load(tmp_path, GOOD)
    assert got.mode is Kind.PAPER
    assert got.risk.per_symbol == {"EURUSD": Limits(max_volume="0.01")}


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistake(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + GOOD.replace("\n", "\r\n")) == load(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("line", "wrong", "right"),
    [
        ('acount = "x"\n' + GOOD, "`acount`", "`account`"),
        ("Port = 1\n" + GOOD, "`Port`", "`port`"),
        (GOOD + "max_position = 1\n", "`risk.per_symbol.EURUSD.max_position`", "`max_positions`"),
        (GOOD + "[risk.per_symbol.DE40]\nmaxvolume = 1\n", "DE40.maxvolume", "`max_volume`"),
        (GOOD + '[[risk.steps]]\nmax_volumes = "1"\n', "max_volumes", "`max_volume`"),
        (GOOD + '[extra]\nmax_vol = "1"\n', "`extra.max_vol`", "`max_volume`"),
        (GOOD + '[rsik]\nx = "1"\n', "`rsik`", "`risk`"),
    ],
)
def test_a_misspelt_key_anywhere_is_named_with_the_nearest_known_one(
    tmp_path: Path, line: str, wrong: str, right: str
) -> None:
    detail = refusal(tmp_path, line)
    assert wrong in detail
    assert f"did you mean {right}?" in detail


def test_an_unknown_key_unlike_any_other_lists_the_known_ones(tmp_path: Path) -> None:
    assert "account, mode, risk" in refusal(tmp_path, "zzz = 1\n" + GOOD)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (GOOD.replace('account = "A1"\n', ""), 'add the line `account = "TEXT"` to the top'),
        (GOOD.replace('mode = "paper"\n', ""), '`mode = "paper" or "live"`'),
        ('account = "A1"\nmode = "paper"\n', "add the table [risk]"),
        (GOOD.replace('max_volume = "0.01"\n', ""), "to [risk.per_symbol.EURUSD]"),
        (GOOD + "[[risk.steps]]\n", 'add the line `max_volume = "TEXT"`'),
        (GOOD.replace("allowed_symbols", "#"), "allowed_symbols = […]"),
    ],
)
def test_a_missing_key_says_which_line_to_add(tmp_path: Path, text: str, advice: str) -> None:
    assert advice in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('port = "5555"\n' + GOOD, "`port`"),
        ("port = 5555.5\n" + GOOD, "`port`"),
        ("port = true\n" + GOOD, "`port`"),
        ("bind_any = 1\n" + GOOD, "`bind_any`"),
        ('backend = "mt6"\n' + GOOD, "`backend`"),
        (GOOD.replace('"paper"', '"Paper"'), "`mode`"),
        (GOOD.replace('"0.01"', "0.01"), "`risk.per_symbol.EURUSD.max_volume`"),
        (GOOD.replace("[risk]", "[risk]\nmax_deviation = 1001"), "`risk.max_deviation`"),
        (GOOD.replace('["EURUSD"]', '["EURUSD", 3]'), "`risk.allowed_symbols`"),
        (GOOD.replace("[risk.per_symbol.EURUSD]\nmax_volume", "per_symbol"), "risk.per_symbol"),
        ('extra = "x"\n' + GOOD, "`extra`"),
        ('account = "A1"\nmode = "paper"\nrisk = 3\n', "`risk`"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_key(tmp_path: Path, text: str, key: str) -> None:
    assert key in refusal(tmp_path, text)


def test_a_rule_over_several_keys_is_told(tmp_path: Path) -> None:
    assert "live backend" in refusal(tmp_path, GOOD.replace('"paper"', '"live"'))


@pytest.mark.parametrize(
    "data",
    [
        b"port = \n",
        b"port = 1\nport = 2\n",
        b"\xff\xfeport",
        b"a = " + b"[" * 20_000,
        b"#" * 1_100_000,
        b"a = \x00",
    ],
)
def test_what_is_no_toml_is_refused_not_raised(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "server.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_toml(path, Settings)
    assert caught.value.code == "CONFIG"
    assert len(caught.value.detail) < 1_000


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError):
            load_toml(path, Settings)


@given(st.text(max_size=20))
def test_nearest_never_invents_a_name(name: str) -> None:
    assert nearest(name, ["max_volume", "port"]) in {None, "max_volume", "port"}


def test_nearest_ignores_case_and_gives_up_on_strangers() -> None:
    assert nearest("MAXVOLUME", ["max_volume"]) == "max_volume"
    assert nearest("xyz", ["max_volume"]) is None


# --- .env ----------------------------------------------------------------------------------


def env(tmp_path: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    path = tmp_path / ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return load_env(path, ENV)


def test_values_are_taken_literally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_BROKER", "evil")
    got = env(tmp_path, "# c\n\nMT5_LOGIN=22437\nexport MT5_PASSWORD='a${HOME_BROKER}$b#c'\n")
    assert got == {"MT5_LOGIN": "22437", "MT5_PASSWORD": "a${HOME_BROKER}$b#c"}


def test_the_real_environment_is_neither_read_nor_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MT5_LOGIN", "1")
    monkeypatch.delenv("MT5_SERVER", raising=False)
    assert env(tmp_path, "MT5_SERVER=x\n") == {"MT5_SERVER": "x"}


def test_no_file_is_searched_for_upwards(tmp_path: Path) -> None:
    env(tmp_path, "MT5_LOGIN=1\n")
    below = tmp_path / "below"
    below.mkdir()
    with pytest.raises(ConfigError):
        load_env(below / ".env", ENV)


@pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX modes")
def test_an_open_env_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        env(tmp_path, "MT5_LOGIN=1\n", 0o644)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("MT5_LOGIN=1\nMT5_PASWORD=hunter2hunter2\n", "did you mean MT5_PASSWORD?"),
        ("mt5_password=hunter2hunter2\n", "did you mean MT5_PASSWORD?"),
        ("MT5_PASSWORD=x\nhunter2hunter2\n", "line 2"),
        ("MT5_PASSWORD='hunter2hunter2\n", "line 1"),
        ("MT5_PASSWORD\n", "line 1"),
        ("hunter2hunter2=x\n", "known: MT5_LOGIN"),
        ("MT5_PASSWORD=hunter2hunter2\nMT5_PASSWORD=b\n", "given again in line 2"),
    ],
)
def test_a_wrong_line_is_named_by_number_and_never_shown(
    tmp_path: Path, text: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        env(tmp_path, text)
    assert hint in caught.value.detail
    assert "hunter2" not in str(caught.value)
