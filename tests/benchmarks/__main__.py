"""`make bench`: each figure beside the raw ZeroMQ floor of the same run. Nothing is asserted."""

from __future__ import annotations

import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path

from bridge_client import Connector, Status
from bridge_core.host.sqlite import open_database, transaction
from bridge_core.protocol.messages import Open, decode_body, encode_body
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.signing import RequestKeys, request_mac_holds, sign_request
from bridge_core.protocol.token import RequestToken, parse_request
from bridge_core.risk.order import Proposal
from tests.benchmarks import advisor, floor, stopping, terminal5
from tests.benchmarks.place import account
from tests.benchmarks.table import quantile, row, timed

PINGS = 2_000
OPENS = 300
CROWD = {1: 800, 8: 160, 32: 60}
# Replay memory keeps a ping's id for its ttl and the skew; the next section begins with room.
FORGET_S = 8.0


def free_port() -> int:
    """Return the first of three free neighbouring ports."""
    while True:
        port = 20_000 + secrets.randbelow(20_000)
        try:
            for number in (port, port + 1, port + 2):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port


def sign_and_verify() -> tuple[list[float], list[float]]:
    """Return microseconds for signing, and for parse + verify + strict decode, of one OPEN."""
    key = secrets.token_bytes(32)
    body = Open(
        client_order_id="a-1", client="bench", symbol="EURUSD", type="BUY", volume="0.01",
        price="1.10000", sl="1.09000", tp="1.11000", deviation=20, expiration=0,
        stops_fail="KEEP", strategy=1, comment="Strategy_v1",
    )  # fmt: skip
    token = RequestToken(
        prefix="RISK_PASS", kid="t1-0000", acct="bench", op="OPEN", rid=secrets.token_hex(16),
        iat=time.time_ns() // 1_000_000, ttl=5_000, inc=secrets.token_hex(8),
    )  # fmt: skip
    keys = RequestKeys(key, Purpose.ORDER_SRV)
    frames = sign_request(token, encode_body(body), keys)

    def verify() -> None:
        parts = parse_request(frames.token)
        assert parts is not None
        held = request_mac_holds(frames, parts, key, Purpose.ORDER_SRV)
        assert held is not None
        assert decode_body(Open, held) is not None

    raw = encode_body(body)
    return timed(lambda: sign_request(token, raw, keys), 5_000), timed(verify, 5_000)


def commits(folder: Path) -> list[float]:
    """Return microseconds per durable one-row commit on this disk (WAL, synchronous FULL)."""
    database = open_database(folder / "commits.db", exclusive=True)
    database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x BLOB)")

    def commit() -> None:
        with transaction(database):
            database.execute("INSERT INTO t (x) VALUES (?)", (b"x" * 600,))

    times = timed(commit, 500)
    database.close()
    return times


def fill(bridge: Connector, count: int, *, forget: bool = False) -> list[float]:
    """Return microseconds of so many filled orders; `forget` the picture before each of them."""
    times = []
    for _ in range(count):
        if forget:
            bridge._book.seen = None
        begun = time.perf_counter()
        result = bridge.buy("EURUSD", "0.01")
        times.append((time.perf_counter() - begun) * 1e6)
        assert result.status is Status.FILLED, str(result)
        bridge.close_position(result)  # not timed: the paper broker holds so many only
    return times


def judgement(bridge: Connector) -> list[float]:
    """Return microseconds of judging an entry by every check, on a picture that is at hand."""
    bridge.sync_all()
    order = Proposal(kind="OPEN", symbol="EURUSD", type="BUY", volume=Decimal("0.01"), deviation=20)
    return timed(lambda: bridge._judge.verdict(order), 2_000)


def hung(bridge: Connector) -> list[float]:
    """Return PING times while an order hangs at the broker."""
    order = threading.Thread(
        target=lambda: bridge.buy("EURUSD", "0.01", comment="hang", wait=0.2), daemon=True
    )
    order.start()
    time.sleep(0.4)
    times = timed(bridge.ping, 1_000)
    order.join()
    return times


def crowd(connector: Path, clients: int, rounds: int) -> tuple[list[float], float]:
    """Return every PING time of so many processes at once, and the rate per second."""
    begun = time.monotonic()
    peers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.one", str(connector), str(rounds)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(clients)
    ]
    times: list[float] = []
    spans: list[tuple[float, float]] = []
    for peer in peers:
        text, _ = peer.communicate(timeout=120)
        first, last, *values = (float(word) for word in text.split())
        spans.append((first, last))
        times += values
    assert begun
    span = max(last for _, last in spans) - min(first for first, _ in spans)
    return times, len(times) / span


def main() -> int:
    """Measure and print."""
    print(f"{'microseconds':40} {'median':>9} {'p99':>9}")
    with tempfile.TemporaryDirectory(prefix="ztb-bench-") as name:
        folder = Path(name)
        base_times = floor.measure(free_port(), 3_000)
        base = statistics.median(base_times)
        row("raw REQ/REP, the floor", base_times, base, "loopback TCP, no CURVE")
        signing, verifying = sign_and_verify()
        row("sign an OPEN", signing, None, "aim: 20")
        row("parse + verify + decode an OPEN", verifying, None, "aim: 20")
        commit_times = commits(folder)
        commit = statistics.median(commit_times)
        row("one durable commit of this disk", commit_times, None)
        with (
            account(folder, free_port()) as connector,
            Connector.from_config(connector, client="bench") as bridge,
        ):
            bridge.connect(10)
            timed(bridge.ping, 200)
            pings = timed(bridge.ping, PINGS)
            row("PING, signed, over CURVE", pings, base, "aim: 1.5 x floor")
            time.sleep(FORGET_S)
            opens = fill(bridge, OPENS)
            aim = base + 4 * commit + 150
            row("OPEN, filled, durable", opens, base, f"aim: floor + 4 commits + 150 = {aim:.0f}")
            row("  the connector's judgement of it", judgement(bridge), None)
            asked = fill(bridge, OPENS // 3, forget=True)
            row("  with a picture asked for first", asked, base, "one order in 1.5 s pays it")
            hanging = hung(bridge)
            limit = 2 * quantile(pings, 0.99)
            row("PING while the broker hangs", hanging, base, f"aim: p99 within {limit:.0f}")
            print(
                f"promised to users of 4.3: PING p99 < 10 ms, here "
                f"{quantile(pings, 0.99) / 1000:.2f} ms; order p95 < 50 ms, here "
                f"{quantile(opens, 0.95) / 1000:.2f} ms"
            )
            for clients, rounds in CROWD.items():
                time.sleep(FORGET_S)
                times, rate = crowd(connector, clients, rounds)
                row(f"PING, {clients} connectors at once", times, base, f"{rate:.0f} a second")
        stopping.measure(folder / "stopping", base)
        terminal5.measure(folder / "terminal5", base)
        advisor.measure(folder / "advisor", base)
    print(f"on {os.cpu_count()} processors; nothing is asserted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
