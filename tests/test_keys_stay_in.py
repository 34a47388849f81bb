"""Whatever holds a key shows none: every object's text, every traceback with its locals, every log
at debug level, and no core file.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge_client import Connector
from bridge_client.cli.bundling import NewAccount, add_bundle, end_set, new_account
from bridge_client.opening import Opened
from bridge_client.streams import EventKeys
from bridge_core.host import bundles
from bridge_core.host.ea_keys import load_ea_keys
from bridge_core.host.keyfiles import load_key_file, parse_key_hex, save_key_file
from bridge_core.host.logs import _Secrets, log_event, setup_logging
from bridge_core.host.settings import load_env
from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.keys import KeyState, Mode
from bridge_core.protocol.messages import Stop
from bridge_core.protocol.operations import Op, Scope
from bridge_core.protocol.signing import RequestKeys
from bridge_server.settings import Overrides, load_settings
from bridge_server.wiring import build_server
from tests.support.canary import Needles, keys_in, may_hold_secrets
from tests.support.receiver import alerted, configure
from tests.support.running import Account, Running, make_account, wait_until

ROOT = Path(__file__).resolve().parent.parent
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX core files")


@pytest.fixture
def account(tmp_path: Path) -> Account:
    made = make_account(tmp_path)
    for config in made.folder.glob("*/connector.toml"):
        text = config.read_text("utf-8")
        config.write_text(text.replace("127.0.0.1:5555", f"127.0.0.1:{made.port}"), "utf-8")
    return made


def _secrets(folder: Path) -> set[bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and may_hold_secrets(path)]
    return set().union(*map(keys_in, files))


def _needles(folder: Path) -> Needles:
    return Needles(_secrets(folder))


def _texts(thing: object) -> Iterator[str]:
    yield repr(thing)
    yield str(thing)
    yield f"{thing}"
    yield "%r" % (thing,)  # noqa: UP031  logging's own way
    for value in vars(thing).values() if hasattr(thing, "__dict__") else ():
        yield repr(value)
    fields: tuple[str, ...] = getattr(thing, "__struct_fields__", ()) or getattr(
        thing, "_fields", ()
    )
    for name in fields:
        # A key file's texts are what it is for; whoever asks for one by name has it.
        if not isinstance(thing, bundles.Bundle | bundles.ServerKeys | bundles.VerifyKeys
                          | bundles.EventRoot) and name != "secret":  # fmt: skip
            yield repr(getattr(thing, name))


def _ours(module: str) -> bool:
    return module.startswith(("bridge_core", "bridge_server", "bridge_client"))


def test_no_object_of_a_running_bridge_shows_a_key(account: Account) -> None:
    # The list writes itself: everything of ours that lives while both sides run.
    both = (account.config, account.folder / "connector/connector.toml")
    with alerted(*both) as receiver, Running(account) as running, Connector.from_config(
        account.folder / "connector", client="atlas"
    ) as bridge:  # fmt: skip
        needles = _needles(account.folder)
        running.ready()
        bridge.connect()
        assert bridge.buy("EURUSD", 0.01).status == "FILLED"
        bridge._alarm("LINK_DOWN", "not really")
        assert bridge.reduce_only("looking").state == "REDUCE_ONLY"
        wait_until(lambda: {"LINK_DOWN", "OPERATOR"} <= set(receiver.codes()))
        seen: set[str] = set()
        for thing in [one for one in gc.get_objects() if _ours(str(type(one).__module__))]:
            if isinstance(thing, _Secrets):
                continue  # what the log's redaction looks for; it shows nothing of it itself
            seen.add(type(thing).__name__)
            for text in _texts(thing):
                assert not needles.find(text.encode()), f"{type(thing).__name__} shows a key"
    held = {"Identity", "KeySet", "Session", "Link", "Context", "Server", "Replier", "Publisher",
            "CurveKeys", "Bundle", "Connector", "Transport", "EventKeys", "Webhook",
            "Destination"}  # fmt: skip
    assert held - seen <= {"KeySet", "CurveKeys", "EventKeys", "Bundle"}, held - seen


def test_what_holds_keys_for_a_moment_shows_none(account: Account) -> None:
    bundle = bundles.load_bundle(account.bundle() / "keys/connector.key")
    server = bundles.load_server_keys(account.folder / "server/keys/server.key")
    own, needles = bundle.key_set(), _needles(account.folder)
    sets = bundles.load_verify_sets(account.folder / "server/keys", server)
    key = next(iter(own.keys.values()))
    holders: list[Any] = [
        bundle, server, own, sets, own.keys, bundle.curve(), server.curve(), bundle.event_keys(),
        EventKeys(bundle.acct, bundle.event_kid, bundle.event_keys()),
        RequestKeys(key, next(iter(own.keys))), bundles.verify_file(bundle),
        load_key_file(account.folder / "operator/event.key", bundles.EventRoot),
    ]  # fmt: skip
    for holder in holders:
        for text in _texts(holder):
            assert not needles.find(text.encode()), type(holder).__name__
    for holder in holders:
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(holder)


# --- tracebacks with locals -----------------------------------------------------------------------


def _spoil(path: Path, **fields: Any) -> None:
    held = json.loads(path.read_text())
    held.update(fields)
    path.unlink()
    path.write_text(json.dumps(held))
    path.chmod(0o600)


def _wrong_type(account: Account) -> object:
    return load_key_file(account.bundle() / "keys/connector.key", bundles.ServerKeys)


def _one_field_too_many(account: Account) -> object:
    _spoil(account.bundle() / "keys/connector.key", extra=1)
    return Connector.from_config(account.folder / "connector")


def _of_another_kind(account: Account) -> object:
    _spoil(account.bundle() / "keys/connector.key", kind="ztb-other/1")
    return bundles.load_bundle(account.bundle() / "keys/connector.key")


def _root_too_short(account: Account) -> object:
    path = account.bundle() / "keys/connector.key"
    _spoil(path, root=json.loads(path.read_text())["root"][:-1])
    return Connector.from_config(account.folder / "connector")


def _one_key_in_two_sets(account: Account) -> object:
    folder = account.folder / "server/keys"
    first, second = [p for p in sorted(folder.glob("*.key")) if p.name != "server.key"][:2]
    _spoil(second, keys=json.loads(first.read_text())["keys"])
    return _server(account)


def _of_another_account(account: Account) -> object:
    account.edit('account = "demo"', 'account = "other"')
    return _server(account)


def _port_taken(account: Account) -> object:
    with Running(account):
        return _server(account, state="elsewhere")


def _server(account: Account, state: str = "state") -> object:
    if state != "state":
        text = account.config.read_text()
        account.config.write_text(f'state = "{state}"\n{text}')
    return build_server(load_settings(account.config, Overrides()), account.config.parent)


def _out_of_scope(account: Account) -> object:
    opened = Opened.from_config(account.bundle("query"), client="atlas")
    with contextlib.closing(opened):
        session = opened._link.session
        return session.sign(Op.HALT, Stop(reason="x"), "0" * 31 + "1", opened._link.clocks())


def _broken_field(account: Account) -> object:
    bridge = Connector.from_config(account.folder / "connector")
    with contextlib.closing(bridge):
        session = bridge._link.session
        return session.sign(Op.HALT, Stop(reason="\n"), "0" * 31 + "1", bridge._link.clocks())


def _no_connection(account: Account) -> object:
    with Connector.from_config(account.folder / "connector") as bridge:
        bridge.connect(timeout=0.2)
        return bridge


def _file_there_already(account: Account) -> object:
    path = account.bundle() / "keys/connector.key"
    save_key_file(path, bundles.load_bundle(path))
    return path


def _not_a_key(account: Account) -> object:
    path = account.bundle() / "keys/connector.key"
    return parse_key_hex(json.loads(path.read_text())["root"] + "0")


def _wrong_env(account: Account) -> object:
    path = account.folder / ".env"
    path.write_text("MT5_PASSWORD=hunter2hunter2\nMT5_PASSWORD=hunter3hunter3\n")
    path.chmod(0o600)
    return load_env(path, ("MT5_LOGIN", "MT5_PASSWORD"))


def _wrong_alerts(account: Account) -> object:
    configure(account.config, account.port)
    file = account.config.parent / "alerts.env"
    file.write_text(file.read_text().replace("http://127.0.0.1", "http://a.example"))
    return _server(account)


def _ea_account(account: Account) -> Path:
    folder = account.folder / "gold"
    new_account(folder, NewAccount("gold", Mode.LIVE, "tcp://127.0.0.1:5557"))
    return folder


def _ea_file_cut_off(account: Account) -> object:
    path = _ea_account(account) / "ea/bridge.key"
    path.write_bytes(path.read_bytes()[:-40])
    return load_ea_keys(path)


def _ea_file_without_its_last_word(account: Account) -> object:
    path = _ea_account(account) / "ea/bridge.key"
    path.write_bytes(path.read_bytes().replace(b"end", b"End"))
    return load_ea_keys(path)


def _key_of_the_ea_repeated(account: Account) -> object:
    path = _ea_account(account) / "ea/bridge.key"
    text = path.read_bytes()
    path.write_bytes(text.replace(b"end", text.splitlines()[-2] + b"\nend"))
    return add_bundle(path.parent.parent, account.folder / "phone", Scope.TRADE)


def _ea_file_full(account: Account) -> object:
    folder = _ea_account(account)
    keys = load_ea_keys(folder / "ea/bridge.key")
    return keys.with_set(keys.sets[0])


def _nobodys_key_ended(account: Account) -> object:
    return end_set(_ea_account(account), "t9-0000", KeyState.REVOKED)


TROUBLES: list[Callable[[Account], object]] = [
    _wrong_type, _one_field_too_many, _of_another_kind, _root_too_short, _one_key_in_two_sets,
    _of_another_account, _port_taken, _out_of_scope, _broken_field, _no_connection,
    _file_there_already, _not_a_key, _wrong_env, _wrong_alerts, _ea_file_cut_off,
    _ea_file_without_its_last_word, _key_of_the_ea_repeated, _ea_file_full, _nobodys_key_ended,
]  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: one.__name__.strip("_"))
def test_no_traceback_with_locals_shows_a_key(
    account: Account, trouble: Callable[[Account], object], caplog: pytest.LogCaptureFixture
) -> None:
    before = _secrets(account.folder)
    with pytest.raises(BridgeError) as caught:
        trouble(account)
    needles = Needles(before | _secrets(account.folder))  # with what was spoilt, and by what
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in told.stack if str(ROOT / "bridge_") in frame.filename]
    assert frames or trouble is _wrong_type
    for frame in frames:
        for name, text in (frame.locals or {}).items():
            assert not needles.find(text.encode()), f"{frame.name}: {name} shows a key"
    assert not needles.find("".join(told.format_exception_only()).encode())
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("strategy").debug("went wrong: %r", caught.value, exc_info=caught.value)
    assert not needles.find(caplog.text.encode())


def test_the_servers_log_at_debug_level_shows_no_key_even_when_handed_one(
    account: Account,
) -> None:
    server = bundles.load_server_keys(account.folder / "server/keys/server.key")
    settings = load_settings(account.config, Overrides())
    made = build_server(settings, account.config.parent, debug=True)
    try:
        log = setup_logging("ztb-server", file=account.config.parent / settings.log, debug=True)
        for secret in (server.curve_secret, server.event_srv, parse_key_hex(server.event_srv)):
            for level in ("debug", "info", "error"):
                log_event(log, level, "leak", bare=secret, kept=repr(secret), hexed=str(secret))
            log.error("leak %s", secret, exc_info=ValueError(secret))
    finally:
        made.context.worker.stop(1.0)
        made.context.transport.close()
        made.context.journal.close()
    assert "leak" in account.log
    assert not _needles(account.folder).find(account.log.encode())


# --- core files -----------------------------------------------------------------------------------


def _limits(pid: int) -> str:
    return (Path("/proc") / str(pid) / "limits").read_text()


def _cores_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("core*") if path.is_file()]


_SIGNER = """
import ctypes, sys, time
from bridge_core.host.bundles import load_bundle
if len(sys.argv) > 1:
    from bridge_client import Connector
    held = Connector.from_config(sys.argv[1], client="atlas")
