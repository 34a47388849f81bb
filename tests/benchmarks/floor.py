"""The floor: raw ZeroMQ REQ/REP over loopback TCP, same sizes as a PING, no CURVE, no Python work.

Run as a module it is the other end: `python -m tests.benchmarks.floor PORT`.
"""

from __future__ import annotations

import subprocess
import sys
import time

import zmq

REQUEST = (b"ZTB5", b"t" * 200, b"b" * 64)
REPLY = (b"ZTB5", b"t" * 300, b"b" * 120)


def serve(port: int) -> None:
    """Answer until the peer sends an empty first frame."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sock = context.socket(zmq.REP)
    sock.linger = 0
    sock.bind(f"tcp://127.0.0.1:{port}")
    while sock.recv_multipart()[0]:
        sock.send_multipart(REPLY)
    sock.close(0)
    context.term()


def measure(port: int, rounds: int) -> list[float]:
    """Return round trips in microseconds."""
    peer = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.floor", str(port)])
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sock = context.socket(zmq.REQ)
    sock.linger = 0
    try:
        sock.connect(f"tcp://127.0.0.1:{port}")
        times = []
        for number in range(rounds + 200):
            begun = time.perf_counter()
            sock.send_multipart(REQUEST)
            sock.recv_multipart()
            if number >= 200:
                times.append((time.perf_counter() - begun) * 1e6)
        sock.send_multipart((b"",))
        return times
    finally:
        sock.close(200)
        context.term()
        try:
            peer.wait(2)
        except subprocess.TimeoutExpired:
            peer.kill()
            peer.wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
