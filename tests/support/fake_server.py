"""A small scripted server: real sockets, real MACs, and faults on request.

It keeps orders by rid as the protocol asks (stored replies, tombstones, unique ids), so that a
connector can be tested against drops, delays, duplicates, forgeries and restarts.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import msgspec
import zmq

from bridge_core.host.sockets import (
    ServerSocketSpec,
    ZapResponder,
    server_socket,
)
from bridge_core.protocol import chain
from bridge_core.protocol import messages as m
from bridge_core.protocol.events import EventBody, event_topic, tick_stream, tick_topic
from bridge_core.protocol.keys import KeySet, request_purpose
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose, ReplayClass
from bridge_core.protocol.replies import (
    HelloReply,
    JournalPage,
    LogPage,
    LogRow,
    OrderView,
    Page,
    StateReply,
    StatusReply,
    SyncReply,
    encode_reply,
)
from bridge_core.protocol.signing import (
    Frames,
    request_hash,
    request_mac_holds,
    sign_event,
    sign_reply,
)
from bridge_core.protocol.token import EventToken, ReplyToken, RequestToken, parse_request
from bridge_core.protocol.views import (
    AccountIdentity,
    AccountView,
    DealView,
    LimitView,
    PendingView,
    PositionView,
    QuoteView,
    StreamPoint,
    SymbolView,
)
from tests.support.fake_kit import ACCT, Kit, free_ports, make_kit

__all__ = [
    "Delay", "Drop", "FakeServer", "Fault", "Instead", "Kit", "Lose", "Twice", "free_ports",
    "make_kit",
]  # fmt: skip

Fault = Callable[["FakeServer", RequestToken, bytes, Frames], "list[Frames] | None"]


class FakeServer:
    """Runs in a thread between `start` and `stop`; may be started again as a new incarnation."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.keys: KeySet = kit.bundle.key_set()
        self.inc = secrets.token_hex(8)
        self.faults: dict[Op, list[Fault]] = {}
        self.seen: list[tuple[Op, Frames]] = []
        self.orders: dict[str, OrderView] = {}
        self.stored: dict[str, Frames] = {}
        self.executed: list[str] = []
        self.positions: dict[int, PositionView] = {}
        self.pendings: dict[int, PendingView] = {}
        self.deals: list[DealView] = []
        self.limits: list[LimitView] = []
        self.symbols = list(_SYMBOLS)
        self.quotes = {"EURUSD": ("1.08500", "1.08512"), "GBPUSD": ("1.26000", "1.26010")}
        self.money = {"balance": "10000", "equity": "9999.88", "free_margin": "9999.88"}
        self.zone_ms: int | None = 0
        self.asked_ago_ms = self.quote_ago_ms = 0
        self.market_ahead_ms = 0
        self.log: list[tuple[bytes, bytes]] = []
        self.clock_ahead_ms = 0
        self.next_ticket = 1000
        self.decide: Callable[[RequestToken, m.Request], OrderView | None] = self._execute
        self.attest: Callable[[RequestToken, Frames, OrderView], OrderView] | None = None
        self.seqs: dict[str, int] = {}
        self.heartbeats = True
        self.page_rows = 500
        self._ahead: list[tuple[float, bytes, Frames]] = []
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._tell: list[tuple[bytes, Frames]] = []

    # --- life -----------------------------------------------------------------------------

    def start(self) -> FakeServer:
        self._stop.clear()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(5)
        return self

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def restart(self, *, forget: bool = False) -> None:
        self.stop()
        self.inc = secrets.token_hex(8)
        self.seqs.clear()
        if forget:
            self.orders.clear()
            self.stored.clear()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.clock_ahead_ms

    def fault(self, op: Op, *faults: Fault) -> None:
        """Apply each fault to one request of this kind, in turn."""
        self.faults.setdefault(op, []).extend(faults)

    def count(self, op: Op) -> int:
        """Return how many requests came; a copy of one, sent again after a delay, is none."""
        return len({frames for one, frames in self.seen if one is op})

    def _run(self, ready: threading.Event) -> None:
        context: Any = zmq.Context()
        allowed = frozenset({self.kit.bundle.curve_public.encode()})
        zap = ZapResponder(context, {"req": allowed, "pub": allowed})
        zap.start()
        router, pub = (
            server_socket(
                context, kind,
                ServerSocketSpec(domain=name, keys=self.kit.server_curve, max_frame_bytes=8192),
            )
            for kind, name in ((zmq.ROUTER, "req"), (zmq.PUB, "pub"))
        )  # fmt: skip
        try:
            _bind(router, self.kit.port)
            _bind(pub, self.kit.port + 1)
            ready.set()
            beat = 0.0
            while not self._stop.is_set():
                if router.poll(2):
                    route, _, _, token, body = router.recv_multipart()
                    for frames, late in self._handle(Frames(token, body)):
                        self._ahead.append((time.monotonic() + late, route, frames))
                now = time.monotonic()
                for due, route, frames in [a for a in self._ahead if a[0] <= now]:
                    self._ahead.remove((due, route, frames))
                    _send(router, route, frames)
                if self.heartbeats and now - beat > 0.1:
                    beat = now
                    self.heartbeat()
                while self._tell:
                    topic, frames = self._tell.pop(0)
                    pub.send_multipart([topic, b"ZTB5", frames.token, frames.body])
        finally:
            self._ahead.clear()
            router.close(0)
            pub.close(0)
            zap.stop()
            context.destroy(0)

    # --- requests ---------------------------------------------------------------------------

    def _handle(self, frames: Frames) -> list[tuple[Frames, float]]:
        token = parse_request(frames.token)
        assert token is not None
        op = Op(token.op)
        purpose, _ = request_purpose(op, self.keys.scope)
        body = request_mac_holds(frames, token, self.keys.keys.get(purpose), purpose)
        assert body is not None
        self.seen.append((op, frames))
        fault = self.faults[op].pop(0) if self.faults.get(op) else None
        late = getattr(fault, "late", 0.0)
        if getattr(fault, "lost", False):
            return []
        reply = self._reply_to(op, token, frames)
        if fault is None:
            return [(reply, 0.0)]
        changed = fault(self, token, frames.body, reply)
        return [(one, late) for one in ([reply] if changed is None else changed)]

    def _reply_to(self, op: Op, token: RequestToken, frames: Frames) -> Frames:
        if OPERATIONS[op].replay is not ReplayClass.JOURNAL:
            status, code, body = self._answer(op, token, frames)
            return self.sign(token, frames, status, code, body)
        if token.rid in self.stored:
            return self.stored[token.rid]
        if token.rid in self.orders:
            view = self.orders[token.rid]
            return self.sign(token, frames, view.status, view.code, view)
        view = self._order(op, token, frames)
        reply = self.sign(token, frames, view.status, view.code, view)
        if view.final:
            self.stored[token.rid] = reply
        return reply

    def _order(self, op: Op, token: RequestToken, frames: Frames) -> OrderView:
        if token.inc != self.inc:
            return OrderView(rid=token.rid, op=op, status="UNKNOWN", code="STALE_INCARNATION")
        body = msgspec.json.decode(frames.body, type=OPERATIONS[op].body)
        wanted = getattr(body, "client_order_id", "")
        for other in self.orders.values():
            if wanted and other.client_order_id == wanted:
                return OrderView(
                    rid=token.rid, op=op, status="DENIED", code="DUPLICATE_ID", final=True
                )
        if self.now_ms() >= token.iat + token.ttl:
            view: OrderView | None = OrderView(
                rid=token.rid, op=op, status="DENIED", code="EXPIRED", final=True, by="server"
            )
        else:
            view = self.decide(token, body)
        assert view is not None
        if self.attest is not None:
            view = self.attest(token, frames, view)
        self.orders[token.rid] = view
        self.append(f'{{"rid":"{token.rid}"}}'.encode())
        return view

    def _execute(self, token: RequestToken, body: m.Request) -> OrderView:
        self.executed.append(token.rid)
        base: dict[str, Any] = {"rid": token.rid, "op": token.op, "final": True}
        base["evidence"] = "BROKER"
        base["client_order_id"] = getattr(body, "client_order_id", "")
        base["client"] = getattr(body, "client", "")
        if isinstance(body, m.Open):
            self.next_ticket += 1
            if "_" in body.type:
                return self._rest(body, base)
            self.positions[self.next_ticket] = PositionView(
                ticket=self.next_ticket, symbol=body.symbol, type=body.type, volume=body.volume,
                open_price="1.08512", current_price="1.08500", sl=body.sl, tp=body.tp,
                client_order_id=body.client_order_id, rid=token.rid,
            )  # fmt: skip
            return OrderView(
                **base, status="FILLED", symbol=body.symbol, type=body.type, volume=body.volume,
                requested_volume=body.volume, price="1.08512", sl=body.sl, tp=body.tp,
                ticket=self.next_ticket, strategy=body.strategy, comment=body.comment,
            )  # fmt: skip
        if isinstance(body, m.Modify):
            held = self.positions[body.ticket]
            if (held.sl, held.tp) != (body.old_sl, body.old_tp):
                return OrderView(**base, status="DENIED", code="CHANGED", ticket=body.ticket)
            self.positions[body.ticket] = msgspec.structs.replace(held, sl=body.sl, tp=body.tp)
            return OrderView(**base, status="DONE", ticket=body.ticket, sl=body.sl, tp=body.tp)
        if isinstance(body, m.Close):
            held = self.positions.pop(body.ticket)
            return OrderView(
                **base, status="FILLED", ticket=body.ticket, symbol=held.symbol,
                volume=held.volume, close_price="1.08500", profit="-0.12",
            )  # fmt: skip
        return OrderView(**base, status="DONE")

    def _rest(self, body: m.Open, base: dict[str, Any]) -> OrderView:
        ticket = self.next_ticket
        self.pendings[ticket] = PendingView(
            ticket=ticket, symbol=body.symbol, type=body.type, volume=body.volume,
            price=body.price, sl=body.sl, tp=body.tp, rid=base["rid"],
        )  # fmt: skip
        return OrderView(
            **base, status="WORKING", symbol=body.symbol, type=body.type, price=body.price,
            requested_volume=body.volume, sl=body.sl, tp=body.tp, ticket=ticket,
        )  # fmt: skip

    def finish(self, rid: str, **change: object) -> None:
        """Decide an order that was left open."""
        self.orders[rid] = msgspec.structs.replace(self.orders[rid], final=True, **change)

    def _answer(self, op: Op, token: RequestToken, frames: Frames) -> tuple[str, str, Any]:
        body = msgspec.json.decode(frames.body, type=OPERATIONS[op].body)
        if isinstance(body, m.GetStatus):
            return self._status(body)
        if isinstance(body, m.Fence):
            known = self.orders.get(body.rid)
            if known is None:
                known = OrderView(
                    rid=body.rid, op="OPEN", status="DENIED", code="FENCED", final=True,
                    by="server",
                )  # fmt: skip
                self.orders[body.rid] = known
            return "OK", "-", StatusReply(order=known)
        if op is Op.GET_LOG:
            assert isinstance(body, m.GetRange)
            return "OK", "-", self._log_page(body.first)
        if op is Op.GET_JOURNAL:
            assert isinstance(body, m.GetRange)
            rows = list(self.orders.values())
            page = rows[body.first : body.first + min(body.count or 500, self.page_rows)]
            return "OK", "-", JournalPage(orders=page, total=len(rows))
        if op is Op.CHECK:
            return "OK", "-", OrderView(rid=token.rid, status="OK", margin="3.33")
        made: Callable[[], Any] = {
            Op.HELLO: self._hello, Op.SYNC_ALL: self._sync, Op.GET_ACCOUNT: self._account,
            Op.GET_POSITIONS: lambda: Page(
                positions=list(self.positions.values()), total=len(self.positions)
            ),
            Op.GET_ORDERS: lambda: Page(
                orders=list(self.pendings.values()), total=len(self.pendings)
            ),
            Op.GET_QUOTE: lambda: Page(quotes=[QuoteView(symbol="EURUSD", bid="1.1", ask="1.2")]),
            Op.GET_SYMBOL: lambda: Page(symbols=self.symbols, total=len(self.symbols)),
            Op.GET_HISTORY: lambda: Page(deals=self.deals, total=len(self.deals)),
            Op.GET_LIMITS: lambda: Page(limits=self.limits, total=len(self.limits)),
        }.get(op, lambda: StateReply(state="ACTIVE", time=self.now_ms()))  # fmt: skip
        return "OK", "-", made()

    def _status(self, body: m.GetStatus) -> tuple[str, str, Any]:
        found = self.orders.get(body.rid) or next(
            (o for o in self.orders.values() if o.client_order_id == body.client_order_id), None
        )
        if found is None:
            view = OrderView(rid=body.rid, code="NOT_SEEN")
            return "UNKNOWN", "NOT_SEEN", StatusReply(order=view)
        return "OK", "-", StatusReply(order=found)

    def _hello(self) -> HelloReply:
        identity = AccountIdentity(
            login=22437, server="EBC-Demo", kind="paper", currency="USD", margin_mode="hedging"
        )
        return HelloReply(
            incarnation=self.inc, time=self.now_ms(), mode="paper", account=identity,
            state="ACTIVE", protocols=[5],
        )  # fmt: skip

    def _account(self) -> AccountView:
        return AccountView(
            login=22437, server="EBC-Demo", kind="paper", currency="USD", margin_mode="hedging",
            leverage=100, margin="0", zone_ms=self.zone_ms, time=self.asked_ms(),
            market_time=self.now_ms() + self.market_ahead_ms, **self.money,
        )  # fmt: skip

    def asked_ms(self) -> int:
        """Return when the terminal was asked for what a picture shows."""
        return self.now_ms() - self.asked_ago_ms

    def _sync(self) -> SyncReply:
        return SyncReply(
            account=self._account(), positions=list(self.positions.values()), state="ACTIVE",
            orders=list(self.pendings.values()), streams=self.points(), time=self.now_ms(),
            quotes=[
                QuoteView(
                    symbol=name, bid=bid, ask=ask, time=self.now_ms() + self.market_ahead_ms,
                    asked=self.asked_ms() - self.quote_ago_ms,
                )
                for name, (bid, ask) in self.quotes.items()
            ],
        )  # fmt: skip

    # --- the record ----------------------------------------------------------------------------

    def append(self, record: bytes) -> None:
        previous = self.log[-1][1] if self.log else chain.GENESIS
        self.log.append((record, chain.link(previous, record)))

    def _log_page(self, first: int) -> LogPage:
        rows = [
            LogRow(n=n, record=record.decode(), hash=digest.hex())
            for n, (record, digest) in enumerate(self.log, 1)
            if n >= first
        ]
        head = self.log[-1][1] if self.log else chain.GENESIS
        return LogPage(rows=rows[:500], size=len(self.log), head=head.hex())

    # --- signing -----------------------------------------------------------------------------

    def sign(
        self, token: RequestToken, frames: Frames, status: str, code: str, body: Any
    ) -> Frames:
        """Return a signed reply to a request."""
        head = self.log[-1][1] if self.log else chain.GENESIS
        mac_ea = "-"
        if isinstance(body, OrderView):
            mac_ea = body.ea_mac
        elif isinstance(body, StatusReply):
            mac_ea = body.order.ea_mac
        reply = ReplyToken(
            kid=token.kid, acct=ACCT, rid=token.rid, time=self.now_ms(), status=status, code=code,
            req_hash=request_hash(frames), inc=self.inc, log_size=len(self.log),
            log_head=head.hex(), mac_ea=mac_ea,
        )  # fmt: skip
        return sign_reply(reply, encode_reply(body), self.keys.keys[Purpose.REPLY_SRV])

    # --- events ---------------------------------------------------------------------------------

    def points(self) -> list[StreamPoint]:
        self.seqs.setdefault(f"srv-{self.inc}", 0)
        return [StreamPoint(stream=s, seq=n) for s, n in self.seqs.items()]

    def event(self, body: EventBody, *, lose: bool = False, key: bytes | None = None) -> None:
        """Publish one event, or lose it on the way; under a wrong key if asked."""
        tick = body.type == "tick"
        stream = tick_stream(self.inc, body.symbol) if tick else f"srv-{self.inc}"
        topic = tick_topic(ACCT, body.symbol) if tick else event_topic(ACCT)
        seq = self.seqs[stream] = self.seqs.get(stream, 0) + 1
        if not lose:
            self._publish(topic, stream, seq, body, key)

    def heartbeat(self) -> None:
        points = self.points()
        stream = f"srv-{self.inc}"
        body = EventBody(type="heartbeat", streams=points)
        self._publish(event_topic(ACCT), stream, self.seqs[stream], body, None)

    def _publish(
        self, topic: bytes, stream: str, seq: int, body: EventBody, key: bytes | None
    ) -> None:
        token = EventToken("ev1", ACCT, stream, seq, self.now_ms())
        frames = sign_event(token, encode_reply(body), key or self.kit.event_key)
        self._tell.append((topic, frames))


