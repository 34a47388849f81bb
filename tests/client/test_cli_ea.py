"""`ztb init --backend ea`: who holds which keys of an EA account, and what each side is told."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest

from bridge_core.host.bundles import load_bundle, load_server_keys, load_verify_sets
from bridge_core.host.ea_keys import EaKeys, load_ea_keys
from bridge_core.protocol.keys import Mode, derive
from bridge_core.protocol.operations import Purpose, Scope
from tests.support.command_line import Ended, Ztb

ACCOUNT = ("--symbol", "EURUSD", "--max-volume", "0.01", "--backend", "ea")
LIVE = (
    *ACCOUNT, "--mode", "live", "--login", "12345", "--broker-server", "Broker-Demo",
    "--kind", "demo",
)  # fmt: skip


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ztb:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    return Ztb(capsys)


@pytest.fixture
def live(ztb: Ztb, tmp_path: Path) -> Path:
    assert ztb("init", "gold", *LIVE).code == 0
    return tmp_path / "gold"


@pytest.fixture
def rehearsal(ztb: Ztb, tmp_path: Path) -> Path:
    assert ztb("init", "dry", *ACCOUNT).code == 0
    return tmp_path / "dry"


def _ea(account: Path) -> EaKeys:
    return load_ea_keys(account / "ea/bridge.key")


def _text_of(folder: Path) -> str:
    return "\n".join(p.read_text("utf-8") for p in sorted(folder.rglob("*")) if p.is_file())


def _toml(account: Path, side: str = "server") -> dict[str, object]:
    name = "server.toml" if side == "server" else "connector.toml"
    return tomllib.loads((account / side / name).read_text("utf-8"))


# --- live ------------------------------------------------------------------------------------


def test_a_live_ea_verifies_what_the_connector_signs_and_attests_what_it_did(live: Path) -> None:
    held = _ea(live).key_sets()
    for side, signs in (("connector", Purpose.ORDER_EA), ("operator", Purpose.ADMIN_EA)):
        bundle = load_bundle(live / side / "keys/connector.key")
        assert bundle.ea
        assert held[bundle.kid].scope is bundle.scope
        assert dict(held[bundle.kid].keys) == {
            purpose: bundle.key_set().keys[purpose] for purpose in (signs, Purpose.REPLY_EA)
        }
        assert bundle.event_keys()[Purpose.EVENT_EA] == _ea(live).event_key()
        assert bundle.event_kid == _ea(live).event_kid
    assert len(held) == 2


def test_no_side_but_the_ea_and_the_signer_holds_a_key_of_the_ea(live: Path) -> None:
    """A compromised relay can neither mint an order that the EA takes nor fake its word."""
    server = _text_of(live / "server")
    ea = _ea(live)
    secrets = [ea.curve_secret, ea.event_ea]
    secrets += [key for one in ea.sets for key in (one.signs, one.reply)]
    for secret in secrets:
        assert secret not in server


def test_the_ea_holds_no_root_and_no_key_that_speaks_to_the_server(live: Path) -> None:
    text = (live / "ea/bridge.key").read_text("ascii")
    for side in ("connector", "operator"):
        bundle = load_bundle(live / side / "keys/connector.key")
        assert bundle.root not in text
        assert bundle.curve_secret not in text
        for purpose in (Purpose.ORDER_SRV, Purpose.ADMIN_SRV, Purpose.QUERY_SRV, Purpose.REPLY_SRV):
            key = derive(
                bytes.fromhex(bundle.root),
                mode=bundle.mode, acct=bundle.acct, kid=bundle.kid, purpose=purpose,
            )  # fmt: skip
            assert key.hex() not in text
    own = load_server_keys(live / "server/keys/server.key")
    assert own.curve_secret not in text
    assert own.event_srv not in text


def test_the_server_lets_in_exactly_the_eas_identity(live: Path) -> None:
    own = load_server_keys(live / "server/keys/server.key")
    ea = _ea(live)
    assert own.ea
    assert own.ea_public == ea.curve_public
    assert own.curve_public == ea.server_public
    assert (own.acct, own.mode) == (ea.acct, ea.mode) == ("gold", Mode.LIVE)
    sets = load_verify_sets(live / "server/keys", own)
    assert ea.curve_public not in {one.curve_public for one in sets.values()}


def test_the_live_server_is_pinned_to_one_terminal_account(live: Path) -> None:
    held = _toml(live)
    assert (held["backend"], held["mode"]) == ("ea", "live")
    assert held["terminal"] == {"login": 12345, "server": "Broker-Demo", "kind": "demo"}
    assert "paper" not in held
    assert _ea(live).endpoint == f"tcp://127.0.0.1:{int(str(held['port'])) + 2}"
    assert _toml(live, "connector")["mode"] == "live"


def test_live_keys_are_not_paper_keys(live: Path) -> None:
    bundle = load_bundle(live / "connector/keys/connector.key")
    paper = derive(
        bytes.fromhex(bundle.root),
        mode=Mode.PAPER, acct=bundle.acct, kid=bundle.kid, purpose=Purpose.ORDER_EA,
    )  # fmt: skip
    assert paper.hex() not in _text_of(live)


# --- the rehearsal -----------------------------------------------------------------------------


def test_a_rehearsals_ea_has_no_key_with_which_it_could_take_an_order(rehearsal: Path) -> None:
    ea = _ea(rehearsal)
    assert ea.mode is Mode.PAPER
    assert [(one.signs, one.reply) for one in ea.sets] == [("", ""), ("", "")]
    assert all(not one.keys for one in ea.key_sets().values())
    for side in ("connector", "operator"):
        bundle = load_bundle(rehearsal / side / "keys/connector.key")
        assert not bundle.ea
        assert bundle.event_ea == ""
        assert bundle.kid in ea.kids()
        assert bundle.root not in _text_of(rehearsal / "ea")
    own = load_server_keys(rehearsal / "server/keys/server.key")
    assert not own.ea
    assert own.ea_public == ea.curve_public


def test_a_rehearsal_names_no_account_and_no_price_file(rehearsal: Path) -> None:
    held = _toml(rehearsal)
    assert (held["backend"], held["mode"]) == ("ea", "paper")
    assert "terminal" not in held
    assert "paper" not in held


def test_a_paper_account_has_no_ea_folder_and_lets_no_ea_in(ztb: Ztb, tmp_path: Path) -> None:
    assert ztb("init", "demo", "--symbol", "EURUSD", "--max-volume", "0.01").code == 0
    assert not (tmp_path / "demo/ea").exists()
    assert load_server_keys(tmp_path / "demo/server/keys/server.key").ea_public == ""


# --- both ------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="platform: POSIX modes")
def test_the_eas_folder_and_file_are_their_owners_alone(live: Path) -> None:
    assert stat.S_IMODE((live / "ea").stat().st_mode) == 0o700
    assert stat.S_IMODE((live / "ea/bridge.key").stat().st_mode) == 0o600
    assert [p.name for p in (live / "ea").iterdir()] == ["bridge.key"]


def test_each_side_still_fits_in_12_lines_with_one_comment_each(ztb: Ztb, tmp_path: Path) -> None:
    more = [word for s in ("GBPUSD.m", "US 500", "XAUUSD") for word in ("--symbol", s)]
    for name, words in (("a", LIVE), ("b", ACCOUNT)):
        assert ztb("init", name, *words, *more).code == 0
        for side in ("server", "connector"):
            file = "server.toml" if side == "server" else "connector.toml"
            lines = (tmp_path / name / side / file).read_text("utf-8").splitlines()
            assert len(lines) <= 12
            for line in lines:
                assert line.count("#") == 1
                assert len(line) <= 100


def test_init_ends_with_what_to_do_in_the_terminal(ztb: Ztb) -> None:
    ended = ztb("init", "gold", *LIVE)
    said = " ".join(ended.err.split())
    for words in (
        f"copy {Path('gold/ea/bridge.key')} to MQL4/Files", "BridgeEA", "Symbols = EURUSD",
        "ExpectedAccount = 12345", "ExpectedServer = Broker-Demo", "allow DLL imports",
        "live trading",
    ):  # fmt: skip
        assert words in said
    assert "AllowReal" not in said
    assert ended.out.count("\n") == 2  # the two commands, to be copied


def test_a_real_account_needs_the_word_real_and_the_eas_own_permission(ztb: Ztb) -> None:
    real = [*LIVE[:-1], "real"]
    ended = ztb("init", "gold", *real, "--json")
    assert ended.json["ea"] == {
        "Symbols": "EURUSD", "ExpectedAccount": "12345", "ExpectedServer": "Broker-Demo",
        "AllowReal": "true",
    }  # fmt: skip


def test_a_rehearsal_asks_for_no_permission_to_trade(ztb: Ztb) -> None:
    ended = ztb("init", "dry", *ACCOUNT)
    assert "allow DLL imports, with these inputs" in ended.err
    assert "live trading" not in ended.err
    assert "ExpectedAccount" not in ended.err


def test_init_prints_no_key_of_the_ea(ztb: Ztb, tmp_path: Path) -> None:
    ended = ztb("init", "gold", *LIVE, "--json")
    ea = _ea(tmp_path / "gold")
    secrets = {ea.curve_secret, ea.event_ea}
    secrets |= {key for one in ea.sets for key in (one.signs, one.reply) if key}
    assert len(secrets) == 6
    assert not [secret for secret in secrets if secret in ended.out + ended.err]


@pytest.mark.parametrize(
    ("words", "code", "fix"),
    [
        (("--mode", "live"), "TERMINAL", "--login --broker-server --kind"),
        ((*LIVE[6:-2],), "TERMINAL", "needs --kind"),
        (("--login", "12345"), "MODE", "add --mode live"),
        (("--kind", "real"), "MODE", "add --mode live"),
        (("--mode", "live", "--backend", "paper"), "MODE", "--backend ea"),
        (("--prices", "p.csv"), "PRICES", "leave --prices out"),
        ((*LIVE[6:], "--login", "0"), "USAGE", "an account number"),
        ((*LIVE[6:], "--login", "2147483648"), "TERMINAL", "account number"),
        ((*LIVE[6:], "--login", "12 345"), "USAGE", "an account number"),
        ((*LIVE[6:], "--broker-server", 'a"b'), "USAGE", "login window"),
        ((*LIVE[6:], "--broker-server", ""), "USAGE", "login window"),
        ((*LIVE[6:], "--broker-server", "x" * 64), "USAGE", "login window"),
        ((*LIVE[6:], "--kind", "contest"), "USAGE", "demo"),
        (("--mode", "shadow"), "USAGE", "paper"),
        (("--backend", "eaa"), "USAGE", "did you mean ea"),
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


def test_scopes_are_written_as_the_ea_reads_them(live: Path) -> None:
    assert [one.scope for one in _ea(live).sets] == [Scope.TRADE, Scope.OPERATOR]
