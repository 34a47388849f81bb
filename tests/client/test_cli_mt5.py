"""`ztb init --backend mt5`: what each side holds and is told, and what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bridge_core.host.bundles import load_bundle, load_server_keys, load_verify_sets
from bridge_core.protocol.keys import Mode
from bridge_server.backends.mt5_pins import Mt5Pins
from bridge_server.settings import Overrides, load_settings
from bridge_server.wiring import link_spec
from tests.support.command_line import Ended, Ztb

ACCOUNT = ("--symbol", "EURUSD", "--max-volume", "0.01", "--backend", "mt5")
LIVE = (
    *ACCOUNT, "--mode", "live", "--login", "5031273421", "--broker-server", "Broker-Demo",
    "--kind", "demo", "--margin-mode", "hedging",
)  # fmt: skip


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ztb:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    return Ztb(capsys)


def _toml(account: Path) -> dict[str, object]:
    return tomllib.loads((account / "server/server.toml").read_text("utf-8"))


def test_the_rehearsal_is_what_init_makes_unless_it_is_told_otherwise(
    ztb: Ztb, tmp_path: Path
) -> None:
    assert ztb("init", "dry", *ACCOUNT).code == 0
    held = _toml(tmp_path / "dry")
    assert (held["backend"], held["mode"]) == ("mt5", "paper")
    assert held["mt5"] == {"path": r"C:\MT5\dry\terminal64.exe", "portable": True}
    assert "terminal" not in held
    assert "paper" not in held
    assert load_server_keys(tmp_path / "dry/server/keys/server.key").mode is Mode.PAPER


def test_a_live_account_is_pinned_to_one_login_server_kind_margin_mode_and_terminal(
    ztb: Ztb, tmp_path: Path
) -> None:
    assert ztb("init", "gold", *LIVE).code == 0
    held = _toml(tmp_path / "gold")
    assert (held["backend"], held["mode"]) == ("mt5", "live")
    assert held["terminal"] == {"login": 5031273421, "server": "Broker-Demo", "kind": "demo"}
    assert held["mt5"] == {
        "path": r"C:\MT5\gold\terminal64.exe", "portable": True, "margin_mode": "hedging",
    }  # fmt: skip


def test_no_ea_is_let_in_and_no_key_for_one_is_made(ztb: Ztb, tmp_path: Path) -> None:
    assert ztb("init", "gold", *LIVE).code == 0
    folder = tmp_path / "gold"
    assert not (folder / "ea").exists()
    own = load_server_keys(folder / "server/keys/server.key")
    assert (own.ea, own.ea_public) == (False, "")
    bundle = load_bundle(folder / "connector/keys/connector.key")
    assert (bundle.ea, bundle.event_ea, bundle.mode) == (False, "", Mode.LIVE)
    assert bundle.kid in load_verify_sets(folder / "server/keys", own)


@pytest.mark.parametrize(
    "path",
    [
        r"C:\Program Files\MetaTrader 5\terminal64.exe",
        r"D:\Börse\O'Brien\TERMINAL64.EXE",
        r"\\nas\mt5\terminal64.exe",
        "/srv/prefix/drive_c/mt5/terminal64.exe",
    ],
)
def test_the_path_reaches_the_server_exactly_as_it_was_given(
    ztb: Ztb, tmp_path: Path, path: str
) -> None:
    assert ztb("init", "gold", *ACCOUNT, "--mt5-path", path).code == 0
    assert _toml(tmp_path / "gold")["mt5"] == {"path": path}


def test_a_portable_terminal_elsewhere_is_said_to_be_one(ztb: Ztb, tmp_path: Path) -> None:
    path = r"D:\gold\terminal64.exe"
    assert ztb("init", "gold", *ACCOUNT, "--mt5-path", path, "--portable").code == 0
    assert _toml(tmp_path / "gold")["mt5"] == {"path": path, "portable": True}


def test_each_side_still_fits_in_12_lines_with_one_comment_each(ztb: Ztb, tmp_path: Path) -> None:
    more = [word for s in ("GBPUSD.m", "US 500", "XAUUSD") for word in ("--symbol", s)]
    for name, words in (("gold", LIVE), ("dry", ACCOUNT)):
        for symbols in ([], more):
            alias = f"{name}{len(symbols)}"
            assert ztb("init", alias, *words, *symbols).code == 0
            for file in ("server/server.toml", "connector/connector.toml"):
                lines = (tmp_path / alias / file).read_text("utf-8").splitlines()
                assert len(lines) <= 12
                for line in lines:
                    assert line.count("#") == 1
                    assert len(line) <= 100


def test_init_ends_with_what_to_do_at_the_terminal_in_order(ztb: Ztb) -> None:
    ended = ztb("init", "gold", *LIVE)
    said = " ".join(ended.err.split())
    steps = (
        r"1. start C:\MT5\gold\terminal64.exe /portable",
        "2. log in as 5031273421 at Broker-Demo (demo, hedging)",
        "3. show EURUSD in Market Watch",
        "4. press Algo Trading",
        "External Python API",
        "5. copy server/ there",
        "ztb-server doctor, then ztb-server run",
    )
    found = [said.lower().find(step.lower()) for step in steps]
    assert -1 not in found
    assert found == sorted(found)
    assert "docs/windows.md" in said
    assert ended.out.count("\n") == 2  # the two commands, to be copied
    assert "ztb-server run --config server.toml" in ended.out
    assert "ztb order buy EURUSD 0.01 --config" in ended.out


def test_a_rehearsal_asks_for_no_permission_to_trade_and_names_no_account(ztb: Ztb) -> None:
    ended = ztb("init", "dry", *ACCOUNT)
    assert "Algo Trading" not in ended.err
    assert "every fill is the paper broker's" in ended.err
    assert "4. copy server/ there" in ended.err


def test_the_answer_for_a_program_names_the_backend_and_no_secret(ztb: Ztb, tmp_path: Path) -> None:
    ended = ztb("init", "gold", *LIVE, "--json")
    assert (ended.json["backend"], ended.json["mode"], ended.json["ea"]) == ("mt5", "live", {})
    bundle = load_bundle(tmp_path / "gold/connector/keys/connector.key")
    for secret in (bundle.root, bundle.curve_secret):
        assert secret not in ended.out + ended.err


@pytest.mark.parametrize(
    ("words", "code", "fix"),
    [
        (("--mode", "live"), "TERMINAL", "--login --broker-server --kind --margin-mode"),
        ((*LIVE[6:-2],), "TERMINAL", "needs --margin-mode"),
        ((*LIVE[6:-2],), "TERMINAL", "title bar"),
        (("--margin-mode", "netting"), "MODE", "add --mode live"),
        (("--login", "12345"), "MODE", "add --mode live"),
        ((*LIVE[6:], "--margin-mode", "exchange"), "USAGE", "netting"),
        ((*LIVE[6:], "--login", "0"), "USAGE", "an account number"),
        (("--prices", "p.csv"), "PRICES", "leave --prices out"),
        (("--mt5-path", r"MT5\terminal64.exe"), "MT5", "the whole path"),
        (("--mt5-path", r"C:\MT5\gold"), "MT5", "must end with terminal64.exe"),
        (("--mt5-path", r"C:\MT5\gold\terminal.exe"), "MT5", "must end with terminal64.exe"),
        (("--mt5-path", "C:\\MT5\\a\nb\\terminal64.exe"), "MT5", "one plain path"),
        (("--mt5-path", "C:\\" + "x" * 300 + "\\terminal64.exe"), "MT5", "one plain path"),
        (("--symbol", "X" * 30), "SYMBOL", "29 characters"),
        (("--backend", "mt4"), "USAGE", "paper, ea or mt5"),
        (("--backend", "paper", "--portable"), "MT5", "--backend mt5"),
        (("--backend", "ea", "--mt5-path", r"C:\MT5\terminal64.exe"), "MT5", "--backend mt5"),
    ],
)
def test_words_that_make_no_account_are_refused_with_the_fix_and_make_nothing(
    ztb: Ztb, tmp_path: Path, words: tuple[str, ...], code: str, fix: str
) -> None:
    ended: Ended = ztb("init", "gold", *ACCOUNT, *words, "--json")
    assert ended.code == 3
    assert ended.json["error"]["code"] == code
    assert fix in ended.json["error"]["detail"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [ACCOUNT, LIVE], ids=["rehearsal", "live"])
@pytest.mark.parametrize("symbols", [(), ("--symbol", "GBPUSD.m", "--symbol", "US 500")])
def test_the_server_takes_what_init_wrote(
    ztb: Ztb, tmp_path: Path, words: tuple[str, ...], symbols: tuple[str, ...]
) -> None:
    assert ztb("init", "gold", *words, *symbols).code == 0
    settings = load_settings(tmp_path / "gold/server/server.toml", Overrides())
    assert set(settings.limits) == set(settings.allowed_symbols)
    spec = link_spec(settings, tmp_path / "gold/server", trading=words is LIVE)
    assert (spec.path, spec.portable) == (r"C:\MT5\gold\terminal64.exe", True)
    assert (spec.pins is None) == (words is ACCOUNT)
    if spec.pins is not None:
        assert spec.pins == Mt5Pins(
            login=5031273421, server="Broker-Demo", kind="demo", margin="hedging"
        )