_SYMBOLS = tuple(
    SymbolView(
        symbol=f"{base}USD", digits=5, point="0.00001", volume_min="0.01", volume_max="100",
        volume_step="0.01", contract_size="100000", currency_base=base, currency_profit="USD",
    )
    for base in ("EUR", "GBP")
)  # fmt: skip


def _bind(sock: Any, port: int) -> None:
    for _ in range(100):
        try:
            sock.bind(f"tcp://127.0.0.1:{port}")
        except zmq.ZMQError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("port stays in use")


def _send(router: Any, route: bytes, frames: Frames) -> None:
    try:
        router.send_multipart([route, b"", b"ZTB5", frames.token, frames.body], zmq.NOBLOCK)
    except zmq.ZMQError:
        return  # the peer is gone: that is some tests' point


# --- faults --------------------------------------------------------------------------------


class Drop:
    """The request arrives and is handled; its reply is lost."""

    def __call__(self, *_: object) -> list[Frames]:
        return []


class Lose:
    """The request never arrives."""

    lost = True

    def __call__(self, *_: object) -> list[Frames]:
        return []


class Delay:
    """The reply comes late (seconds)."""

    def __init__(self, seconds: float) -> None:
        self.late = seconds

    def __call__(self, *_: object) -> None:
        return None


class Twice:
    """The reply comes twice."""

    def __call__(self, _s: object, _t: object, _b: object, reply: Frames) -> list[Frames]:
        return [reply, reply]


class Instead:
    """The reply is replaced by what a function makes of it."""

    def __init__(self, change: Callable[[FakeServer, RequestToken, Frames], list[Frames]]) -> None:
        self._change = change

    def __call__(
        self, server: FakeServer, token: RequestToken, _body: bytes, reply: Frames
    ) -> list[Frames]:
        return self._change(server, token, reply)
