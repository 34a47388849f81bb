"""What fuzzing has found, as single cases: each was a crash, or a message that should not be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge_client.cli.output import moment as shown_moment
from bridge_client.facts import moment
from bridge_client.happenings import tick_of
from bridge_core.host.bundles import Bundle, ServerKeys, load_bundle
from bridge_core.host.keyfiles import load_key_file
from bridge_core.host.prices import iter_rows
from bridge_core.protocol.errors import ConfigError, RemoteProtocolError
from bridge_core.protocol.events import EventBody
from bridge_server.core.trading_state import TradingState
from bridge_server.guard import read_halted
from tests.fuzz.every import TARGETS

BUNDLE, SERVER = (json.loads(seed) for seed in TARGETS["keys"].seeds[:2])


def _write(folder: Path, data: bytes, name: str = "connector.key") -> Path:
    path = folder / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_a_key_file_with_a_byte_that_is_no_text_is_refused_like_any_other(tmp_path: Path) -> None:
    data = json.dumps(BUNDLE).encode().replace(b"trade-1", b"trade\xff1")
    with pytest.raises(ConfigError, match="is not a Bundle file") as caught:
        load_bundle(_write(tmp_path, data))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("curve_public", "k" * 39 + "\ufeff"),
        ("curve_secret", "k" * 39),
        ("server_public", "k" * 41),
        ("server_public", "k" * 39 + "\\"),
        ("kid", "tr\u00e4de-1"),
        ("kid", "t" * 300),
        ("acct", "d\u00e9mo"),
        ("event_kid", ""),
    ],
)
def test_a_name_or_curve_key_of_another_shape_is_refused_when_the_file_is_read(
    tmp_path: Path, field: str, value: str
) -> None:
    path = _write(tmp_path, json.dumps({**BUNDLE, field: value}).encode())
    with pytest.raises(ConfigError, match=rf"is not a Bundle file at \$\.{field}"):
        load_key_file(path, Bundle)
    if field in SERVER:
        path = _write(tmp_path, json.dumps({**SERVER, field: value}).encode(), "server.key")
        with pytest.raises(ConfigError, match=rf"is not a ServerKeys file at \$\.{field}"):
            load_key_file(path, ServerKeys)


@pytest.mark.parametrize(
    "fields",
    [{"bid": "1 .08500"}, {"ask": "nan"}, {"ask": "1_0"}, {"bid": "inf"}, {"time": 10**30},
     {"time": 18_446_744_073_709_551_616}],
    ids=repr,
)  # fmt: skip
def test_a_tick_that_is_no_price_or_has_no_time_is_the_peers_error(fields: dict[str, Any]) -> None:
    body = EventBody(**{"type": "tick", "bid": "1.1", "ask": "1.2", "time": 1, **fields})
    with pytest.raises(RemoteProtocolError):
        tick_of(body, str, 0)


def test_no_time_is_still_none_and_the_last_second_of_the_calendar_is_one() -> None:
    assert moment(0) is None
    last = moment(253_402_300_799_000)
    assert last is not None
    assert last.year == 9999
    with pytest.raises(RemoteProtocolError):
        moment(253_402_300_800_000)
    assert shown_moment(10**20) == f"{10**20} ms"  # a person still sees what was said


def test_a_price_file_cannot_move_the_cursor_or_fill_the_screen(tmp_path: Path) -> None:
    rows = {
        "header": b"<DATE>\t<TIME>\t<OP\x1b[2JEN>\n",
        "cell": b"time,bid,ask\n1767571201000," + b"9" * 5_000 + b",1.1\n",
        "time": b"time,bid,ask\n1767\x1b[2J" + b"7" * 5_000 + b",1.1,1.2\n",
    }
    for data in rows.values():
        with pytest.raises(ConfigError) as caught:
            list(iter_rows(_write(tmp_path, data, "prices.csv")))
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("tail", ["\x1f\x1f", "\x1c", "\u2028", "\x00", "\n\x1f"])
def test_a_halted_file_with_control_characters_is_not_exactly_reduce_only(
    tmp_path: Path, tail: str
) -> None:
    path = tmp_path / "halted"
    path.write_text(f"REDUCE_ONLY{tail}", encoding="utf-8")
    found = read_halted(path)
    assert found is not None
    assert found[0] is TradingState.HALTED
    path.write_text("\nREDUCE_ONLY \r\n", encoding="utf-8")
    assert read_halted(path) == (TradingState.REDUCE_ONLY, "")
