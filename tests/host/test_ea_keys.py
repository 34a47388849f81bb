"""The EA's key file: what is written is read again, and nothing else is."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_core.host import ea_keys as module
from bridge_core.host.ea_keys import (
    EA_SETS_MAX,
    EaKeys,
    EaSet,
    format_ea_keys,
    format_ea_set,
    load_ea_keys,
    parse_ea_keys,
    replace_ea_keys,
    save_ea_keys,
)
from bridge_core.host.keyfiles import random_key, replace_secret_file
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Mode
from bridge_core.protocol.operations import Purpose, Scope

_Z85 = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"


def _hex() -> str:
    return random_key().hex()


def _sets(*, live: bool = True) -> tuple[EaSet, ...]:
    made = [
        EaSet(kid="t1-ab12", scope=Scope.TRADE, signs=_hex(), reply=_hex()),
        EaSet(kid="o1-cd34", scope=Scope.OPERATOR, signs=_hex(), reply=_hex()),
        EaSet(kid="r1-ef56", scope=Scope.REDUCE, signs=_hex(), reply=_hex()),
        EaSet(kid="q1-0a0b", scope=Scope.QUERY, signs="", reply=_hex()),
    ]
    if live:
        return tuple(made)
    return tuple(EaSet(kid=one.kid, scope=one.scope, signs="", reply="") for one in made)


def _keys(*, live: bool = True) -> EaKeys:
    return EaKeys(
        acct="gold", mode=Mode.LIVE if live else Mode.PAPER, endpoint="tcp://127.0.0.1:5557",
        server_public=_Z85, curve_public=_Z85[::-1], curve_secret=_Z85[1:] + "a",
        event_kid="e1-9f9f", event_ea=_hex(), sets=_sets(live=live),
    )  # fmt: skip


@pytest.mark.parametrize("live", [True, False])
def test_what_is_written_is_read_again(live: bool) -> None:
    keys = _keys(live=live)
    assert parse_ea_keys(format_ea_keys(keys)) == keys


def test_the_text_is_exactly_the_published_one() -> None:
    keys = _keys()
    trade, operator, reduce, query = keys.sets
    assert format_ea_keys(keys).decode() == (
        "ztb-ea/1\naccount gold\nmode live\nendpoint tcp://127.0.0.1:5557\n"
        f"server_public {keys.server_public}\ncurve_public {keys.curve_public}\n"
        f"curve_secret {keys.curve_secret}\nevent e1-9f9f {keys.event_ea}\n"
        f"set t1-ab12 trade {trade.signs} {trade.reply}\n"
        f"set o1-cd34 operator {operator.signs} {operator.reply}\n"
        f"set r1-ef56 reduce {reduce.signs} {reduce.reply}\n"
        f"set q1-0a0b query - {query.reply}\nend\n"
    )


def test_windows_line_ends_and_a_missing_last_one_are_read_too() -> None:
    keys = _keys()
    text = bytes(format_ea_keys(keys))
    assert parse_ea_keys(text.replace(b"\n", b"\r\n")) == keys
    assert parse_ea_keys(text[:-1]) == keys


def test_each_set_has_the_keys_of_its_scope_and_no_other() -> None:
    held = {kid: set(one.keys) for kid, one in _keys().key_sets().items()}
    assert held == {
        "t1-ab12": {Purpose.ORDER_EA, Purpose.REPLY_EA},
        "o1-cd34": {Purpose.ADMIN_EA, Purpose.REPLY_EA},
        "r1-ef56": {Purpose.ORDER_EA, Purpose.REPLY_EA},
        "q1-0a0b": {Purpose.REPLY_EA},
    }
    assert all(not one.keys for one in _keys(live=False).key_sets().values())


def _line(text: bytes, number: int, words: bytes) -> bytes:
    lines = text.split(b"\n")
    lines[number - 1] = words
    return b"\n".join(lines)


_KEY = b"0123456789abcdef" * 2 + b"fedcba9876543210" * 2
_OTHER = bytes(random_key()).hex().encode()
_MALFORMED = {
    "another kind": (1, b"ztb-ea/2"),
    "another account": (2, b"account go:ld"),
    "no such mode": (3, b"mode demo"),
    "no port": (4, b"endpoint tcp://127.0.0.1"),
    "another transport": (4, b"endpoint ipc://bridge"),
    "a short key": (5, b"server_public " + _Z85[1:].encode()),
    "another word": (6, b"curve_secret " + _Z85.encode()),
    "two spaces": (2, b"account  gold"),
    "a space at the end": (2, b"account gold "),
    "a tab": (2, b"account\tgold"),
    "an empty line": (3, b""),
    "a comment": (3, b"# mode live"),
    "an event without a key": (8, b"event e1-9f9f"),
    "an event key of 63 digits": (8, b"event e1-9f9f " + _OTHER[1:]),
    "upper case": (8, b"event e1-9f9f " + _OTHER.upper().replace(b"0", b"A")),
    "a weak key": (9, b"set t1-ab12 trade " + b"aa" * 32 + b" " + _OTHER),
    "a sequence": (9, b"set t1-ab12 trade " + bytes(range(32)).hex().encode() + b" " + _OTHER),
    "a set of one field": (9, b"set t1-ab12"),
    "no such scope": (9, b"set t1-ab12 admin " + _OTHER + b" " + _OTHER),
    "a live trade set without keys": (9, b"set t1-ab12 trade - -"),
    "a live trade set that attests nothing": (9, b"set t1-ab12 trade " + _OTHER + b" -"),
    "a query set that signs": (12, b"set q1-0a0b query " + _OTHER + b" " + _OTHER),
    "a kid twice": (10, b"set t1-ab12 operator " + _OTHER + b" " + _OTHER),
    "the event's kid": (10, b"set e1-9f9f operator " + _OTHER + b" " + _OTHER),
    "a kid in capitals": (9, b"set T1-AB12 trade " + _OTHER + b" " + _OTHER),
    "no end": (13, b"End"),
    "something after the end": (14, b"set q2-0a0b query - " + _OTHER + b"\n"),
    "an empty line after the end": (14, b"\n"),
    "a byte that is not ASCII": (2, b"account g\xf6ld"),
    "a carriage return inside": (2, b"account\rgold"),
}


@pytest.mark.parametrize("name", _MALFORMED)
def test_anything_else_is_refused_with_its_line_and_never_its_content(name: str) -> None:
    number, words = _MALFORMED[name]
    with pytest.raises(ConfigError) as caught:
        parse_ea_keys(_line(bytes(format_ea_keys(_keys())), number, words), "bridge.key")
    assert caught.value.code == "KEY_FILE"
    where = "bridge.key:" if name == "a byte that is not ASCII" else f"line {number}:"
    assert where in caught.value.detail
    assert "copy ea/bridge.key again" in caught.value.detail
    assert _OTHER[1:40].decode() not in caught.value.detail


@given(st.integers(0, 10_000))
def test_a_file_that_was_cut_off_is_never_taken_for_a_whole_one(cut: int) -> None:
    text = bytes(format_ea_keys(_keys()))
    cut %= len(text) - 1  # without its last line end it is whole
    with pytest.raises(ConfigError):
        parse_ea_keys(text[:cut])


@given(st.binary(max_size=300), st.integers(0, 2000), st.integers(0, 40))
def test_damage_is_refused_or_changes_nothing(junk: bytes, at: int, gone: int) -> None:
    keys = _KEYS
    text = bytes(format_ea_keys(keys))
    at %= len(text)
    damaged = text[:at] + junk + text[at + gone :]
    try:
        read = parse_ea_keys(damaged)
    except ConfigError:
        return
    assert format_ea_keys(read) == damaged.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"


_KEYS = _keys()


def test_a_paper_file_with_one_key_of_a_set_is_refused() -> None:
    text = _line(bytes(format_ea_keys(_keys(live=False))), 9, b"set t1-ab12 trade - " + _OTHER)
    with pytest.raises(ConfigError, match="line 9: a paper file holds no key of a set"):
        parse_ea_keys(text)


def test_at_most_32_sets_fit() -> None:
    keys = _keys()
    for number in range(EA_SETS_MAX - len(keys.sets)):
        keys = keys.with_set(
            EaSet(kid=f"r{number}-x", scope=Scope.REDUCE, signs=_hex(), reply=_hex())
        )
    more = EaSet(kid="r99-x", scope=Scope.REDUCE, signs=_hex(), reply=_hex())
    with pytest.raises(ConfigError, match="KEY_SETS"):
        keys.with_set(more)
    text = bytes(format_ea_keys(keys))
    assert parse_ea_keys(text) == keys
    with pytest.raises(ConfigError, match="more than 32 key sets"):
        parse_ea_keys(text.replace(b"end\n", bytes(format_ea_set(more)) + b"end\n"))


def test_adding_a_kid_twice_is_refused_and_removing_a_stranger_changes_nothing() -> None:
    keys = _keys()
    with pytest.raises(ConfigError, match="KEY_SETS"):
        keys.with_set(keys.sets[0])
    assert keys.without_set("x9-9999") == keys
    assert keys.without_set("o1-cd34").kids() == ("t1-ab12", "r1-ef56", "q1-0a0b")


def test_the_file_is_its_owners_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    path, keys = tmp_path / "ea/bridge.key", _keys()
    save_ea_keys(path, keys)
    before = path.stat()
    with pytest.raises(ConfigError, match="never overwritten"):
        save_ea_keys(path, keys)
    replace_ea_keys(path, keys.without_set("q1-0a0b"))
    assert load_ea_keys(path).kids() == ("t1-ab12", "o1-cd34", "r1-ef56")
    assert path.stat().st_ino != before.st_ino  # a reader of the old one still has all of it
    assert [p.name for p in path.parent.iterdir()] == ["bridge.key"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_that_could_not_be_read_again_are_not_written(tmp_path: Path) -> None:
    path, keys = tmp_path / "bridge.key", _keys()
    save_ea_keys(path, keys)
    before = path.read_bytes()
    for kid in keys.kids():
        keys = keys.without_set(kid)
    with pytest.raises(ConfigError, match="no `set` line"):
        replace_ea_keys(path, keys)
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="platform: POSIX links and modes")
def test_a_link_or_an_open_folder_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("kept")
    (tmp_path / "bridge.key").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="is a link"):
        replace_secret_file(tmp_path / "bridge.key", b"x")
    assert (tmp_path / "real").read_text() == "kept"
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError, match="others may write to"):
        replace_secret_file(tmp_path / "open/bridge.key", b"x")
    assert not list((tmp_path / "open").iterdir())


def test_a_failed_replacement_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bridge.key"
    save_ea_keys(path, _KEYS)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ConfigError, match="No space left"):
        replace_ea_keys(path, _KEYS.without_set("q1-0a0b"))
    assert load_ea_keys(path) == _KEYS
    assert [p.name for p in tmp_path.iterdir()] == ["bridge.key"]


def test_no_object_of_it_shows_or_pickles_a_key() -> None:
    keys = _keys()
    secrets = [keys.curve_secret, keys.event_ea, keys.sets[0].signs, keys.sets[0].reply]
    for thing in (keys, keys.sets[0], format_ea_keys(keys), keys.key_sets()):
        assert not [one for one in secrets if one in repr(thing) or one in str(thing)]
    for thing in (keys, keys.sets[0]):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_every_public_name_is_there() -> None:
    assert all(hasattr(module, name) for name in module.__all__)
