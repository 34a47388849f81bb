"""`ztb init` and `ztb keys`: who holds which keys, who may read them, and what is refused."""

from __future__ import annotations

import json
import os
import socket
import stat
import tomllib
from pathlib import Path

import pytest

from bridge_client.cli import init as init_module
from bridge_core.host.bundles import load_bundle, load_server_keys, load_verify_sets
from bridge_core.host.keyfiles import load_key_file
from bridge_core.protocol.keys import derive
from bridge_core.protocol.operations import Purpose, Scope
from tests.support.command_line import Ztb

ACCOUNT = ("--symbol", "EURUSD", "--max-volume", "0.01")


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ztb:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZTB_CONFIG", raising=False)
    return Ztb(capsys)


@pytest.fixture
def demo(ztb: Ztb, tmp_path: Path) -> Path:
    assert ztb("init", "demo", *ACCOUNT).code == 0
    return tmp_path / "demo"


def _text_of(folder: Path) -> str:
    return "\n".join(
        f"{path.name}\n{path.read_text('utf-8')}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def _tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_init_makes_a_folder_for_each_side_and_nothing_else(demo: Path) -> None:
    kids = {p.stem for p in (demo / "server/keys").glob("*-*.key")}
    assert len(kids) == 2
    assert _tree(demo) == {
        "server/server.toml",
        "server/keys/server.key",
        *(f"server/keys/{kid}.key" for kid in kids),
        "connector/connector.toml",
        "connector/keys/connector.key",
        "operator/connector.toml",
        "operator/keys/connector.key",
        "operator/event.key",
    }


def test_the_server_can_verify_and_cannot_sign(demo: Path) -> None:
    """No root, no client's CURVE secret, no key that only an EA may hold, on the server's side."""
    server = _text_of(demo / "server")
    for side in ("connector", "operator"):
        bundle = load_bundle(demo / side / "keys/connector.key")
        assert bundle.root not in server
        assert bundle.curve_secret not in server
        for purpose in (Purpose.ORDER_EA, Purpose.ADMIN_EA, Purpose.REPLY_EA):
            key = derive(
                bytes.fromhex(bundle.root),
                mode=bundle.mode, acct=bundle.acct, kid=bundle.kid, purpose=purpose,
            )  # fmt: skip
            assert key.hex() not in server
            assert purpose not in server
    assert '"root"' not in server


def test_the_event_root_stays_with_the_operator(demo: Path) -> None:
    root = json.loads((demo / "operator/event.key").read_text())["root"]
    for side in ("server", "connector"):
        assert root not in _text_of(demo / side)
    server = load_server_keys(demo / "server/keys/server.key")
    bundle = load_bundle(demo / "connector/keys/connector.key")
    assert (server.event_kid, server.event_srv) == (bundle.event_kid, bundle.event_srv)
    assert server.event_srv != root


def test_the_strategy_holds_neither_the_servers_nor_the_operators_secrets(demo: Path) -> None:
    connector = _text_of(demo / "connector")
    server = load_server_keys(demo / "server/keys/server.key")
    operator = load_bundle(demo / "operator/keys/connector.key")
    for secret in (server.curve_secret, operator.root, operator.curve_secret):
        assert secret not in connector


def test_what_the_connector_signs_the_server_verifies_under_the_same_scope(demo: Path) -> None:
    own = load_server_keys(demo / "server/keys/server.key")
    sets = load_verify_sets(demo / "server/keys", own)
    for side, scope in (("connector", Scope.TRADE), ("operator", Scope.OPERATOR)):
        bundle = load_bundle(demo / side / "keys/connector.key")
        assert sets[bundle.kid].scope is scope
        assert sets[bundle.kid].curve_public == bundle.curve_public
        assert bundle.server_public == own.curve_public
        mine = bundle.key_set().keys
        for purpose, key in sets[bundle.kid].keys.items():
            assert mine[purpose] == key


@pytest.mark.skipif(os.name != "posix", reason="platform: POSIX modes")
def test_every_folder_and_file_is_its_owners_alone(demo: Path) -> None:
    old = os.umask(0)
    os.umask(old)
    for path in (demo, *demo.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o077 == 0, f"{path} {mode:o}"
        if path.suffix == ".key":
            assert mode == 0o600
    assert stat.S_IMODE((demo / "connector/keys").stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="platform: POSIX modes")
def test_an_open_umask_does_not_open_the_keys(ztb: Ztb, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        assert ztb("init", "open", *ACCOUNT).code == 0
    finally:
        os.umask(old)
    for path in (tmp_path / "open").rglob("*"):
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_each_side_is_configured_in_at_most_12_lines_with_one_comment_each(demo: Path) -> None:
    for name in ("server/server.toml", "connector/connector.toml", "operator/connector.toml"):
        lines = (demo / name).read_text("utf-8").splitlines()
        assert len(lines) <= 12
        for line in lines:
            assert line.count("#") == 1
            assert len(line) <= 100


def test_four_symbols_still_fit(ztb: Ztb, tmp_path: Path) -> None:
    four = [word for s in ("EURUSD", "GBPUSD.m", "US 500", "XAUUSD") for word in ("--symbol", s)]
    assert ztb("init", "four", *four, "--max-volume", "1").code == 0
    for name in ("server/server.toml", "connector/connector.toml"):
        text = (tmp_path / "four" / name).read_text("utf-8")
        assert len(text.splitlines()) <= 12
        limits = tomllib.loads(text)["limits"]
        assert list(limits) == ["EURUSD", "GBPUSD.m", "US 500", "XAUUSD"]
        assert limits["US 500"] == {"max_volume": 1.0, "max_positions": 1}
    assert ztb("init", "five", *four, "--symbol", "A", "--max-volume", "1").code == 3


def test_the_limits_are_timid_and_the_mode_is_paper(demo: Path) -> None:
    for name in ("server/server.toml", "connector/connector.toml"):
        held = tomllib.loads((demo / name).read_text("utf-8"))
        assert held["mode"] == "paper"
        assert held["allowed_symbols"] == ["EURUSD"]
        assert held["limits"] == {"EURUSD": {"max_volume": 0.01, "max_positions": 1}}
    assert tomllib.loads((demo / "server/server.toml").read_text())["host"] == "127.0.0.1"


def test_init_ends_by_printing_the_next_two_commands(ztb: Ztb) -> None:
    ended = ztb("init", "demo", *ACCOUNT)
    commands = [line.strip() for line in ended.out.splitlines()]
    assert commands == [
        f"ztb-server run --config {Path('demo/server/server.toml')}",
        f"ztb order buy EURUSD 0.01 --config {Path('demo/connector/connector.toml')}",
    ]


def test_a_generous_limit_still_suggests_the_smallest_order(ztb: Ztb) -> None:
    assert "buy EURUSD 0.01 " in ztb("init", "rich", "--symbol", "EURUSD", "--max-volume", "5").out


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a/b", "..", "demo!", "x" * 25, "-demo", "dëmo", "a:b", "a\n"],
)
def test_a_bad_name_is_refused_and_makes_nothing(ztb: Ztb, tmp_path: Path, name: str) -> None:
    ended = ztb("init", *(["--", name] if name.startswith("-") else [name]), *ACCOUNT)
    assert ended.code == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("symbol", ["", " ", "EUR:USD", 'EUR"', "EUR\\USD", "É", "x" * 32, " EUR"])
def test_a_bad_symbol_is_refused_and_makes_nothing(ztb: Ztb, tmp_path: Path, symbol: str) -> None:
    assert ztb("init", "demo", "--symbol", symbol, "--max-volume", "0.01").code == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("volume", ["0", "0.00", "-1", "1,0", "many", "1e2", "nan"])
def test_a_bad_volume_is_refused(ztb: Ztb, tmp_path: Path, volume: str) -> None:
    assert ztb("init", "demo", "--symbol", "EURUSD", f"--max-volume={volume}").code == 3
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_as_it_is(ztb: Ztb, demo: Path) -> None:
    before = _text_of(demo)
    ended = ztb("init", "demo", *ACCOUNT)
    assert ended.code == 3
    assert "exists already" in ended.err
    assert _text_of(demo) == before


def test_a_dangling_link_counts_as_existing(ztb: Ztb, tmp_path: Path) -> None:
    (tmp_path / "demo").symlink_to(tmp_path / "nowhere")
    assert ztb("init", "demo", *ACCOUNT).code == 3


def test_a_missing_out_folder_is_refused(ztb: Ztb) -> None:
    assert "no folder" in ztb("init", "demo", *ACCOUNT, "--out", "nowhere").err


def test_out_names_the_place(ztb: Ztb, tmp_path: Path) -> None:
    (tmp_path / "accounts").mkdir()
    assert ztb("init", "demo", *ACCOUNT, "--out", "accounts").code == 0
    assert (tmp_path / "accounts/demo/server/server.toml").is_file()


def test_accounts_beside_each_other_get_their_own_ports(ztb: Ztb) -> None:
    ports = [ztb("init", f"a{n}", *ACCOUNT, "--json").json["port"] for n in range(3)]
    assert len(set(ports)) == 3
    assert all(abs(a - b) >= 3 for a in ports for b in ports if a != b)


def test_a_port_in_use_on_this_machine_is_passed_over(
    ztb: Ztb, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        busy = taken.getsockname()[1]
        if busy > 65_000:
            pytest.skip("platform: the system gave the last ports")
        monkeypatch.setattr("bridge_client.cli.layout.PORT_FIRST", busy - 1)
        assert ztb("init", "demo", *ACCOUNT, "--json").json["port"] > busy


def test_a_port_of_the_account_beside_is_refused_with_a_free_one(ztb: Ztb) -> None:
    first = ztb("init", "one", *ACCOUNT, "--json").json["port"]
    ended = ztb("init", "two", *ACCOUNT, "--port", first + 2)
    assert ended.code == 3
    assert "use --port" in ended.err
    assert "one" in ended.err


@pytest.mark.parametrize("port", ["80", "0", "65534", "99999", "x"])
def test_an_impossible_port_is_refused(ztb: Ztb, port: str) -> None:
    assert ztb("init", "demo", *ACCOUNT, "--port", port).code == 3


def test_the_price_file_goes_to_the_server_and_is_named_there(ztb: Ztb, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    prices = tmp_path / "data/eurusd.csv"
    prices.write_text("time,bid,ask\n1700000000000,1.10000,1.10010\n")
    assert ztb("init", "demo", *ACCOUNT, "--prices", prices).code == 0
    server = tmp_path / "demo/server"
    assert (server / "eurusd.csv").read_text() == prices.read_text()
    assert tomllib.loads((server / "server.toml").read_text())["paper"]["prices"] == "eurusd.csv"
    assert not list((tmp_path / "demo/connector").rglob("*.csv"))


@pytest.mark.parametrize("content", [None, "", "hello\nworld\n", "time,bid,ask\n"])
def test_a_useless_price_file_is_refused_before_anything_is_made(
    ztb: Ztb, tmp_path: Path, content: str | None
) -> None:
    prices = tmp_path / "p.csv"
    if content is not None:
        prices.write_text(content)
    assert ztb("init", "demo", *ACCOUNT, "--prices", prices).code == 3
    assert not (tmp_path / "demo").exists()


def test_a_failure_half_way_leaves_no_half_made_account(
    ztb: Ztb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(init_module, "server_toml", full)
    ended = ztb("init", "demo", *ACCOUNT)
    assert ended.code == 3
    assert "No space left" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_two_accounts_share_no_key_and_no_key_id(ztb: Ztb, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert ztb("init", name, *ACCOUNT).code == 0
    a, b = (load_bundle(tmp_path / n / "connector/keys/connector.key") for n in "ab")
    for field in ("kid", "root", "curve_public", "server_public", "event_srv"):
        assert getattr(a, field) != getattr(b, field)


def test_init_never_prints_a_key(ztb: Ztb, tmp_path: Path) -> None:
    ended = ztb("init", "demo", *ACCOUNT, "--json")
    for path in (tmp_path / "demo").rglob("*.key"):
        held = json.loads(path.read_text())
        for name in ("root", "curve_secret", "event_srv"):
            if name in held:
                assert held[name] not in ended.out + ended.err


# --- ztb keys --------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["query", "reduce", "trade"])
def test_keys_add_makes_a_bundle_of_the_scope_and_the_servers_file(
    ztb: Ztb, demo: Path, scope: str
) -> None:
    ended = ztb("keys", "add", "phone", "--scope", scope, "--account", demo, "--json")
    assert ended.code == 0
    bundle = load_bundle(demo / "phone/keys/connector.key")
    assert (bundle.scope, bundle.kid) == (scope, ended.json["kid"])
    assert (demo / "phone/connector.toml").read_text() == (
        demo / "connector/connector.toml"
    ).read_text()
    own = load_server_keys(demo / "server/keys/server.key")
    sets = load_verify_sets(demo / "server/keys", own)
    assert sets[bundle.kid].scope is Scope(scope)
    assert bundle.root not in _text_of(demo / "server")
    assert len(sets) == 3


def test_keys_add_says_which_file_to_copy_and_to_restart(ztb: Ztb, demo: Path) -> None:
    ended = ztb("keys", "add", "phone", "--scope", "query", "--account", demo)
    kid = load_bundle(demo / "phone/keys/connector.key").kid
    assert f"{kid}.key" in ended.err
    assert "restart the server" in ended.err


def test_keys_add_without_the_servers_side_puts_its_file_beside_the_bundle(
    ztb: Ztb, demo: Path
) -> None:
    (demo / "server").rename(demo.parent / "gone")
    ended = ztb("keys", "add", "phone", "--scope", "query", "--account", demo, "--json")
    assert ended.code == 0
    path = Path(ended.json["server_file"])
    assert path.parent == demo / "phone/for-server"
    assert path.is_file()


@pytest.mark.parametrize("name", ["server", "connector", "operator", "ea", "a b", ".."])
def test_keys_add_refuses_names_that_are_taken_or_bad(ztb: Ztb, demo: Path, name: str) -> None:
    before = _tree(demo)
    assert ztb("keys", "add", name, "--scope", "query", "--account", demo).code == 3
    assert _tree(demo) == before


def test_an_operator_set_cannot_be_made_by_keys_add(ztb: Ztb, demo: Path) -> None:
    assert ztb("keys", "add", "me", "--scope", "operator", "--account", demo).code == 3


def test_keys_add_without_an_account_names_the_flag(ztb: Ztb, tmp_path: Path) -> None:
    ended = ztb("keys", "add", "phone", "--scope", "query")
    assert ended.code == 3
    assert "--account" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_keys_list_shows_every_set_once_and_never_a_key(ztb: Ztb, demo: Path) -> None:
    ztb("keys", "add", "phone", "--scope", "reduce", "--account", demo)
    ended = ztb("keys", "list", "--account", demo, "--json")
    rows = {row["folder"]: row for row in ended.json["keys"]}
    assert {name: row["scope"] for name, row in rows.items()} == {
        "connector": "trade",
        "operator": "operator",
        "phone": "reduce",
    }
    assert all(row["server_has_it"] for row in rows.values())
    plain = ztb("keys", "list", "--account", demo)
    for path in demo.rglob("*.key"):
        for name, value in json.loads(path.read_text()).items():
            if name in ("root", "curve_secret", "curve_public", "event_srv"):
                assert value not in ended.out + plain.out + plain.err


@pytest.mark.skipif(os.name != "posix", reason="platform: POSIX modes")
def test_a_key_file_that_others_can_read_is_refused_with_the_command_that_mends_it(
    ztb: Ztb, demo: Path
) -> None:
    path = demo / "connector/keys/connector.key"
    path.chmod(0o644)
    ended = ztb("keys", "list", "--account", demo)
    assert ended.code == 3
    assert "chmod 600" in ended.err
    path.chmod(0o600)
    assert load_key_file is not None
    assert ztb("keys", "list", "--account", demo).code == 0