linux = sys.platform == "linux"
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if linux else len(sys.argv) < 2
print("ready", int(dumpable), flush=True)
time.sleep(60)
"""


def _start(folder: Path, *words: str) -> subprocess.Popen[str]:
    import resource

    def allow() -> None:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    return subprocess.Popen(
        [sys.executable, *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=allow,  # noqa: PLW1509  a limit
    )  # fmt: skip


def _abort(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGABRT)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGABRT


@POSIX
def test_an_aborted_process_without_keys_leaves_the_core_file_that_those_with_keys_do_not(
    account: Account, tmp_path: Path
) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern")
    files = pattern.exists() and pattern.read_text()[:1] not in "|/"
    server = _start(tmp_path, "-m", "bridge_server", "run", "--config", str(account.config))
    signer = _start(tmp_path, "-c", _SIGNER, str(account.folder / "connector"))
    try:
        client = None
        wait_until((account.folder / "server/log/server.log").exists, 30)
        client = account.client()
        wait_until(lambda: client.hello().state == "ACTIVE", 30)
        client.close()
        assert signer.stdout is not None
        assert signer.stdout.readline() == "ready 0\n"
        if sys.platform == "linux":
            for process in (server, signer):
                line = next(x for x in _limits(process.pid).splitlines() if "core file" in x)
                assert line.split()[4] == "0"
        for process in (server, signer):
            _abort(process)
        assert _cores_in(tmp_path) == []
    finally:
        for process in (server, signer):
            process.kill()
            process.communicate()
    if files:  # the same death, without a key: it does leave one here
        plain = _start(tmp_path, "-c", _SIGNER)
        assert plain.stdout is not None
        assert plain.stdout.readline() == "ready 1\n"
        allowed = "unlimited" in _limits(plain.pid).split("core file size")[1].splitlines()[0]
        _abort(plain)
        until = time.monotonic() + 5
        while allowed and not _cores_in(tmp_path) and time.monotonic() < until:
            time.sleep(0.01)
        assert bool(_cores_in(tmp_path)) == allowed
        for path in _cores_in(tmp_path):
            path.unlink()
