"""What gets in: genuine orders do, everything else meets silence (protocol.md 6, attacks A, L)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
from collections.abc import Iterator

import msgspec
import pytest
import zmq

from bridge_core.host.bundles import load_bundle
from bridge_core.host.sockets import new_curve_keys
from bridge_core.protocol import limits
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Mode, derive
from bridge_core.protocol.messages import (
    Hello,
    encode_body,
)
from bridge_core.protocol.operations import Op, Purpose
from bridge_core.protocol.signing import Frames, RequestKeys, mac_input, sign_request
from tests.support.raw_client import RawClient, now_ms, open_body
from tests.support.running import Account, Running, make_account, wait_until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    account = make_account(tmp_path_factory.mktemp("admission"))
    with Running(account) as server:
        yield server


@pytest.fixture(scope="module")
def client(shared: Running) -> RawClient:
    return shared.ready()


def _nothing_happened(shared: Running, frames: Frames) -> bool:
    rid = frames.token.split(b":")[5].decode("ascii", "replace")
    return shared.scripted.begun(rid) == 0 and shared.server.service.orders.find(rid) is None


def _dropped(shared: Running, why: str) -> int:
    return shared.server.context.counters.get(f"dropped_{why}", 0)


def test_a_genuine_order_is_filled_once_and_the_broker_got_what_was_signed(
    shared: Running, client: RawClient
) -> None:
    frames = client.sign(Op.OPEN, open_body(comment="Strategy_v1"))
    answer = client.ask(frames)
    assert (answer.status, answer.code) == ("FILLED", "-")
    order = answer.order()
    assert shared.scripted.begun(order.rid) == 1
    assert shared.scripted.positions[order.ticket].magic == order.magic
    assert shared.scripted.positions[order.ticket].comment.endswith("Strategy_v1")


def test_every_flipped_byte_of_token_or_body_meets_silence_and_the_genuine_order_still_runs(
    shared: Running, client: RawClient
) -> None:
    genuine = client.sign(Op.OPEN, open_body())
    begun = len(shared.scripted.ledger)
    for frame in range(2):
        for at in range(len(genuine[frame])):
            for flip in (0x01, 0x80):
                raw = bytearray(genuine[frame])
                raw[at] ^= flip
                client.send(genuine._replace(**{("token", "body")[frame]: bytes(raw)}))
    # Requests of one socket are answered in order: the only reply is the genuine order's.
    answer = client.ask(genuine)
    assert answer.status == "FILLED"
    assert client.receive(100) is None
    assert len(shared.scripted.ledger) == begun + 1


@pytest.mark.parametrize(
    "bend",
    [
        lambda mac: mac[:0], lambda mac: mac[:1], lambda mac: mac[:32], lambda mac: mac[:63],
        lambda mac: mac + b"0", lambda mac: mac + mac, lambda mac: mac.upper(),
        lambda mac: b"0" * 64, lambda mac: b"-",
    ],
)  # fmt: skip
def test_a_bent_mac_meets_silence(shared: Running, client: RawClient, bend: object) -> None:
    frames = client.sign(Op.OPEN, open_body())
    mac = frames.token[-64:]
    while mac.upper() == mac:  # the MAC must have a letter to be changed by upper case
        frames = client.sign(Op.OPEN, open_body())
        mac = frames.token[-64:]
    assert callable(bend)
    bent = Frames(frames.token[:-64] + bend(mac), frames.body)
    assert client.silent(bent, 60)
    assert _nothing_happened(shared, frames)


def _with_key(client: RawClient, key: bytes, **token: object) -> Frames:
    parts = client.token(Op.OPEN, **token)
    return sign_request(parts, encode_body(open_body()), RequestKeys(key, Purpose.ORDER_SRV))


@pytest.mark.parametrize("which", ["random", "account", "mode", "purpose", "kid", "other kid"])
def test_a_mac_of_the_wrong_key_meets_silence_and_is_counted(
    shared: Running, client: RawClient, which: str
) -> None:
    bundle = client.bundle
    root, token = bytes.fromhex(bundle.root), {}
    names = {"mode": bundle.mode, "acct": bundle.acct, "kid": bundle.kid}
    purpose = Purpose.ORDER_SRV
    if which == "account":
        names["acct"] = "other"
    elif which == "mode":
        names["mode"] = Mode.LIVE
    elif which == "purpose":
        purpose = Purpose.QUERY_SRV
    elif which == "kid":
        token = {"kid": "t9-ffff"}
    elif which == "other kid":
        token = {"kid": load_bundle(shared.account.bundle("trade") / "keys/connector.key").kid}
    key = derive(root, purpose=purpose, **names)  # type: ignore[arg-type]
    if which == "random":
        key = secrets.token_bytes(32)
    counter = "key" if which == "kid" else "mac"
    before = _dropped(shared, counter)
    frames = _with_key(client, key, **token)
    assert client.silent(frames, 60)
    assert _nothing_happened(shared, frames)
    assert _dropped(shared, counter) == before + 1


def test_another_account_in_the_token_meets_silence_even_under_a_true_key(
    shared: Running, client: RawClient
) -> None:
    frames = _with_key(client, client.keys.keys[Purpose.ORDER_SRV], acct="other")
    before = _dropped(shared, "account")
    assert client.silent(frames, 60)
    assert _dropped(shared, "account") == before + 1


@pytest.mark.parametrize("algorithm", ["sha256-unkeyed", "hmac-sha1", "hmac-truncated"])
def test_another_hash_in_place_of_the_mac_meets_silence(
    shared: Running, client: RawClient, algorithm: str
) -> None:
    frames = client.sign(Op.OPEN, open_body())
    head, key = frames.token[:-64], client.keys.keys[Purpose.ORDER_SRV]
    covered = mac_input(Purpose.ORDER_SRV, head, frames.body)
    fake = {
        "sha256-unkeyed": hashlib.sha256(covered).hexdigest(),
        "hmac-sha1": hmac.new(key, covered, "sha1").hexdigest().ljust(64, "0"),
        "hmac-truncated": hmac.new(key, covered, "sha256").hexdigest()[:32].ljust(64, "0"),
    }[algorithm]
    assert client.silent(Frames(head + fake.encode(), frames.body), 60)
    assert _nothing_happened(shared, frames)


def test_a_true_order_from_another_sets_curve_identity_meets_silence(
    shared: Running, client: RawClient
) -> None:
    other = load_bundle(shared.account.bundle("query") / "keys" / "connector.key")
    thief = RawClient(client.bundle, f"tcp://127.0.0.1:{shared.account.port}", curve=other)
    thief.inc = client.inc
    with thief:
        before = _dropped(shared, "identity")
        frames = thief.sign(Op.OPEN, open_body())
        assert thief.silent(frames, 100)
    assert _dropped(shared, "identity") == before + 1
    assert _nothing_happened(shared, frames)


def test_a_flood_of_forgeries_is_counted_and_writes_one_line_a_second(
    account: Account,
) -> None:
    with Running(account) as server:
        client = server.client()
        for _ in range(50):
            client.send(_with_key(client, secrets.token_bytes(32)))
        health = client.health()
        assert health.counters["dropped_mac"] == 50
        lines = [line for line in account.log.splitlines() if " dropped " in line]
        assert 1 <= len(lines) <= 2


@pytest.mark.parametrize(
    "parts",
    [
        [b"", b"ZTB5", b"token"],
        [b"", b"ZTB5"],
        [b""],
        [b"", b"ZTB5", b"token", b"body", b"more"],
        [b"ZTB5", b"token", b"body"],
        [b"", b"ZTB4", b"token", b"body"],
        [b"", b"", b"", b""],
        [b"", b"ZTB5", b"", b""],
        [b""] * 50_001,
    ],
    ids=lambda parts: str(len(parts)),
)
def test_messages_of_another_shape_are_dropped(
    shared: Running, client: RawClient, parts: list[bytes]
) -> None:
    client.send_parts(*parts)
    assert client.receive(60) is None
    assert client.ping().status == "OK"


def test_a_frame_beyond_the_bound_ends_the_connection_and_the_next_one_is_served(
    shared: Running,
) -> None:
    with shared.account.client() as rude:
        rude.send_parts(b"", b"ZTB5", b"token", b"x" * (limits.SERVER_FRAME_BYTES_MAX + 1))
        assert rude.receive(100) is None
        assert rude.ping().status == "OK"  # on a new connection, by itself


def test_a_body_of_4097_bytes_meets_silence(shared: Running, client: RawClient) -> None:
    frames = client.sign(Op.OPEN, b"x" * (limits.BODY_BYTES_MAX + 1))
    assert client.silent(frames, 60)


def test_the_old_protocols_signature_meets_silence(client: RawClient) -> None:
    old = b"RISK_PASS:7a3f9e8b:2026-01-15T02:08:33Z"
    for body in (encode_body(open_body()), b""):
        client.send(Frames(old, body))
    client.send_parts(b"", old)
    client.send_parts(old + b'|{"action":"OPEN"}')
    assert client.receive(100) is None


def test_a_byte_moved_from_token_to_body_meets_silence(client: RawClient) -> None:
    frames = client.sign(Op.OPEN, open_body())
    moved = Frames(frames.token[:-1], frames.token[-1:] + frames.body)
    assert client.silent(moved, 60)


def test_a_reply_sent_back_as_a_request_meets_silence(client: RawClient) -> None:
    assert client.silent(client.ping().frames, 60)


@pytest.mark.parametrize("cut", range(1, 200, 17))
def test_a_cut_body_under_a_true_mac_is_denied_body(client: RawClient, cut: int) -> None:
    raw = encode_body(open_body())
    answer = client.do(Op.OPEN, raw[:-cut])
    assert (answer.status, answer.code) == ("DENIED", "BODY")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"volume":"0.01"', b'"volume":0.01'),
        (b'"volume":"0.01"', b'"volume":"NaN"'),
        (b'"volume":"0.01"', b'"volume":"1e1"'),
        (b'"volume":"0.01"', b'"volume":"-0.01"'),
        (b'"volume":"0.01"', b'"volume":"0.01","volume":"9"'),
        (b'"volume":"0.01"', b'"volume": "0.01"'),
        (b'"volume":"0.01"', b'"vol\\u0075me":"0.01"'),
        (b'"volume":"0.01"', b'"Volume":"0.01"'),
        (b'"deviation":20', b'"deviation":true'),
        (b'"deviation":20', b'"deviation":null'),
        (b'"deviation":20', b'"deviation":-1'),
        (b'"deviation":20', b'"deviation":20,"magic":7'),
        (b'"symbol":"EURUSD"', b'"symbol":"EURUSD "'),
        (b'"symbol":"EURUSD"', b'"symbol":"EURUSD\x00"'),
        (b'"symbol":"EURUSD"', '"symbol":"\u0415URUSD"'.encode()),
        (b'"type":"BUY"', b'"type":"buy"'),
    ],
)
def test_a_body_that_is_not_the_one_legal_form_is_denied_body(
    shared: Running, client: RawClient, old: bytes, new: bytes
) -> None:
    raw = encode_body(open_body())
    assert old in raw
    frames = client.sign(Op.OPEN, raw.replace(old, new))
    answer = client.ask(frames)
    assert (answer.status, answer.code) == ("DENIED", "BODY")
    assert shared.scripted.begun(answer.token.rid) == 0


@pytest.mark.parametrize("op", ["__init__", "OPEN_", "ORDER", "_", "HALT_ALL"])
def test_an_operation_that_does_not_exist_meets_silence(client: RawClient, op: str) -> None:
    parts = client.token(Op.OPEN)._replace(op=op)
    key = RequestKeys(client.keys.keys[Purpose.ORDER_SRV], Purpose.ORDER_SRV)
    assert client.silent(sign_request(parts, encode_body(open_body()), key), 60)


def test_the_wrong_prefix_for_an_operation_meets_silence(client: RawClient) -> None:
    assert client.silent(client.sign(Op.OPEN, open_body(), prefix="AUTH_PASS"), 60)


@pytest.mark.parametrize("state", ["revoked", "retiring", "expired"])
def test_a_key_that_is_no_longer_alive_meets_silence(account: Account, state: str) -> None:
    path = next(
        p for p in (account.folder / "server/keys").glob("t*.key")
        if load_bundle(account.bundle("trade") / "keys/connector.key").kid in p.name
    )  # fmt: skip
    old = path.read_text("utf-8")
    fields = {"revoked": ("revoked", 0), "retiring": ("retiring", 1), "expired": ("active", 1)}
    word, until = fields[state]
    new = old.replace('"active"', f'"{word}"').replace(
        '"not_after_ms": 0', f'"not_after_ms": {until}'
    )
    assert new != old
    path.write_text(new, "utf-8")
    path.chmod(0o600)
    with Running(account) as server:
        server.ready()
        bundle = load_bundle(account.bundle("trade") / "keys" / "connector.key")
        with RawClient(bundle, f"tcp://127.0.0.1:{account.port}") as dead:
            hello = dead.sign(Op.HELLO, Hello(client="raw", version="1", sent=now_ms()))
            assert dead.silent(hello, 100)


def test_a_server_whose_every_key_set_is_past_its_date_does_not_start(account: Account) -> None:
    for path in (account.folder / "server/keys").glob("*-*.key"):
        path.write_text(path.read_text("utf-8").replace('"not_after_ms": 0', '"not_after_ms": 1'))
    with pytest.raises(ConfigError, match="past its date"):
        Running(account)


def test_a_plain_peer_and_raw_bytes_get_nothing_and_disturb_nobody(
    shared: Running, client: RawClient
) -> None:
    genuine = client.sign(Op.OPEN, open_body())
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with socket.create_connection(("127.0.0.1", shared.account.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n" + genuine.token + genuine.body)
        plain = context.socket(zmq.DEALER)
        plain.connect(f"tcp://127.0.0.1:{shared.account.port}")
        plain.send_multipart((b"", b"ZTB5", genuine.token, genuine.body))
        assert not plain.poll(100)
        plain.close(0)
    context.term()
    assert _nothing_happened(shared, genuine)
    assert client.ask(genuine).status == "FILLED"


def test_an_unknown_curve_key_gets_no_connection(shared: Running, client: RawClient) -> None:
    keys = new_curve_keys()
    stranger = msgspec.structs.replace(
        client.bundle, curve_public=keys.public.decode(), curve_secret=keys.secret.decode()
    )
    refused = shared.server.context.transport.refused_keys
    with RawClient(client.bundle, f"tcp://127.0.0.1:{shared.account.port}", curve=stranger) as who:
        who.inc = client.inc
        with pytest.raises(TimeoutError):
            who.send(who.sign(Op.OPEN, open_body()), patience_s=0.3)
    wait_until(lambda: shared.server.context.transport.refused_keys > refused)


def test_key_files_of_the_account_hold_no_root_on_the_servers_side(account: Account) -> None:
    roots = [
        load_bundle(account.bundle(who) / "keys/connector.key").root
        for who in ("connector", "operator", "query", "reduce", "trade")
    ]
    for path in (account.folder / "server").rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert not any(root.encode() in held for root in roots), path.name
            assert not any(bytes.fromhex(root) in held for root in roots), path.name
