"""The connector's side of the protocol, without a socket, clock or file.

A session signs requests, and accepts a reply only when its MACs, rid, req-hash and account agree
with one request of ours; anything else is as if nothing had arrived. From what it accepts it
learns the server's incarnation, clock and log head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from bridge_client.attest import Subject, judge_word
from bridge_client.witness import Fork, Now, Offset, Sample, ServerClock, Witness
from bridge_core.protocol import limits
from bridge_core.protocol.chain import Head
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.errors import LocalProtocolError, RemoteProtocolError
from bridge_core.protocol.keys import KeySet, request_purpose
from bridge_core.protocol.messages import Request, encode_body
from bridge_core.protocol.operations import EA_OPS, OPERATIONS, Lane, Op, Purpose, granted
from bridge_core.protocol.replies import (
    HelloReply,
    OrderView,
    RefusalReply,
    StatusReply,
    decode_reply,
)
from bridge_core.protocol.signing import (
    Frames,
    RequestKeys,
    VerifiedBody,
    order_hash,
    reply_mac_holds,
    request_hash,
    sign_request,
)
from bridge_core.protocol.token import (
    NO_INCARNATION,
    NO_MAC,
    ReplyToken,
    RequestToken,
    parse_reply,
    parse_request,
)

__all__ = ["Answer", "Exchange", "Identity", "Session", "exchange_of"]

# Operations whose iat is our own wall time: an entry must fail on a wrong clock, and HELLO cannot
# know the server's yet. All others carry the server's time as last measured (protocol.md 6).
_OWN_TIME: Final = frozenset({Op.OPEN, Op.CHECK, Op.HELLO, Op.PING})
# Operations that leave no tag of their own at any broker: a search for it proves nothing of them.
_NO_TAG: Final = frozenset({Op.MODIFY, Op.CANCEL, Op.FLATTEN})
_ABSENT: Final = "ABSENT"


class Identity(Struct, frozen=True, kw_only=True):
    """Who signs: the key set, whether an EA attests, and the ttl of orders (ms, 0: default).

    `reply_ea` maps each kid whose records may still matter to its `reply<ea` key.
    """

    keys: KeySet
    ea: bool
    ttl_ms: int = 0
    reply_ea: Mapping[str, bytes] = {}


class Exchange(NamedTuple):
    """One request of ours that may be answered: its exact bytes, and when it was signed."""

    op: Op
    token: RequestToken
    frames: Frames
    req_hash: str
    signed: Now

    @property
    def rid(self) -> str:
        """The request id."""
        return self.token.rid


class Answer(Struct, frozen=True, kw_only=True):
    """A verified reply. `status` and `code` are about the request itself."""

    op: Op
    rid: str
    status: str
    code: str
    time: int
    inc: str
    mac_ea: str
    body: VerifiedBody

    @property
    def refused(self) -> bool:
        """Whether the request itself was denied."""
        return self.status == Status.DENIED


def exchange_of(frames: Frames, op: Op, signed: Now) -> Exchange:
    """Return the exchange of bytes that were signed earlier (from the journal).

    Raises:
        LocalProtocolError: these are not a request's bytes.
    """
    token = parse_request(frames.token)
    if token is None or token.op != op:
        raise LocalProtocolError("JOURNAL", "why='stored bytes are not a request'")
    return Exchange(op, token, frames, request_hash(frames), signed)


class Session:
    """One account's session. Not thread-safe: its owner holds a lock."""

    def __init__(self, identity: Identity, pairs: tuple[Head, ...] = ()) -> None:
        """Start unacquainted; `pairs` are the log heads that the journal remembers."""
        self.identity = identity
        self.inc = NO_INCARNATION
        self.hello: HelloReply | None = None
        self.clock = ServerClock()
        self.witness = Witness(pairs)
        self.fork: Fork | None = None
        self.fork_latched = False
        self.proven_inc = ""
        self.stale = True
        self.rejected = 0
        self.on_lie: Callable[[str, str], None] = lambda _rid, _why: None
        self.on_fork: Callable[[str], None] = lambda _why: None

    # --- signing ------------------------------------------------------------------------

    def may(self, op: Op) -> bool:
        """Return whether our scope holds a key for the operation."""
        return op in granted(self.identity.keys.scope)

    def signing_time(self, op: Op, now: Now) -> int:
        """Return the iat (UTC ms) that an operation signed now carries."""
        return now.wall_ms if op in _OWN_TIME else self.clock.server_ms(now)

    def ttl_ms(self, op: Op) -> int:
        """Return the ttl of an operation: an order's as configured, never one too long to ask."""
        accepted = self.hello.ttl_ms_max if self.hello else limits.TTL_MS_DEFAULT
        if OPERATIONS[op].prefix == "RISK_PASS" and self.identity.ttl_ms:
            return self.identity.ttl_ms
        return max(limits.TTL_MS_MIN, min(limits.TTL_MS_DEFAULT, accepted))

    def sign(self, op: Op, body: Request, rid: str, now: Now, iat: int = 0) -> Exchange:
        """Return a signed request; `rid` is fresh from the CSPRNG, `iat` 0 means as measured.

        Raises:
            LocalProtocolError: our scope has no key for it, or a field breaks its bound.
        """
        identity, spec = self.identity, OPERATIONS[op]
        raw = encode_body(body)
        token = RequestToken(
            prefix=spec.prefix,
            kid=identity.keys.kid,
            acct=identity.keys.acct,
            op=op,
            rid=rid,
            iat=iat or self.signing_time(op, now),
            ttl=self.ttl_ms(op),
            inc=NO_INCARNATION if op is Op.HELLO else self.inc,
        )
        frames = sign_request(token, raw, self._request_keys(op))
        _, mac_ea, mac_srv = frames.token.decode("ascii").rsplit(":", 2)
        signed = token._replace(mac_ea=mac_ea, mac_srv=mac_srv)
        return Exchange(op, signed, frames, request_hash(frames), now)

    def _request_keys(self, op: Op) -> RequestKeys:
        keys = self.identity.keys
        if not self.may(op):
            raise LocalProtocolError("SCOPE", f"op={op} scope={keys.scope}")
        srv, ea = request_purpose(op, keys.scope)
        if ea is None or not self.identity.ea or op not in EA_OPS:
            return RequestKeys(keys.keys[srv], srv)
        return RequestKeys(keys.keys[srv], srv, keys.keys[ea], ea)

    # --- accepting ----------------------------------------------------------------------

    def verify(self, frames: Frames, exchange: Exchange) -> tuple[ReplyToken, VerifiedBody] | None:
        """Return the reply's parts if it answers this request. Learns nothing: any thread may."""
        token = parse_reply(frames.token)
        keys = self.identity.keys
        if token is None or (token.kid, token.acct) != (keys.kid, keys.acct):
            return None
        if token.rid != exchange.rid or token.req_hash != exchange.req_hash:
            return None
        body = reply_mac_holds(frames, token, keys.keys.get(Purpose.REPLY_SRV))
        return None if body is None else (token, body)

    def see_fork(self, fork: Fork | None) -> None:
        """Take in what the witness found; the first fork holds, and is told."""
        if fork is not None and self.fork is None:
            self.fork = fork
            self.on_fork(fork.why)

    def learn(self, token: ReplyToken, body: VerifiedBody, exchange: Exchange, now: Now) -> Answer:
        """Return the answer behind verified parts, after taking in clock, run and log head."""
        sample = Sample(exchange.signed.mono_ms, token.time, token.time, now.mono_ms)
        if exchange.op is not Op.HELLO:  # HELLO has four stamps, see `greeted`
            self.clock.add(sample)
            self.stale = self.stale or token.inc != self.inc
        head = Head(token.log_size, bytes.fromhex(token.log_head))
        fork = self.witness.observe(head, fresh_hello=exchange.op is Op.HELLO)
        self.see_fork(fork)
        return Answer(
            op=exchange.op,
            rid=token.rid,
            status=token.status,
            code=token.code,
            time=token.time,
            inc=token.inc,
            mac_ea=token.mac_ea,
            body=body,
        )

    def accept(self, frames: Frames, exchange: Exchange, now: Now) -> Answer | None:
        """Verify and learn; None means as if nothing had arrived."""
        parts = self.verify(frames, exchange)
        if parts is None:
            self.rejected += 1
            return None
        return self.learn(*parts, exchange, now)

    def greeted(self, answer: Answer, exchange: Exchange, now: Now) -> HelloReply:
        """Take in a HELLO answered OK: from here on this run of the server is the one in use.

        Raises:
            RemoteProtocolError: it contradicts its own token, or serves another mode.
        """
        hello = decode_reply(HelloReply, answer.body)
        if hello.incarnation != answer.inc or hello.mode != self.identity.keys.mode:
            raise RemoteProtocolError("HELLO", f"mode={hello.mode} inc={hello.incarnation}")
        if hello.protocols and limits.PROTOCOL_VERSION not in hello.protocols:
            raise RemoteProtocolError("HELLO", f"protocols={hello.protocols}")
        received = min(hello.time or answer.time, answer.time)
        self.clock.restart()
        self.clock.add(Sample(exchange.signed.mono_ms, received, answer.time, now.mono_ms))
        self.hello, self.inc, self.stale = hello, answer.inc, False
        return hello

    # --- judging ------------------------------------------------------------------------

    def skew(self, now: Now) -> Offset | None:
        """Return the clock offset if it forbids signing entries, else None."""
        offset = self.clock.offset(now)
        if offset is None or abs(offset.offset_ms) <= limits.CLOCK_SKEW_MS_MAX:
            return None
        return offset

    def blank(self, exchange: Exchange, **known: object) -> OrderView:
        """Return the view of an order of which nothing is known yet."""
        return replace(
            OrderView(rid=exchange.rid, op=exchange.op, attested=not self._attests(exchange.op)),
            **known,
        )

    def order_view(self, answer: Answer, exchange: Exchange) -> OrderView:
        """Return what a reply to the order itself says, as far as it is attested."""
        view = _own_view(answer)
        view = replace(view, op=exchange.op, status=answer.status, code=answer.code)
        return self._attest(self._doubt(view, answer.inc), exchange, answer.mac_ea)

    def subject_view(self, answer: Answer, exchange: Exchange) -> OrderView | None:
        """Return what a GET_STATUS or FENCE answered OK says about the order `exchange`.

        None when it is about another order, or could not be decided.
        """
        if answer.status != Status.OK:
            return None
        view = decode_reply(StatusReply, answer.body).order
        if view.rid != exchange.rid:
            return None
        mac = answer.mac_ea if answer.mac_ea != NO_MAC else view.ea_mac
        return self._attest(self._doubt(replace(view, op=exchange.op), answer.inc), exchange, mac)

    def _doubt(self, view: OrderView, inc: str) -> OrderView:
        # The row may have gone with a record that was set back, and what has no tag cannot be
        # found at the broker either. Believed only once this run's record has been seen to extend
        # what we saw; of a forked one, once an operator has accepted it.
        if view.op not in _NO_TAG or view.evidence != _ABSENT:
            return view
        forked = self.fork is not None or self.fork_latched
        if not forked and self.proven_inc == inc:
            return view
        code = ReasonCode.LOG_FORK if forked else ReasonCode.RECONCILING
        return replace(view, status=Status.UNKNOWN, code=code, final=False)

    def check_view(self, answer: Answer, asked: OrderView) -> OrderView:
        """Return what CHECK says an OPEN would get; nothing was journaled, no EA attests it."""
        view = _own_view(answer)
        return replace(
            view,
            op=asked.op,
            status=answer.status,
            code=answer.code,
            by=view.by if answer.refused else "",
            attested=True,
            symbol=asked.symbol,
            type=asked.type,
            requested_volume=asked.requested_volume,
            requested_price=asked.requested_price,
        )

    def foreign_view(self, answer: Answer) -> OrderView | None:
        """Return the order that a GET_STATUS by client_order_id found; its bytes are not ours."""
        if answer.status != Status.OK:
            return None
        view = decode_reply(StatusReply, answer.body).order
        return self.listed_view(view, answer.mac_ea)

    def listed_view(self, view: OrderView, mac_ea: str = NO_MAC) -> OrderView:
        """Return an order that a verified reply lists (GET_JOURNAL), as far as it is attested."""
        if not self._attests(view.op):
            return replace(view, attested=True)
        mac = mac_ea if mac_ea != NO_MAC else view.ea_mac
        return self._judge(view, self._subject(view.rid, view.op, ""), mac)

    def _attests(self, op: str) -> bool:
        if not self.identity.ea or op not in Op.__members__:
            return False
        return OPERATIONS[Op(op)].lane in (Lane.ENTRY, Lane.REDUCE)

    def _attest(self, view: OrderView, exchange: Exchange, mac_ea: str) -> OrderView:
        # RESUME has a row in the EA too, which holds its own kill switch; a listed one may be of a
        # connector's own latch, so only who asked knows that the EA has to answer.
        resumes = exchange.op is Op.RESUME and self.identity.ea
        if not resumes and not self._attests(exchange.op):
            return replace(view, attested=True)
        frames = exchange.frames  # none for an order adopted after a lost disk
        digest = order_hash(frames, exchange.token) if frames.token else ""
        return self._judge(view, self._subject(exchange.rid, exchange.op, digest), mac_ea)

    def _judge(self, view: OrderView, subject: Subject, mac: str) -> OrderView:
        judged = judge_word(view, subject, mac)
        if judged.lie:
            self.on_lie(subject.rid, judged.lie)
        return judged.view

    def _subject(self, rid: str, op: str, digest: str) -> Subject:
        keys = self.identity.keys
        known = dict(self.identity.reply_ea)
        own = keys.keys.get(Purpose.REPLY_EA)
        if own is not None:
            known[keys.kid] = own
        return Subject(keys.acct, rid, op, digest, known)


def _own_view(answer: Answer) -> OrderView:
    # A refusal at admission has its own small body; an order's own has its rid.
    try:
        view = decode_reply(OrderView, answer.body)
        if view.rid == answer.rid:
            return view
        return OrderView(rid=answer.rid, by=view.by or "server")
    except RemoteProtocolError:
        pass_on = _refusal(answer)
    return OrderView(
        rid=answer.rid,
        by=pass_on.by or "server",
        limit=pass_on.limit,
        value=pass_on.value,
        headroom=pass_on.headroom,
        nearest=pass_on.nearest,
        time=pass_on.time,
        code=pass_on.code or ReasonCode.NONE,
    )


def _refusal(answer: Answer) -> RefusalReply:
    try:
        return decode_reply(RefusalReply, answer.body)
    except RemoteProtocolError:
        return RefusalReply()
