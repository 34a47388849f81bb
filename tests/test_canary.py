"""No key leaves its file: not by a repr, a traceback, a log, a pickle or a core file; and the
scanner that watches the whole suite for it finds what is planted.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import pickle
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from bridge_core.host.keyfiles import random_key
from bridge_core.protocol.keys import Mode
from tests.support.canary import Hit, Needles, forms, keys_in, may_hold_secrets, scan_files

ROOT = Path(__file__).resolve().parent.parent

# Written once more by hand, and of the whole secret: the scanner cuts and codes by itself.
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "hex": lambda key: key.hex().encode(),
    "upper-case hex": lambda key: key.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64, one byte in front": lambda key: base64.b64encode(b"x" + key),
    "base64, two bytes in front": lambda key: base64.b64encode(b"xy" + key),
    "base64 without padding": lambda key: base64.b64encode(key).rstrip(b"="),
    "base64url": base64.urlsafe_b64encode,
    "base64url, one byte in front": lambda key: base64.urlsafe_b64encode(b"x" + key),
    "percent": lambda key: "".join(f"%{byte:02X}" for byte in key).encode(),
    "percent, lower case": lambda key: "".join(f"%{byte:02x}" for byte in key).encode(),
    "percent where needed": lambda key: quote(key, safe="").encode(),
    "repr": lambda key: repr(key).encode(),
    "repr of its repr": lambda key: repr(repr(key)).encode(),
    "repr of a bytearray": lambda key: repr(bytearray(key)).encode(),
    "escapes": lambda key: "".join(f"\\x{byte:02x}" for byte in key).encode(),
    "upper-case escapes": lambda key: "".join(f"\\x{byte:02X}" for byte in key).encode(),
    "a list": lambda key: repr(list(key)).encode(),
    "JSON": lambda key: json.dumps(key.decode("latin-1")).encode(),
    "a list in JSON": lambda key: json.dumps(list(key), separators=(",", ":")).encode(),
    "latin-1 in UTF-8": lambda key: key.decode("latin-1").encode("utf-8"),
    "the first half": lambda key: key[:16].hex().encode(),
    "the last ten bytes": lambda key: key[-10:].hex().encode(),
    "hex of a CURVE text": lambda key: _TEXT[key].hex().encode(),
    "a CURVE text": lambda key: _TEXT[key],
}
_TEXT: dict[bytes, bytes] = {}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", [0, 5, (1 << 20) - 20])
def test_every_form_is_found_wherever_it_lies(tmp_path: Path, way: str, place: int) -> None:
    key = secrets.token_bytes(32)
    text = base64.b85encode(secrets.token_bytes(32))[:40]
    _TEXT[key] = text
    others = [secrets.token_bytes(32) for _ in range(20)]
    file = tmp_path / "server.log"
    file.write_bytes(b"." * place + WAYS[way](key) + b"\n")
    tally = scan_files([*others, key, text], [file])
    assert tally.hits
    assert all(place <= hit.offset < place + 200 for hit in tally.hits)
    shown = "".join(map(str, tally.hits))
    assert "server.log" in shown
    assert not Needles([key, text]).find(shown.encode())
    assert scan_files(others, [file]).hits == []


def test_a_key_file_is_no_finding_but_a_copy_of_it_is(tmp_path: Path) -> None:
    key = secrets.token_bytes(32)
    for name in ("server.key", ".env", "server.key.bak"):
        (tmp_path / name).write_bytes(key.hex().encode())
    tally = scan_files([key], sorted(tmp_path.iterdir()))
    assert [(hit.where, hit.form) for hit in tally.hits[:1]] == [
        (str(tmp_path / "server.key.bak"), "hex")
    ]


def test_no_form_is_shorter_than_what_the_scan_compares() -> None:
    for _ in range(500):
        assert all(8 <= len(text) <= 64 for text in forms(secrets.token_bytes(8)))


def test_roots_curve_keys_passwords_and_what_they_derive_are_known(tmp_path: Path) -> None:
    from bridge_client.cli.bundling import NewAccount, new_account
    from bridge_core.host.bundles import load_bundle, load_server_keys

    new_account(tmp_path / "demo", NewAccount("demo", Mode.PAPER))
    (tmp_path / ".env").write_text("MT5_LOGIN=1\nMT5_PASSWORD='hunter2hunter2'\n")
    bundle = load_bundle(tmp_path / "demo/connector/keys/connector.key")
    server = load_server_keys(tmp_path / "demo/server/keys/server.key")
    found = keys_in(tmp_path / "demo/connector/keys/connector.key")
    assert {bytes.fromhex(bundle.root), bundle.curve_secret.encode()} <= found
    assert set(map(bytes, bundle.key_set().keys.values())) <= found
    assert server.curve_secret.encode() in keys_in(tmp_path / "demo/server/keys/server.key")
    assert bundle.curve_public.encode() not in found
    assert keys_in(tmp_path / ".env") == {b"hunter2hunter2"}
    alerts = tmp_path / "alerts.env"
    alerts.write_text(
        "ALERT_URL=https://a.example/bot12:AAhunter4/sendMessage\nALERT_KEY=hunter3hunter3\n"
    )
    assert keys_in(alerts) == {b"bot12:AAhunter4", b"hunter3hunter3"}
    assert may_hold_secrets(alerts)


def test_what_an_eas_file_holds_is_known(tmp_path: Path) -> None:
    from bridge_client.cli.bundling import NewAccount, new_account
    from bridge_core.host.ea_keys import load_ea_keys

    new_account(tmp_path, NewAccount("gold", Mode.LIVE, "tcp://127.0.0.1:5557"))
    held, found = load_ea_keys(tmp_path / "ea/bridge.key"), keys_in(tmp_path / "ea/bridge.key")
    keys = {bytes(key) for one in held.key_sets().values() for key in one.keys.values()}
    assert len(keys) == 4
    assert keys | {bytes(held.event_key()), held.curve_secret.encode()} <= found
    assert held.curve_public.encode() not in found


# --- the whole of it: a session in which keys leak ----------------------------------------------

_INNER = """
import logging, os, shutil, subprocess, sys, warnings
from pathlib import Path
import pytest
from bridge_core.host.keyfiles import random_key
from bridge_core.protocol.keys import Mode, derive
from bridge_core.protocol.operations import Purpose
CHILD = "import sys; print(sys.argv[1], file=sys.stderr)"

def derived():
    return derive(random_key(), mode=Mode.PAPER, acct="a", kid="b", purpose=Purpose.QUERY_SRV)

def test_file(tmp_path):
    (tmp_path / "journal.db").write_bytes(b"x" * 1000 + bytes(random_key()))
def test_removed(tmp_path):
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "core.123").write_bytes(bytes(derived()))
    shutil.rmtree(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
def test_printed():
    print(random_key().hex())
def test_captured(capsys):
    print(derived().hex(), file=sys.stderr)
    assert capsys.readouterr().err
def test_logged(caplog):
    logging.getLogger("x").error("%s", random_key().hex())
def test_child():
    subprocess.run([sys.executable, "-c", CHILD, random_key().hex()], capture_output=True)
@pytest.mark.xfail(strict=True)
def test_raised():
    raise ValueError(random_key().hex())
"""
_LEAKS = ("test_file", "test_removed", "test_printed", "test_captured", "test_logged",
          "test_child", "test_raised")  # fmt: skip
_CLEAN = """
from bridge_core.host.keyfiles import random_key
def test_clean(tmp_path):
    (tmp_path / "a.log").write_text(repr(random_key()))
    print(f"{random_key()}")
"""


def _session(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    (folder / "conftest.py").write_text(
        "from tests.conftest import _canary, pytest_configure\n__all__ = []\n"
    )
    (folder / "test_inner.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no",
         f"--rootdir={folder}", f"--basetemp={folder / 'temp'}", str(folder)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip


def test_a_leak_anywhere_fails_a_session_that_passes_and_is_named_without_the_secret(
    tmp_path: Path,
) -> None:
    done = _session(tmp_path / "inner", _INNER)
    assert "6 passed, 1 xfailed" in done.stdout
    assert done.returncode == 1, done.stdout
    lines = [line for line in done.stdout.splitlines() if ": a secret as " in line]
    assert lines, done.stdout
    summary = next(line for line in done.stdout.splitlines() if line.startswith("canary: "))
    assert not summary.endswith(" 0 hits")
    for name in _LEAKS:
        # What a test writes lies in a folder of its name, what is said is marked with it.
        told = "removed-1" if name == "test_removed" else name
        assert any(told in line.partition(": a secret")[0] for line in lines), (name, lines)


def test_a_session_that_keeps_its_keys_passes(tmp_path: Path) -> None:
    done = _session(tmp_path / "inner", _CLEAN)
    assert done.returncode == 0, done.stdout
    assert "canary: 2 secrets" in done.stdout
    assert " 0 hits" in done.stdout


# --- a key itself ---------------------------------------------------------------------------------


def test_a_key_is_its_bytes_and_shows_none_of_them() -> None:
    key = random_key()
    assert bytes(key) == key
    assert len(key) == 32
    shown = [show(key) for show in (repr, str, ascii, format, "%s".__mod__)]
    for text in (*shown, repr([key, (key,)]), repr({key: key})):
        assert not Needles([bytes(key)]).find(text.encode())


def test_a_key_is_neither_pickled_nor_copied() -> None:
    key = random_key()
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            act(key)


def test_a_hit_says_where_and_how() -> None:
    assert str(Hit("server.log", 17, "hex")) == "server.log: a secret as hex at byte 17"
